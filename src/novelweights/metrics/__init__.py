"""Numbers on tensors: no files, no models."""
