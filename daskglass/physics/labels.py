"""When two labels are the same: one rule for temperatures, times and distances, in study files, files and stores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

SAME = 1e-9  # relative difference up to which two labels are the same: arithmetic and texts differ by less, physics by more


def same(first: ArrayLike, second: ArrayLike) -> NDArray[np.bool_]:
    """Whether labels are the same number, to 1e-9 of the larger; element by element, of any shapes that broadcast."""
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    with np.errstate(invalid="ignore"):
        apart = np.abs(first - second)
    near = apart <= SAME * np.maximum(np.abs(first), np.abs(second))
    return np.asarray((first == second) | (near & np.isfinite(apart)))


def find(labels: Sequence[float], wanted: float) -> float | None:
    """Return the label that is the same as a number; None where there is none."""
    places = np.flatnonzero(same(labels, wanted))
    return labels[int(places[0])] if places.size else None


def distinct(labels: Iterable[float]) -> list[float]:
    """Return labels in rising order; of those that are the same, the lowest."""
    kept: list[float] = []
    for label in sorted(labels):
        if not kept or not same(kept[-1], label):
            kept.append(label)
    return kept
