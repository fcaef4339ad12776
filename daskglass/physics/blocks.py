"""Blocks of time: sums over frames that follow one another, long enough to count as independent."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def block_count(frames: int, block: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number of equal blocks that hold `block` frames at least; one where there are not as many."""
    return np.maximum(frames // block, 1)


def block_sums(values: NDArray[Any], blocks: int, axis: int) -> NDArray[Any]:
    """Sums over equal blocks along an axis, one behind the other."""
    frames = values.shape[axis]
    return np.add.reduceat(values, frames * np.arange(blocks) // blocks, axis=axis)
