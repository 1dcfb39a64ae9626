"""Whether the packages that all photographs lie in are installed."""

from importlib import metadata

import pytest


def _has_scikit_image() -> bool:
    try:
        metadata.distribution("scikit-image")
    except metadata.PackageNotFoundError:
        return False
    return True


needs_photos = pytest.mark.skipif(
    not _has_scikit_image(), reason="scikit-image, which has eight of the photos, is lacking"
)
