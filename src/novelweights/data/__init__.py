"""Image sets: read, made, fetched, kept in a cache, augmented."""
