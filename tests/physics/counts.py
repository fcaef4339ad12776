"""Counts of strata that rearrange by a known law."""

import numpy as np
import xarray as xr

from daskglass.physics.strata import probability_of

ONSET = 0.87
AT_ONSET = np.log(0.3)  # ln P_R where all strata meet
ENERGY = np.array([6.0, 5.0, 4.0, 3.0, 2.0])
ENTROPY = AT_ONSET + ENERGY / ONSET
TEMPERATURES = np.array([0.80, 0.75, 0.70, 0.67, 0.64, 0.61, 0.58, 0.55, 0.53, 0.51, 0.49, 0.47, 0.45])
STRATUM = np.arange(5.0)


def law(temperatures=TEMPERATURES, energy=ENERGY, entropy=ENTROPY):
    """P_R(T, stratum) of strata that meet at the onset, and do not part again above it."""
    T = np.minimum(np.asarray(temperatures), ONSET)[:, None]
    return np.exp(entropy - energy / T)


def counted(events, samples, temperatures=TEMPERATURES):
    dims = ("temperature", "stratum")
    P = xr.Dataset(
        {"events": (dims, np.asarray(events)), "samples": (dims, np.broadcast_to(samples, np.shape(events)))},
        coords={"temperature": temperatures, "stratum": np.arange(np.shape(events)[1])},
    )
    return probability_of(P)


def histories_of_counts(seed, block=1, replicas=3, frames=60, samples=2000, temperatures=TEMPERATURES):
    """Binomial counts of every frame; frames of a block repeat one another, as within the window of a hop."""
    rng = np.random.default_rng(seed)
    P = law(temperatures)[:, None, None, :]
    events = rng.binomial(samples, np.broadcast_to(P, (len(P), replicas, frames // block, 5))).repeat(block, axis=2)
    dims = ("temperature", "replica", "time", "stratum")
    return xr.Dataset(
        {"samples": (dims, np.full(events.shape, samples)), "events": (dims, events)},
        coords={"temperature": temperatures},
    )
