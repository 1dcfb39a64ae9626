"""What is measured: distances, behavior, and numbers of the whole population."""
