"""The fast way against the straightforward way, on the same input, in one run."""
