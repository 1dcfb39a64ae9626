"""Populations in, numbers and verdicts out."""
