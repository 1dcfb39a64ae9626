"""From measurements to p-values, verdicts and warnings."""
