"""Symmetry tables of any module: derived from a traced call, and proven."""
