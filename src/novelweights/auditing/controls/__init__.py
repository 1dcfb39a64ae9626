"""Checkpoints of known origin, and the baselines of the paper."""
