"""What the page draws of a frame: columns of its plots and the line of numbers, ready to send."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskglass.explorer.brush import Brush, Limits, Slab, chosen, drawn, histogram, in_slab, is_shown, joint_histogram
from daskglass.explorer.frames import Frame

FAINT = 0.1  # opacity of what is not chosen
RADII = (0.47, 0.40)  # σ, of discs of the first species, and of others

Columns = dict[str, Any]


@dataclass(frozen=True)
class View:
    """A frame as it is drawn.

    Attributes
    ----------
    points : columns of the discs
    in_slab : particles of the slab, of which `points` may be a sample
    counts, counts_chosen : histograms of the first variable; all particles shown, and those chosen
    joint, joint_chosen : the same of both variables
    chosen, shown : numbers of particles
    mean_first, mean_second : of the chosen; NaN where none has a value
    """

    points: Columns
    in_slab: int
    counts: NDArray[np.int64]
    counts_chosen: NDArray[np.int64]
    joint: NDArray[np.int64]
    joint_chosen: NDArray[np.int64]
    chosen: int
    shown: int
    mean_first: float
    mean_second: float


def view(frame: Frame, slab: Slab, brush: Brush, limits: tuple[Limits, Limits]) -> View:
    """Count and choose the particles of a frame, all of them; draw those of its slab."""
    shown, picked, who = is_shown(frame, slab), chosen(frame, slab, brush), drawn(frame, slab)
    # discs nearer to the eye cover others
    who = who[np.argsort(frame.position[who, 2], kind="stable")]
    names = np.array([*frame.names, ""])
    points = {
        "x": frame.position[who, 0], "y": frame.position[who, 1], "z": frame.position[who, 2],
        "first": frame.first[who], "second": frame.second[who],
        "particle": who, "species": names[frame.species[who]].tolist(),
        "radius": np.where(frame.species[who] == 0, *RADII), "alpha": np.where(picked[who], 1.0, FAINT),
    }  # fmt: skip
    return View(
        points, int(in_slab(frame, slab).sum()),
        histogram(frame.first[shown], limits[0]), histogram(frame.first[picked], limits[0]),
        joint_histogram(frame.first[shown], frame.second[shown], limits),
        joint_histogram(frame.first[picked], frame.second[picked], limits),
        int(picked.sum()), int(shown.sum()), _mean(frame.first[picked]), _mean(frame.second[picked]),
    )  # fmt: skip


def _mean(values: NDArray[np.float64]) -> float:
    there = values[np.isfinite(values)]
    return float(there.mean()) if there.size else float("nan")


def colour_limits(values: NDArray[np.float64], diverging: bool) -> Limits:
    """Values of the ends of the colours: the 1st and 99th percentile, about 0 where the colours part there."""
    there = values[np.isfinite(values)]
    if there.size == 0:
        return 0.0, 1.0
    low, high = (float(end) for end in np.percentile(there, (1, 99)))
    if diverging:
        far = max(-low, high, 1e-9)
        return -far, far
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def number(value: float) -> str:
    """Three digits, with a true minus."""
    return "–" if np.isnan(value) else f"{value:.3g}".replace("-", "−")
