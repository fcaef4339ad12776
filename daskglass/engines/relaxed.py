"""Whether a relaxation run is long enough for what it is for: the relaxation time and the diffusion coefficient."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import gsd.hoomd
import numpy as np
from numpy.typing import NDArray

from daskglass.physics.relaxation import is_diffusive, self_scattering

SPAN = 10**0.3  # factor in time over which motion is diffusive: two, in lags of ten a decade
WINDOWS = 2  # of the run's length that the longest lag looked at fits into, so that no single one decides


def is_relaxed(file: Path, recorded: Sequence[int], kept: Sequence[int], lags: Sequence[int], particles: int) -> bool:
    """Whether F(Q,t) crosses 1/e and the mean squared displacement is diffusive over a factor of two in time.

    Parameters
    ----------
    file : GSD file of the run
    recorded : steps of its frames
    kept : steps of the frames that are looked at
    lags : steps between two of them, rising; those up to half the run count
    particles : number of particles of the first species, which are the first of a frame
    """
    place = {step: k for k, step in enumerate(recorded)}
    there = set(kept)
    pairs = {lag: [(step, step + lag) for step in kept if step + lag in there] for lag in lags}
    known = [lag for lag in lags if WINDOWS * lag <= kept[-1] and pairs[lag]]
    if not known:
        return False
    with gsd.hoomd.open(file, "r") as frames:
        position = {step: _unwrapped(frames[place[step]]) for step in kept}
    F, msd = np.zeros(len(known)), np.zeros(len(known))
    for k, lag in enumerate(known):
        for first, second in pairs[lag]:
            moved = position[second] - position[first]
            drift = moved.mean(axis=0, dtype=np.float64)
            F[k] += self_scattering(moved[:particles], drift) / len(pairs[lag])
            msd[k] += np.mean(np.sum((moved[:particles] - drift) ** 2, axis=1)) / len(pairs[lag])
    t = np.array(known, np.float64)
    diffusive = t[is_diffusive(t, msd)]
    return bool(F.min() <= np.exp(-1) and diffusive.size and diffusive[-1] >= SPAN * diffusive[0] * (1 - 1e-3))


def _unwrapped(frame: gsd.hoomd.Frame) -> NDArray[np.float32]:
    edges = frame.configuration.box[:3]
    return np.asarray(frame.particles.position + frame.particles.image * edges, np.float32)
