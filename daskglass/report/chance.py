"""How rare a difference is that chance alone makes: of two numbers with errors, and the largest of many differences.

An error over two replicas has one degree of freedom: ten of it are then no rare difference. Each difference becomes the
σ of a normal distribution that is exceeded as rarely; and the more of them there are, the further the largest goes.

References
----------
.. [1] B. L. Welch, "The Generalization of 'Student's' Problem when Several Different Population Variances are Involved",
   Biometrika 34, 28 (1947).
.. [2] F. E. Satterthwaite, "An Approximate Distribution of Estimates of Variance Components", Biometrics Bulletin 2, 110
   (1946).
.. [3] M. R. Mickey and M. B. Brown, "Bounds on the Distribution Functions of the Behrens-Fisher Statistic", Annals of
   Mathematical Statistics 37, 639 (1966).
.. [4] Z. Šidák, "Rectangular Confidence Regions for the Means of Multivariate Normal Distributions", Journal of the
   American Statistical Association 62, 626 (1967).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtr


def student(
    difference: NDArray[np.float64],
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    first_freedom: NDArray[np.float64] | float,
    second_freedom: NDArray[np.float64] | float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Student's t of differences, and its degrees of freedom.

    They are those of Welch [1]_ and Satterthwaite [2]_ where both errors have as many, and the fewer where not, which is
    cautious [3]_: beyond 3 σ, Welch's would be wrong by orders of magnitude where the larger error has the fewer, as that
    may have come out small by chance.

    Parameters
    ----------
    difference : of two numbers each
    first, second : their standard errors
    first_freedom, second_freedom : their degrees of freedom, of all or of each
    """
    squares = np.stack([first**2, second**2])
    total = squares.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        # what is the same does not differ, even without errors
        t = np.where(difference == 0, 0.0, difference / np.sqrt(total))
        shared = total**2 / (squares**2).sum(axis=0)
    both = np.equal(first_freedom, second_freedom) & (total > 0)
    return t, np.minimum(first_freedom, second_freedom) * np.where(both, shared, 1.0)


def student_sigma(t: NDArray[np.float64], freedom: NDArray[np.float64]) -> NDArray[np.float64]:
    """Normal deviate that is exceeded as rarely as Student's t with `freedom` degrees of freedom."""
    size = np.abs(t)
    # the rarest that a double can hold is 38 σ; a deviate never exceeds its t
    return np.sign(t) * np.minimum(-ndtri(stdtr(freedom, -size)), size)


def lines_freedom(points: int) -> float:
    """Degrees of freedom that tell how far the points of a line scatter beyond their own errors; ∞ where none tell it."""
    return points - 2.0 if points > 2 else np.inf


def family_bound(sigma: float, number: int) -> float:
    """Bound, in σ, that the largest of `number` differences exceeds as rarely as one alone exceeds `sigma`, by Šidák [4]_.

    1 − (1 − p)^number = P(|x| > sigma), p = P(|x| > bound): exact where differences are independent, and cautious where they
    are not.
    """
    return float(-ndtri(-np.expm1(np.log1p(-2 * ndtr(-sigma)) / number) / 2))
