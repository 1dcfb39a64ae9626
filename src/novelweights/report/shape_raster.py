"""Images of triangle meshes: parallel light rays, a depth buffer, two lamps beside the camera.

The camera looks along a direction of the cube; x of an image grows to the right, y downward. Every
image is drawn twice as large and averaged. Source: ours; the paper draws with matplotlib, which
sorts triangles instead of comparing depths and so shows some that are hidden.
"""

from typing import no_type_check

import numpy as np
from jaxtyping import Float, Int, UInt16
from numba import njit

TURN, TILT = -0.62, 0.5
"""Of the view of an airplane from ahead, aside and above, as arguments of `rotation`."""
LIGHTS = ((-0.45, 0.75, 0.5, 0.62), (0.8, 0.1, 0.6, 0.2))
"""Right, up, toward the viewer (directions), and strength."""
AMBIENT = 0.16
"""Brightness of a face that no lamp reaches; white is 1."""
FILL = 0.96
"""Of the image that the larger side of a shape takes."""


def rotation(turn: float = TURN, tilt: float = TILT) -> Float[np.ndarray, "3 3"]:
    """Rows: what of x, y, z is to the right, up, and toward the viewer.

    Args:
        turn: About z, in radians; 0 looks along y, with x to the right.
        tilt: Of the camera, in radians; 0 is level, pi/2 looks down.
    """
    a, b, c, d = np.cos(turn), np.sin(turn), np.cos(tilt), np.sin(tilt)
    return np.array([[a, -b, 0.0], [b * d, a * d, c], [-b * c, -a * c, d]])


def joint_frame(
    clouds: list[Float[np.ndarray, "_ 3"]], view: Float[np.ndarray, "3 3"], aspect: float
) -> tuple[float, float, float]:
    """Center (right, up) and width of the smallest image that holds all points, in cube sides.

    Args:
        clouds: Vertices of shapes that are shown at one scale; some may be empty.
        view: A `rotation`.
        aspect: Width over height of the image.
    """
    seen = np.concatenate([np.zeros((0, 3)), *clouds]) @ view.T
    if not len(seen):
        return 0.0, 0.0, 1.0
    low, high = seen[:, :2].min(axis=0), seen[:, :2].max(axis=0)
    width = max(float(high[0] - low[0]), aspect * float(high[1] - low[1]), 1e-6) / FILL
    right, up = (low + high) / 2
    return float(right), float(up), width


def render(
    vertices: Float[np.ndarray, "v 3"],
    faces: Int[np.ndarray, "f 3"] | UInt16[np.ndarray, "f 3"],
    view: Float[np.ndarray, "3 3"],
    frame: tuple[float, float, float],
    size: tuple[int, int],
) -> Float[np.ndarray, "height width"]:
    """Brightness of an image of a mesh, from 0 to 1; 1 where nothing is.

    Args:
        vertices: In cube sides.
        faces: Rows of vertices, counterclockwise seen from outside; the inside is drawn darker.
        view: A `rotation`.
        frame: As `joint_frame` gives it.
        size: Height and width in pixels.
    """
    height, width = size
    right, up, across = frame
    scale = 2 * width / across
    seen = vertices @ view.T
    places = np.stack(
        [(seen[:, 0] - right) * scale + width, (up - seen[:, 1]) * scale + height, seen[:, 2]], 1
    )
    shades = np.full((2 * height, 2 * width), np.nan)
    depths = np.full_like(shades, -np.inf)
    _paint(places, faces.astype(np.int64), _brightness(seen, faces), depths, shades)
    parts = np.nan_to_num(shades, nan=1.0).reshape(height, 2, width, 2)
    return parts.mean(axis=(1, 3))


def _brightness(
    seen: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"] | UInt16[np.ndarray, "f 3"]
) -> Float[np.ndarray, "v 2"]:
    """Of every vertex, on its outer and on its inner side; normals are means of faces by area."""
    a, b, c = (seen[faces[:, i]] for i in range(3))
    across = np.cross(b - a, c - a)
    normals = np.zeros_like(seen)
    for axis in range(3):
        for corner in range(3):
            normals[:, axis] += np.bincount(
                faces[:, corner], weights=across[:, axis], minlength=len(seen)
            )
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    shades = np.full((len(seen), 2), AMBIENT)
    for *direction, strength in LIGHTS:
        toward = normals @ (np.array(direction) / np.linalg.norm(direction))
        shades[:, 0] += strength * np.maximum(toward, 0)
        shades[:, 1] += 0.5 * strength * np.maximum(-toward, 0)
    return shades


@njit(cache=True)
@no_type_check
def _paint(places, faces, brightness, depths, shades):
    """Fill the buffers, face by face.

    Args (compiled): places (v, 3) are right, down in pixels and toward the viewer; brightness is
    (v, 2). A pixel belongs to a face if its center lies in it or on its border.
    """
    height, width = depths.shape
    for face in range(len(faces)):
        a, b, c = faces[face]
        ax, ay, bx, by = places[a, 0], places[a, 1], places[b, 0], places[b, 1]
        cx, cy = places[c, 0], places[c, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0:
            continue
        side = 0 if area < 0 else 1  # down is positive, so outer faces turn the other way
        first, last = max(int(np.ceil(min(ay, by, cy) - 0.5)), 0), max(ay, by, cy) - 0.5
        left, right = max(int(np.ceil(min(ax, bx, cx) - 0.5)), 0), max(ax, bx, cx) - 0.5
        for y in range(first, min(int(np.floor(last)), height - 1) + 1):
            for x in range(left, min(int(np.floor(right)), width - 1) + 1):
                px, py = x + 0.5, y + 0.5
                u = ((bx - px) * (cy - py) - (by - py) * (cx - px)) / area
                v = ((cx - px) * (ay - py) - (cy - py) * (ax - px)) / area
                w = 1 - u - v
                if min(u, v, w) < -1e-9:
                    continue
                depth = u * places[a, 2] + v * places[b, 2] + w * places[c, 2]
                if depth > depths[y, x]:
                    depths[y, x] = depth
                    shades[y, x] = (
                        u * brightness[a, side] + v * brightness[b, side] + w * brightness[c, side]
                    )
