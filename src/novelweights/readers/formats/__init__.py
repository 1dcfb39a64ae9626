"""One file per form in which checkpoints are stored."""
