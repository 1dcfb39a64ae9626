"""What novelweights takes from other packages, one thing a module: copy what you need."""
