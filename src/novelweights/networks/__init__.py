"""Target networks, each with its symmetry table."""
