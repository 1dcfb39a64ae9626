"""What the page says of the columns of checkpoints.csv: words alone, no numbers."""

COLUMNS = {
    "row": "place of the checkpoint in its file, from 0",
    "nearest_row": "training checkpoint at that distance, by its place",
    "distance": "declared distance to the nearest training checkpoint",
    "distance_lower": "certified lower bound of it; equal where the distance is exact",
    "canonical_distance": "the distance with scales of neurons and the like removed on both sides",
    "canonical_run": "run of the training checkpoint at that distance",
    "canonical_lower": "certified lower bound of it",
    "canonical_ratio": "it over the same distance to the second nearest",
    "raw_distance": "plain L2 to the nearest training checkpoint, nothing aligned",
    "cosine": "largest cosine to a training checkpoint, both less the training mean",
    "recentred_cosine": "the same less the mean of the other samples; sees copies that drift",
    "norm": "distance from the training mean",
    "hull_ratio": "distance to the closest mixture of training checkpoints over `distance`",
    "raw_hull_ratio": "the same, nothing aligned",
    "sparse_ratio": "what 16 training checkpoints leave unexplained over what the best one does",
    "raw_sparse_ratio": "the same, nothing aligned",
    "pca_residual": "share of the norm outside the leading principal components of training",
    "raw_pca_residual": "the same, nothing aligned",
    "expected_novelty": "error overlap with a training checkpoint expected by chance alone",
    "overlap": "share of test examples predicted as the nearest training checkpoint does",
    "has_surface": "whether the field describes a shape at all",
    "works": "no worse than fresh runs, less a margin",
    "kind": "of an interpolation: average or mosaic; of an undecided one: partial copy",
}
"""What the columns of checkpoints.csv hold whose names do not say it."""
