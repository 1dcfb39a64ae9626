"""What the page says of thresholds, ranks and columns: words alone, no numbers."""

CRITERIA = {
    "min_heldout_runs": "Fewer held-out runs than this: undecided.",
    "gross_copy": "Nearest distance at most this share of the median held-out distance, and below "
    "all of them: a gross copy.",
    "exact_copy": "Equal to a training checkpoint, also to a step that is not a run's last: "
    "distance at most this share of the median held-out distance.",
    "rescaled_ratio": "In canonical form, a gross copy is one run's if its nearest distance is at "
    "most this share of the next.",
    "dominant_weight": "One source: the largest weight in the mixture of training checkpoints is "
    "at least this ...",
    "runner_up": "... and the second at most this share of the largest.",
    "two_sided": "A measure is like a fresh run's if its rank is above this on both sides.",
    "quality_margin": "Worse than the worst held-out quality by more than this, in percentage "
    "points: broken.",
    "trained_share": "Mixtures of aligned runs count for networks with at least this share of the "
    "median held-out quality; of others only mixtures as they are.",
    "max_share": "Population novel: the upper limits of the near, aligned and mixed shares are at "
    "most this.",
    "distance_ratio": "Population novel: the interval of the median distance, generated over "
    "held-out, lies inside this range.",
    "mean_quality_margin": "Population novel: the interval of the difference of mean quality lies "
    "within plus or minus this, in percentage points.",
    "relative_margin": "Both margins where quality is not in percent: this share of the median "
    "held-out quality.",
    "novel_share": "Population novel: the lower limit of the share of checkpoints that are novel "
    "is above this.",
    "recipe_p_value": "Population novel: the rank test of held-out against training distances is "
    "not below this.",
    "broken_share": "Population broken: the lower limit of the broken share is above this.",
    "min_runs": "Fewer independent training runs than this: not identifiable.",
    "control_share": "A control passes if at least this share of it is judged rightly ...",
    "control_p_value": "... and fresh runs pass unless chance alone would accuse so many with "
    "less than this p-value.",
}
"""What each threshold of the verdict means."""

RANKS = {
    "distance_near": "distance, near",
    "distance_far": "distance, far",
    "cosine_near": "cosine, near",
    "cosine_far": "cosine, far",
    "recentred_near": "recentred cosine, near",
    "matched_distance_near": "distance at equal norm, near",
    "direction_near": "direction, near",
    "hull_near": "hull, near",
    "hull_far": "hull, far",
    "raw_hull_near": "hull, nothing aligned, near",
    "hull_distance_near": "distance to the hull, near",
    "raw_hull_distance_near": "distance to the hull, nothing aligned, near",
    "unmatched_hull_near": "hull at any norm, near",
    "raw_unmatched_hull_near": "hull at any norm, nothing aligned, near",
    "unmatched_hull_distance_near": "distance to the hull at any norm, near",
    "raw_unmatched_hull_distance_near": "distance to the hull at any norm, nothing aligned, near",
    "sparse_near": "sparse mixture, near",
    "raw_sparse_near": "sparse mixture, nothing aligned, near",
    "pca_near": "principal components, near",
    "pca_far": "principal components, far",
    "raw_pca_near": "principal components, nothing aligned, near",
    "mixture_near": "mixture, near",
    "raw_mixture_near": "mixture, nothing aligned, near",
    "unmatched_mixture_near": "hull at any norm, any of four, near",
    "canonical_near": "distance in canonical form, near",
    "layers_any_near": "one layer, near",
    "layers_all_near": "all layers, near",
    "layers_any_distance_near": "one layer, distance, near",
    "layers_all_distance_near": "all layers, distance, near",
    "twin_near": "nearest other sample, near",
    "quality_low": "quality, low",
    "similarity_high": "similarity, high",
    "similarity_low": "similarity, low",
}
"""What each rank places among fresh runs, and which side is extreme."""

JUDGING = (
    "distance_near",
    "direction_near",
    "mixture_near",
    "layers_all_near",
    "layers_any_near",
    "quality_low",
    "similarity_high",
)
"""The ranks that judge, hence shown on the page; all ranks are in checkpoints.csv."""

LEGS = {
    "direction": "direction_near",
    "mixture": "mixture_near",
    "layers": "layers_all_near",
}
"""The ranks that accuse; a fresh run has about one chance in (fresh runs + 1) for each."""

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
