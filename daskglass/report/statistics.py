"""Tests of laws that hold approximately: a departure against the margin up to which it counts as none.

A departure has two p-values. `within` is small where it is surely smaller than the margin: an equivalence test [1]_.
`beyond` is small where it is surely larger. Where both are large, the data do not decide.

References
----------
.. [1] D. J. Schuirmann, "A comparison of the two one-sided tests procedure and the power approach for assessing the
   equivalence of average bioavailability", Journal of Pharmacokinetics and Biopharmaceutics 15, 657 (1987).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

LEVEL = 0.05  # probability of a wrong verdict, over all tests of a claim
POWER = 0.8  # probability to find what is called large enough to be found
DRAWS = 100_000  # of noise: p-values near LEVEL are known to 0.0007
MOST = 1000.0  # times as much data that nobody will simulate
RELATIVE = 1e-12  # eigenvalues of a covariance that are rounding, relative to the largest


@dataclass(frozen=True)
class Tested:
    """A departure that was tested against a margin.

    Attributes
    ----------
    value, error : the departure, and its standard error or what errors alone would make it
    within : p-value against a true departure beyond the margin
    beyond : p-value against a true departure within the margin
    found : smallest true departure that is surely beyond the margin at a given level, with probability `POWER`
    times : how many times as much data decide with that probability if the departure is as measured; a departure beyond
        the margin at a given level, one within at `LEVEL`
    """

    value: float
    error: float
    within: float
    beyond: float
    found: Callable[[float], float]
    times: Callable[[float], float]

    @property
    def outside(self) -> bool:
        """Whether it lies beyond the margin as measured."""
        return self.within > 0.5


def departure(
    value: float,
    error: float,
    margin: float,
    signed: bool = False,
    freedom: float = np.inf,
    refutes: bool = True,
) -> Tested:
    """Test the departure of one number.

    Parameters
    ----------
    value, error : the departure and its standard error, above 0
    margin : largest departure that counts as none
    signed : only positive departures count, as a fall of what must rise
    freedom : degrees of freedom from which the error was estimated
    refutes : a departure beyond the margin speaks against the law; if not, the test can only confirm
    """
    size = value if signed else abs(value)
    t = (size - margin) / error

    def above(t: float) -> float:
        return float(stdtr(freedom, -t))

    def quantiles(level: float) -> float:
        return float(stdtrit(freedom, 1 - level) + stdtrit(freedom, POWER))

    def times(level: float) -> float:
        with np.errstate(divide="ignore"):
            return float(np.square(np.float64(quantiles(LEVEL if t < 0 else level)) / t))

    other = 0.0 if signed else above((size + margin) / error)
    beyond = min(1.0, above(t) + other) if refutes else 1.0
    return Tested(value, error, above(-t), beyond, lambda level: margin + quantiles(level) * error, times)


def in_each(tests: Sequence[Tested]) -> Tested:
    """The first of several tests of one departure, made under choices that are as good as each other: sure where all are."""
    # more data make each sure of its own side
    alike = len({test.outside for test in tests}) == 1
    return replace(
        tests[0],
        within=max(test.within for test in tests),
        beyond=max(test.beyond for test in tests),
        found=lambda level: max(test.found(level) for test in tests),
        times=lambda level: max(test.times(level) for test in tests) if alike else np.inf,
    )


def root_mean_square(
    values: NDArray[np.float64], covariance: NDArray[np.float64], margin: float, freedom: float = np.inf
) -> Tested:
    """Test the root mean square of many departures, which share errors.

    Its distribution depends on the direction of the true departures, which is not known. Here they point where the
    errors are largest, which makes both small and large values likeliest: other directions give fewer wrong verdicts.

    Parameters
    ----------
    values, covariance : departures, and the covariance of their errors
    margin : largest root mean square that counts as none
    freedom : degrees of freedom from which the size of the covariance was estimated
    """
    n = values.size
    value = float(np.sqrt((values**2).mean()))
    spread = np.linalg.eigvalsh(covariance)[::-1]
    spread = spread[spread > RELATIVE * spread[0]]
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((DRAWS, spread.size)) * np.sqrt(spread / n)
    if np.isfinite(freedom):
        noise /= np.sqrt(rng.chisquare(freedom, (DRAWS, 1)) / freedom)
    worst, others = noise[:, 0], (noise[:, 1:] ** 2).sum(axis=1)

    def measured(true: float, more: float = 1.0) -> NDArray[np.float64]:
        """What is measured if the true one is given, with `more` times as much data."""
        return np.sqrt((true + worst / np.sqrt(more)) ** 2 + others / more)

    at_margin = measured(margin)
    error = float(np.sqrt(spread.sum() / n))
    # less than errors make counts as what they make: chance, or errors that are too large, must not confirm
    smaller, larger = at_margin <= max(value, error), at_margin >= value
    within, beyond = (float((chosen.sum() + 1) / (DRAWS + 1)) for chosen in (smaller, larger))

    def found(level: float) -> float:
        critical = np.quantile(at_margin, 1 - level)
        # how large the true one must be for each draw of noise to become critical
        needed = np.sqrt(np.maximum(critical**2 - others, 0.0)) - worst
        return float(np.quantile(needed, POWER))

    def times(level: float) -> float:
        true = np.sqrt(max(value**2 - error**2, 0.0))

        def decide(more: float) -> bool:
            if true < margin:
                return bool(np.quantile(measured(true, more), POWER) <= np.quantile(measured(margin, more), LEVEL))
            return bool(np.quantile(measured(true, more), 1 - POWER) >= np.quantile(measured(margin, more), 1 - level))

        return next((float(more) for more in np.geomspace(1.01, MOST, 60) if decide(more)), np.inf)

    return Tested(value, error, within, beyond, found, times)


def holm(p: Sequence[float]) -> NDArray[np.bool_]:
    """Find the hypotheses that are rejected, so that a true one is among them with probability `LEVEL` at most.

    Whatever the tests have in common; S. Holm, Scandinavian Journal of Statistics 6, 65 (1979).
    """
    order = np.argsort(p)
    passed = np.asarray(p)[order] <= LEVEL / np.arange(len(p), 0, -1)
    rejected = np.zeros(len(p), bool)
    rejected[order] = np.logical_and.accumulate(passed)
    return rejected
