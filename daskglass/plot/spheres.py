"""A rendered snapshot: spheres with a depth buffer, deferred shading and ambient occlusion, in NumPy."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

AZIMUTH, ELEVATION = np.radians(-32.0), np.radians(22.0)
DISTANCE = 3.6  # of the camera from the centre of the box, in edges
LIGHT = np.array([-0.42, 0.62, 0.66])
FOG = 0.30  # share of white in the farthest particle
EDGE_COLOUR = (0.16, 0.16, 0.18)
SHARPNESS = 5  # of highlights, which fall off as the power 2**SHARPNESS of a cosine
SUPERSAMPLE = 2
BAND = 16  # rows of pixels
PIXELS = 800  # width and height of an image: what its panel has in a PNG


@dataclass(frozen=True)
class Spheres:
    """Spheres of a scene: centres (sphere, xyz), radii (sphere,), colours (sphere, rgb) from 0 to 1."""

    center: NDArray[np.float64]
    radius: NDArray[np.float64]
    colour: NDArray[np.float64]


def wrap(position: NDArray[np.floating], box: NDArray[np.floating]) -> NDArray[np.float64]:
    """Positions in the periodic box centred at the origin."""
    position = np.asarray(position, dtype=np.float64)
    return position - box * np.rint(position / box)


def render(spheres: Spheres, box: NDArray[np.floating], pixels: int | None = None) -> NDArray[np.float32]:
    """Image of spheres in their box, seen in perspective.

    Every pixel first finds its nearest sphere; colour is then computed once for each pixel, from the normal of that
    sphere, the light, the distance (far particles fade to white) and how much of the surroundings lies in front of it.

    Parameters
    ----------
    spheres : in the units of `box`, wrapped into the box centred at the origin
    box : edge lengths (xyz,)
    pixels : width and height of the image; `PIXELS` by default

    Returns
    -------
    (row, column, rgba) from 0 to 1; transparent where there is nothing.
    """
    scene = _with_edges(spheres, np.asarray(box, dtype=np.float64))
    pixels = pixels or PIXELS
    size = pixels * SUPERSAMPLE
    x, y, z, radius, world = _project(scene, np.asarray(box, dtype=np.float64), size)
    depth, which = _nearest(x, y, z, radius, world, size)
    image = _shade(scene, x, y, radius, depth, which, float(np.max(box)), size)
    mean = _coarse(image)
    # colours count by their opacity, or edges would take on the colour of what is not there
    mean[..., :3] /= np.maximum(mean[..., 3:], 1e-6)
    return mean.clip(0, 1)


def _with_edges(spheres: Spheres, box: NDArray[np.float64]) -> Spheres:
    """Add the twelve edges of the box as rows of small spheres: they hide and are hidden like everything else."""
    thickness = 0.0035 * box.max()
    along = np.linspace(-0.5, 0.5, 400)
    rows = []
    for axis in range(3):
        for first in (-0.5, 0.5):
            for second in (-0.5, 0.5):
                row = np.empty((along.size, 3))
                row[:, axis], row[:, axis - 1], row[:, axis - 2] = along, first, second
                rows.append(row * box)
    edges = np.concatenate(rows)
    return Spheres(
        np.concatenate([spheres.center, edges]),
        np.concatenate([spheres.radius, np.full(len(edges), thickness)]),
        np.concatenate([spheres.colour, np.tile(EDGE_COLOUR, (len(edges), 1))]),
    )


def _project(scene: Spheres, box: NDArray[np.float64], size: int) -> tuple[NDArray[np.float64], ...]:
    """Columns, rows, heights above the plane through the centre, radii in pixels and radii of spheres."""
    x, y, z = (scene.center @ _rotation().T).T
    nearness = 1.0 / (1.0 - z / (DISTANCE * box.max()))
    x, y, radius = x * nearness, y * nearness, scene.radius * nearness
    left, right = float((x - radius).min()), float((x + radius).max())
    bottom, top = float((y - radius).min()), float((y + radius).max())
    scale = 0.99 * size / max(right - left, top - bottom)
    column = size / 2 + scale * (x - (left + right) / 2)
    row = size / 2 - scale * (y - (bottom + top) / 2)
    return column, row, z, scale * radius, scene.radius


def _rotation() -> NDArray[np.float64]:
    """Axes of the view: right, up, towards the eye."""
    cos, sin = np.cos(AZIMUTH), np.sin(AZIMUTH)
    turn = np.array([[cos, sin, 0.0], [0.0, 0.0, 1.0], [sin, -cos, 0.0]])
    cos, sin = np.cos(ELEVATION), np.sin(ELEVATION)
    tilt = np.array([[1.0, 0.0, 0.0], [0.0, cos, -sin], [0.0, sin, cos]])
    return tilt @ turn


def _nearest(
    x: NDArray[np.float64], y: NDArray[np.float64], z: NDArray[np.float64],
    radius: NDArray[np.float64], world: NDArray[np.float64], size: int,
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:  # fmt: skip
    """Depth buffer, and the sphere each pixel shows, -1 for none."""
    depth = np.full((size, size), -np.inf, np.float32)
    which = np.full((size, size), -1, np.int32)
    first = [np.maximum(centre - radius, 0).astype(int).tolist() for centre in (x, y)]
    last = [(centre + radius + 2).clip(0, size).astype(int).tolist() for centre in (x, y)]
    middle = np.arange(size) + 0.5
    # from near to far: most of what lies behind is hidden as a whole
    for k in np.argsort(-z, kind="stable").tolist():
        columns, rows = (slice(low[k], high[k]) for low, high in zip(first, last, strict=True))
        window = depth[rows, columns]
        if window.size == 0 or window.min() >= z[k] + world[k]:
            continue
        dx, dy = (middle[columns] - x[k]) / radius[k], (middle[rows] - y[k]) / radius[k]
        height = 1.0 - dx[None, :] ** 2 - dy[:, None] ** 2
        surface = z[k] + world[k] * np.sqrt(np.maximum(height, 0.0))
        seen = (height > 0.0) & (surface > window)
        window[seen] = surface[seen]
        which[rows, columns][seen] = k
    return depth, which


def _shade(
    scene: Spheres, x: NDArray[np.float64], y: NDArray[np.float64], radius: NDArray[np.float64],
    depth: NDArray[np.float32], which: NDArray[np.int32], edge: float, size: int,
) -> NDArray[np.float32]:  # fmt: skip
    """Colours and opacity of all pixels."""
    spheres = np.stack([x, y, radius, *scene.colour.T]).astype(np.float32)
    light = (LIGHT / np.linalg.norm(LIGHT)).astype(np.float32)
    half = light + np.array([0.0, 0.0, 1.0], np.float32)
    half /= np.linalg.norm(half)
    shadow = _occlusion(depth, which, edge, size)
    near, far = float(depth.max()), float(depth[which >= 0].min())
    image = np.empty((size, size, 4), np.float32)
    column = np.arange(size, dtype=np.float32) + np.float32(0.5)
    # a band of rows at a time: what is between is in cache then
    for top in range(0, size, BAND):
        band = slice(top, top + BAND)
        k = np.maximum(which[band], 0)
        cx, cy, r = (np.take(of_sphere, k) for of_sphere in spheres[:3])
        nx, ny = (column - cx) / r, (cy - column[band, None]) / r
        nz = np.sqrt(np.maximum(1 - nx * nx - ny * ny, 0))
        open_sky = 1 - shadow[band]
        diffuse = np.maximum(nx * light[0] + ny * light[1] + nz * light[2], 0)
        brightness = (0.42 + 0.20 * nz + 0.42 * diffuse) * open_sky
        shine = (nx * half[0] + ny * half[1] + nz * half[2]).clip(0, 1)
        for _ in range(SHARPNESS):
            shine *= shine
        shine *= 0.16 * open_sky
        fog = (FOG / max(near - far, 1e-6)) * (near - np.maximum(depth[band], far))
        for channel, of_sphere in enumerate(spheres[3:]):
            lit = np.take(of_sphere, k) * brightness + shine
            image[band, :, channel] = (lit + (1 - lit) * fog).clip(0, 1)
        image[band, :, 3] = 1
    image[which < 0] = 0
    return image


def _occlusion(depth: NDArray[np.float32], which: NDArray[np.int32], edge: float, size: int) -> NDArray[np.float32]:
    """Share of the light that surroundings in front of a pixel take: its depth against the depth around it, blurred.

    Two widths: contacts between spheres, and the hollows between groups of them. What is blurred needs no more pixels than
    the image has in the end.
    """
    known = np.where(which >= 0, depth, 0).astype(np.float32)
    weights, heights = _coarse((which >= 0).astype(np.float32)), _coarse(known)
    taken = np.zeros_like(known)
    for width, strength in ((0.006, 0.55), (0.02, 0.40)):
        sigma = width * size / SUPERSAMPLE
        weight = np.maximum(gaussian_filter(weights, sigma, truncate=2.5), 1e-4)
        around = gaussian_filter(heights, sigma, truncate=2.5) / weight
        above = around.repeat(SUPERSAMPLE, axis=0).repeat(SUPERSAMPLE, axis=1) - known
        taken += strength * (above / np.float32(3.0 * width * edge)).clip(0, 1)
    return np.minimum(taken, 0.85)


def _coarse(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means of blocks of pixels, one for each pixel of the image."""
    shifts = itertools.product(range(SUPERSAMPLE), repeat=2)
    parts = [values[row::SUPERSAMPLE, column::SUPERSAMPLE] for row, column in shifts]
    means: NDArray[np.float32] = sum(parts[1:], start=parts[0]) / np.float32(len(parts))
    return means
