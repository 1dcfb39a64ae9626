"""Meshes and procedural shapes, and the sets of them that neural fields are fitted to."""
