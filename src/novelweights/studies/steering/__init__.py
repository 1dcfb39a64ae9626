"""Whether the prompt of a generator sets the loss of its samples."""
