"""Support-vector machines: planes between particles that move more than half of their configuration, and the others.

A plane is kept as ridge regression keeps a line: v = (−b, −s, 1), so that b + s·x is positive on the side of those that move
more, and ±1 at the margins.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from daskglass.errors import DataError
from daskglass.physics import ridge
from daskglass.physics.defaults import EXAMPLES_PER_CLASS
from daskglass.physics.features import Samples

MAX_ITERATIONS = 100_000
C = 0.01  # inverse strength of the penalty: 1 foresees propensity no better, and takes ten times as long
# features (example, feature) less their mean in the configuration, and which ones move more
Examples = tuple[NDArray[np.float64], NDArray[np.bool_]]


def examples_of(samples: Samples, seed: int) -> list[Examples]:
    """Examples of each fold: as many of each configuration, drawn at random, half of either class."""
    where = samples.configurations()
    most = max(2, 2 * EXAMPLES_PER_CLASS // len(where))
    found: list[list[Examples]] = [[] for _ in range(int(samples.fold.max()) + 1)]
    for k, one in enumerate(where):
        x, y = samples.features(one), samples.target.values[one]
        there = np.flatnonzero(np.isfinite(x).all(axis=1) & np.isfinite(y))
        moves = y > np.median(y[there])
        chosen = np.sort(np.random.default_rng([seed, k]).permutation(there)[:most])
        found[samples.fold[one]].append((x[chosen] - x[there].mean(axis=0), moves[chosen]))
    return [_joined(fold) for fold in found]


def plane(examples: Sequence[Examples], M: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Plane v (2 + feature,) of the largest soft margin, features standardised by the sums M of `ridge`."""
    # a heavy import that opening a store does not need
    from sklearn.svm import LinearSVC

    x, moves = _joined(examples)
    if moves.all() or not moves.any():
        raise DataError(
            "no particle has a target above the median of its configuration: nothing tells two classes apart"
        )
    mean, scale = (each[:-1] for each in ridge.standards(M))
    machine = LinearSVC(C=C, max_iter=MAX_ITERATIONS, dual="auto", random_state=seed).fit(x / scale, moves)
    slopes = machine.coef_[0] / scale
    return np.concatenate([[slopes @ mean - machine.intercept_[0]], -slopes, [1.0]])


def left_out(examples: Sequence[Examples], sums: Sequence[NDArray[np.float64]], seed: int) -> NDArray[np.float64]:
    """Plane (fold, 2 + feature) for each fold, of the others."""
    folds = range(len(sums))
    return np.array([plane([examples[j] for j in folds if j != k], ridge.without(sums, k), seed) for k in folds])


def explained(sums: Sequence[NDArray[np.float64]], planes: NDArray[np.float64]) -> float:
    """Squared correlation within configurations of y and the side of the plane, each fold's by the plane of the others."""
    sides = [(s @ M[1:-1, -1], s @ M[1:-1, 1:-1] @ s, M[-1, -1]) for M, s in zip(sums, -planes[:, 1:-1], strict=True)]
    along, across, total = np.sum(sides, axis=0)
    return float(along**2 / (across * total)) if across * total > 0 else 0.0


def _joined(examples: Sequence[Examples]) -> Examples:
    x, moves = zip(*examples, strict=True)
    return np.concatenate(x), np.concatenate(moves)
