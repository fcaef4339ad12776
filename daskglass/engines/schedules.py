"""When frames are recorded, in time steps: evenly, or at logarithmic times from origins all over a run."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from daskglass.errors import StudyError

SHORTEST = 12.0  # τ_α of a relaxation run: motion becomes diffusive at lags of about six
LONG, SHORT, PER_DECADE = 48.0, 24.0, 8.0  # τ_α of a relaxation run, as measured: when τ_α is 2 τ_A, 2000, and between


class Uniform(NamedTuple):
    """A run of frames evenly spaced in time, the first at its start."""

    frames: int
    interval: float  # τ_A


class Logarithmic(NamedTuple):
    """A run of frames spaced logarithmically from origins all over it, as long as it takes."""

    origins: int
    points: int
    longest: float  # τ_α


def lag_grid(longest_steps: int) -> list[int]:
    """Lags of relaxation runs: round(10^{k/10}) time steps, k = 0, 1, 2, …, up to the first not below `longest_steps`.

    The grid is the same at every temperature, so runs of different length share their lags.
    """
    grid = [1]
    for k in itertools.count(1):
        if grid[-1] >= longest_steps:
            return grid
        lag = round(10 ** (k / 10))
        if lag > grid[-1]:
            grid.append(lag)
    raise AssertionError("unreachable")


def logarithmic_lags(per_decade: int, longest_steps: int, timestep: float) -> list[int]:
    """Lags 10^{k/n} τ_A, k = −n, 1 − n, …, rounded to time steps: n to a factor of ten, up to `longest_steps`.

    They do not depend on the temperature, so ensembles that end at different lags share those before.
    """
    found: list[int] = []
    for k in itertools.count(-per_decade):
        steps = round(10 ** (k / per_decade) / timestep)
        if steps > longest_steps:
            return found
        if steps > (found[-1] if found else 0):
            found.append(steps)
    raise AssertionError("unreachable")


def first_not_below(steps: Sequence[int], duration: float, timestep: float) -> int | None:
    """Place of the first of rising `steps` that is not below a time in τ_A; None where all are."""
    # rounded, lest a time that is a step to the last bit be taken for more
    place = bisect.bisect_left(steps, round(duration / timestep, 6))
    return place if place < len(steps) else None


def expected_length(run: Logarithmic, relaxation_time: float) -> float:
    """Foresee how long a relaxation run takes, τ_A: in deeper supercooled liquids particles move farther within τ_α."""
    multiple = LONG - PER_DECADE * math.log10(max(relaxation_time, 2.0) / 2.0)
    return min(run.longest, max(SHORT, multiple)) * relaxation_time


def uniform_steps(run: Uniform, timestep: float) -> list[int]:
    """Return the steps of a run of uniform frames, the first 0.

    Raises
    ------
    StudyError
        If the interval is not a whole number of time steps, or there are no frames.
    """
    frames, interval = run
    steps = round(interval / timestep)
    if frames < 1 or steps < 1 or not math.isclose(steps * timestep, interval, rel_tol=1e-9):
        raise StudyError(
            f"a run needs frames >= 1 and an interval of a whole number of time steps; got {frames} frames, "
            f"interval {interval} = {interval / timestep:.6g} time steps of {timestep}"
        )
    return [i * steps for i in range(frames)]


@dataclass(frozen=True)
class Relaxation:
    """Steps of a relaxation run, whose length shows only while it runs, and whose number of frames is fixed.

    Frames recur with a period, at the remainders of all lags: so every multiple of the period is an origin that finds a
    frame at every lag. Each time the run is as long as `origins` periods, the period doubles. The frames of the doubled
    period are among those of the old: at the end as many are kept as there should be, all over the run.

    Attributes
    ----------
    origins : number of periods that have `frames` frames
    lags : rising
    period : the first
    longest : steps after which the run ends in any case
    """

    origins: int
    lags: tuple[int, ...]
    period: int
    longest: int

    @property
    def frames(self) -> int:
        """Frames of the run, whatever its length."""
        return self.origins * (1 + len(self.lags))

    def stretches(self) -> Iterator[tuple[int, list[int]]]:
        """Yield the ends where the run may end, each with the steps that are recorded up to it."""
        end, period = self.origins * self.period, self.period
        yield end, self._recurring(period, 0, end)
        while end < self.longest:
            if end >= self.origins * period:
                period *= 2
            start, end = end, min(end + period, self.longest)
            yield end, self._recurring(period, start, end)

    def kept(self, end: int) -> list[int]:
        """Steps of the frames that are kept of a run that ended there."""
        period = self.period
        while self.origins * period < end:
            period *= 2
        kept = self._recurring(period, 0, end)
        if len(kept) < self.frames:
            # room is left until the doubled period fills the run: for the earliest frames of the old one
            between = set(self._recurring(period // 2, 0, self.origins * (period // 2))).difference(kept)
            kept = sorted([*kept, *sorted(between)[: self.frames - len(kept)]])
        return kept

    def _recurring(self, period: int, start: int, end: int) -> list[int]:
        offsets = _remainders(self.lags, period)
        first = start // period * period
        return [
            origin + offset
            for origin in range(first, end, period)
            for offset in offsets
            if start <= origin + offset < end
        ]


def relaxation(run: Logarithmic, relaxation_time: float, timestep: float) -> Relaxation:
    """Return the steps of a relaxation run: its lags are the largest `points` of the grid up to `longest` τ_α.

    Parameters
    ----------
    run : numbers of origins and of points, and the greatest length in τ_α
    relaxation_time : τ_α, τ_A
    timestep : τ_A
    """
    # rounded, lest a length that is a lag to the last bit be taken for more
    longest = math.ceil(round(run.longest * relaxation_time / timestep, 6))
    grid = lag_grid(longest)
    while len(grid) < run.points:
        grid = lag_grid(grid[-1] + 1)
    lags = tuple(grid[-run.points :])
    period = max(1, round(min(SHORTEST, run.longest) * relaxation_time / timestep / run.origins))
    while len(_remainders(lags, period)) <= len(lags):
        # two frames fell on one step: the number of frames must not depend on τ_α
        period += 1
    return Relaxation(run.origins, lags, period, max(longest, run.origins * period))


def _remainders(lags: tuple[int, ...], period: int) -> list[int]:
    return sorted({0, *(lag % period for lag in lags)})
