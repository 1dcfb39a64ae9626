"""What a generator's lossy codec does to checkpoints."""
