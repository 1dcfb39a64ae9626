"""Audits of a population that comes from one training run."""
