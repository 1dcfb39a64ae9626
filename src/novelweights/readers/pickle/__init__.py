"""The one interpreter of pickles: instructions are read, nothing is run."""
