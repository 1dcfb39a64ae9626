"""cut-paste-100: photographs of things, cut out and pasted on other photographs, in color.

In place of CIFAR-100, under a name of its own: a class is one cut-out in many positions, not a kind
of thing. Backgrounds for testing come from other parts of the photographs than those for training,
as in `data/substitutes.py`; the cut-outs are the same.
"""

from collections.abc import Mapping
from functools import partial
from importlib import metadata

import numpy as np
from jaxtyping import UInt8

from novelweights.data.cache import kept_arrays
from novelweights.data.fetch import FETCHABLE, fetched_folder
from novelweights.data.image_data import PixelData
from novelweights.data.installed import PHOTOS, pinned_image, read_photo
from novelweights.data.pasting import Placements, Stamps, pasted, reduced
from novelweights.data.pixels import moments
from novelweights.data.substitutes import made_digest, patches_origin, random_crops
from novelweights.errors import InputError
from novelweights.seeding import Draws

Pixels = UInt8[np.ndarray, "_ 32 32 3"]
CUT_PASTE, STAMPS = "cut-paste-100", "tuxpaint-stamps"
"""The set, and the cut-outs that it is made of, photographs of things: a key of `FETCHABLE`."""
PER_CLASS = {"train": 400, "test": 40}
MADE_SHA256 = "a00ecad79bd5de1f57c30d8f74b5fd1da51475e21450aed3530b75f529e2e7b7"
"""Of the bytes of all images and labels: whatever is made otherwise is not this set."""


def load_cut_paste_100() -> PixelData:
    """A hundred cut-outs on photographs: 40,000 images of 32x32 to train, 4,000 to test.

    Each lies on a random crop of one of the ten `PHOTOS`, turned by up to 25 degrees either way,
    its longer side 0.7 to 1.1 of the crop's, mirrored or not, moved by up to 4 pixels down and
    right, its brightness times 0.7 to 1.2. The class is the cut-out's place among
    the files of `STAMPS`.

    The pixels are made once and kept in the cache folder; if they are damaged there, they are made
    again.

    Source: ours.

    Raises:
        InputError: The cut-outs have not been fetched, a package with photographs is missing, or
            the made bytes are others than everywhere else.
    """
    stamps = FETCHABLE[STAMPS]
    labels = {part: np.repeat(np.arange(len(stamps.sha256)), n) for part, n in PER_CLASS.items()}

    def is_valid(made: Mapping[str, np.ndarray]) -> bool:
        return made_digest({part: (made[part], of) for part, of in labels.items()}) == MADE_SHA256

    made = kept_arrays(f"{CUT_PASTE}.npz", partial(_made, labels), is_valid)
    mean, std, described = moments(made["train"])
    return PixelData.of(
        [(made[part], of) for part, of in labels.items()],
        name=CUT_PASTE,
        source=(
            f"{patches_origin()} and 100 cut-outs of Debian {stamps.package}; {described} of its "
            "training pixels"
        ),
        sha256=MADE_SHA256,
        mean=mean,
        std=std,
        classes=len(stamps.sha256),
    )


def read_stamps() -> Stamps:
    """The cut-outs that were fetched, as they are pasted.

    Raises:
        InputError: One is missing or damaged.
    """
    folder = fetched_folder(STAMPS, needed_by=CUT_PASTE)
    remedy = f"run `novelweights data fetch {STAMPS}`"
    cut_outs = [
        pinned_image(folder / file, digest, "RGBA", remedy)
        for file, digest in FETCHABLE[STAMPS].sha256.items()
    ]
    return reduced(cut_outs)


def on_backgrounds(
    stamps: Stamps, photos: list[np.ndarray], labels: np.ndarray, part: str
) -> Pixels:
    """The cut-out of each label on a crop of one of the photos, of `part`, train or test."""
    draws = Draws("cut_paste", CUT_PASTE, part)
    n = len(labels)
    crops = random_crops(photos, draws.below(len(photos), n), part, draws)
    return pasted(crops, stamps, labels, Placements.drawn(n, draws))


def _made(labels: dict[str, np.ndarray]) -> dict[str, Pixels]:
    stamps, photos = read_stamps(), [read_photo(name) for name in PHOTOS]
    made = {part: on_backgrounds(stamps, photos, of, part) for part, of in labels.items()}
    digest = made_digest({part: (made[part], labels[part]) for part in made})
    if digest != MADE_SHA256:
        raise InputError(
            f"{CUT_PASTE}: expected made images of sha256 {MADE_SHA256[:12]}..., got "
            f"{digest[:12]}...; a photograph may be read otherwise by Pillow "
            f"{metadata.version('pillow')}, install the version of constraints.txt",
            "wrong-version",
        )
    return made
