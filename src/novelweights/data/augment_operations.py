"""The fifteen operations of RandAugment on one Pillow image, gray or in color.

How strongly each acts at magnitude 0 and 10 stands in `OPERATIONS`; between them it is linear. The
paper says "RandAug (9, 0.5)" and no more; operations and ranges are those of timm's policy
`rand-m9-mstd0.5`, in which more magnitude is not always more change: the enhancements do nothing
at 5, and posterizing and solarizing do most at 0. What a geometric operation uncovers is mid-gray.
"""

from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image, ImageEnhance, ImageOps

FULL = 10.0
"""The magnitude at which an operation has its `high` strength; no higher one is used."""
FILL = 128
SOLARIZE_ADD_BELOW = 128

Change = Callable[[Image.Image, float, Image.Resampling], Image.Image]


@dataclass(frozen=True)
class Operation:
    """A change of an image and its strength, in the unit that the table says."""

    change: Change
    low: float = 0.0
    """Strength at magnitude 0."""
    high: float = 0.0
    """Strength at magnitude 10."""
    signed: bool = False
    """Whether the strength is negated for every second image."""

    def __call__(
        self, image: Image.Image, magnitude: float, *, negated: bool, resampling: Image.Resampling
    ) -> Image.Image:
        """The changed image, of the same size and mode.

        Args:
            image: Of mode L or RGB.
            magnitude: 0 to 10.
            negated: Whether to turn, shear or move the other way; others ignore it.
            resampling: How geometric operations interpolate; others ignore it.
        """
        strength = self.low + (self.high - self.low) * magnitude / FULL
        return self.change(image, -strength if self.signed and negated else strength, resampling)


def _posterize(image: Image.Image, bits: int) -> Image.Image:
    """As Pillow's, which refuses to keep no bit at all: that is black."""
    levels = [v >> 8 - bits << 8 - bits for v in range(256)]
    return image.point(levels * len(image.getbands()))


def _solarize_add(image: Image.Image, added: float) -> Image.Image:
    levels = [min(255, v + int(added)) if v < SOLARIZE_ADD_BELOW else v for v in range(256)]
    return image.point(levels * len(image.getbands()))


def _affine(
    image: Image.Image,
    resampling: Image.Resampling,
    *,
    xy: float = 0,
    yx: float = 0,
    x0=0.0,
    y0=0.0,
) -> Image.Image:
    """The image whose pixel (x, y) is the old one's at (x + xy y + x0, yx x + y + y0)."""
    where = (1.0, xy, x0, yx, 1.0, y0)
    fill = (FILL,) * len(image.getbands())
    return image.transform(image.size, Image.Transform.AFFINE, where, resampling, fillcolor=fill)


def _rotate(image: Image.Image, degrees: float, resampling: Image.Resampling) -> Image.Image:
    return image.rotate(degrees, resampling, fillcolor=(FILL,) * len(image.getbands()))


def _enhance(enhancement: Callable[[Image.Image], ImageEnhance._Enhance]) -> Operation:
    return Operation(lambda image, by, _: enhancement(image).enhance(by), 0.1, 1.9)


OPERATIONS: dict[str, Operation] = {
    # without a strength
    "autocontrast": Operation(lambda image, _, __: ImageOps.autocontrast(image)),
    "equalize": Operation(lambda image, _, __: ImageOps.equalize(image)),
    "invert": Operation(lambda image, _, __: ImageOps.invert(image)),
    # degrees around the middle
    "rotate": Operation(_rotate, 0.0, 30.0, signed=True),
    # bits of a level that are kept, rounded down
    "posterize": Operation(lambda image, bits, _: _posterize(image, int(bits)), 0.0, 4.0),
    # the level from which on levels are inverted, rounded down
    "solarize": Operation(lambda image, level, _: ImageOps.solarize(image, int(level)), 0.0, 256.0),
    # levels, rounded down, that are added to those below 128
    "solarize_add": Operation(lambda image, added, _: _solarize_add(image, added), 0.0, 110.0),
    # 1 keeps the image; 0 is gray, of one level, black, smoothed
    "color": _enhance(ImageEnhance.Color),
    "contrast": _enhance(ImageEnhance.Contrast),
    "brightness": _enhance(ImageEnhance.Brightness),
    "sharpness": _enhance(ImageEnhance.Sharpness),
    # pixels along x per pixel along y and the other way round, from the upper left
    "shear_x": Operation(lambda image, by, how: _affine(image, how, xy=by), 0.0, 0.3, signed=True),
    "shear_y": Operation(lambda image, by, how: _affine(image, how, yx=by), 0.0, 0.3, signed=True),
    # shares of width and height
    "translate_x": Operation(
        lambda image, by, how: _affine(image, how, x0=by * image.width), 0.0, 0.45, signed=True
    ),
    "translate_y": Operation(
        lambda image, by, how: _affine(image, how, y0=by * image.height), 0.0, 0.45, signed=True
    ),
}
"""By name. On a gray image `color` changes nothing, all others act as on a channel.

Source: timm's operations and ranges for policies without "inc"; written from their description.
"""
