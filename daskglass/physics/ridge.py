"""Ridge regression from sums over samples: those of groups add up, so that no fold and no penalty needs the samples again.

Of samples (x, y) the sums M hold the number n and Σ(x, y) in their first row and column, and elsewhere Σ δδᵀ, δ the difference
of (x, y) from its mean in the group. A line y = b + s·x is kept as v = (−b, −s, 1), so that δy − s·δx = v[1:]·δ.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

PENALTIES = np.logspace(-6, 2, 33)  # to choose from, per sample: eigenvalues of correlations are of order one
CONSTANT = 1e-12  # of its mean: standard deviation up to which a number is the same for all samples


def sums_of(xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums M (2 + feature, 2 + feature) over the samples of one group (sample, feature + 1), y last."""
    n, total = len(xy), xy.sum(axis=0)
    apart = xy - total / max(n, 1)
    return np.block([[np.array([[n]]), total[None]], [total[:, None], apart.T @ apart]])


def standards(M: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean of (x, y), and standard deviation within groups (1 + feature,); infinite for what is constant there."""
    mean, scale = M[0, 1:] / M[0, 0], np.sqrt(np.diag(M)[1:] / M[0, 0])
    return mean, np.where(scale > CONSTANT * np.abs(mean), scale, np.inf)


def lines(M: NDArray[np.float64], penalties: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lines v (2 + feature, penalty) that minimise ⟨(δy − s·δx)²⟩ + λ |w|², w the slopes s of standardised features.

    With R the correlations of the features and c their covariances with y, all of standardised features, w = (R + λ)⁻¹ c:
    for all λ from one decomposition of R.
    """
    mean, scale = standards(M)
    covariance = M[1:, 1:-1] / (M[0, 0] * scale[:-1])
    eigenvalues, vectors = np.linalg.eigh(covariance[:-1] / scale[:-1, None])
    along = vectors.T @ covariance[-1]
    w = vectors @ (along[:, None] / (np.maximum(eigenvalues, 0.0)[:, None] + penalties))
    slopes = w / scale[:-1, None]
    return np.concatenate([(mean[:-1] @ slopes - mean[-1])[None], -slopes, np.ones((1, penalties.size))])


def squared_errors(M: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums (penalty,) of (δy − s·δx)² over samples."""
    return np.asarray(np.einsum("ip,ip->p", v[1:], M[1:, 1:] @ v[1:]))


def without(folds: Sequence[NDArray[np.float64]], *left_out: int) -> NDArray[np.float64]:
    """Sums over all folds but some, which are never added: they cannot leak, not even by rounding."""
    return np.sum([M for k, M in enumerate(folds) if k not in left_out], axis=0)


def choose(folds: Sequence[NDArray[np.float64]]) -> tuple[int, NDArray[np.float64]]:
    """Place of the penalty with the least squared error in folds left out in turn; and its lines (fold, 2 + feature)."""
    found = [lines(without(folds, k), PENALTIES) for k in range(len(folds))]
    place = int(np.argmin(np.sum([squared_errors(M, v) for M, v in zip(folds, found, strict=True)], axis=0)))
    return place, np.array([v[:, place] for v in found])


def nested(folds: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Line (fold, 2 + feature) for each fold, of the others; its penalty chosen by leaving out each of those in turn too."""
    errors = np.zeros((len(folds), PENALTIES.size))
    for one in range(len(folds)):
        for other in range(one):
            v = lines(without(folds, one, other), PENALTIES)
            errors[one] += squared_errors(folds[other], v)
            errors[other] += squared_errors(folds[one], v)
    best = PENALTIES[errors.argmin(axis=1)]
    return np.array([lines(without(folds, k), best[[k]])[:, 0] for k in range(len(folds))])
