"""Results to plot while a study runs: relaxation times, and P_R by stratum."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from daskglass import physics
from daskglass.store import blocks as store
from daskglass.variables import named

VARIABLE = "softness"


@dataclass(frozen=True)
class RelaxationTimes:
    """τ_α of the rows (temperature and replica) whose scattering functions are complete.

    Attributes
    ----------
    temperature, replica, time : (row,); time in τ
    slow : number of complete rows whose F(Q,t) does not cross 1/e within the run
    """

    temperature: NDArray[np.float64]
    replica: NDArray[np.int64]
    time: NDArray[np.float64]
    slow: int


@dataclass(frozen=True)
class Rearrangement:
    """P_R by stratum of softness.

    Attributes
    ----------
    temperature : (temperature,)
    middle : (stratum,) softness at the centre of each stratum
    probability, events : (temperature, stratum)
    energy, entropy : (stratum,) of the fitted barriers; None before the fit. Strata are from all temperatures before the
        fit, and from the supercooled ones after it
    """

    temperature: NDArray[np.float64]
    middle: NDArray[np.float64]
    probability: NDArray[np.float64]
    events: NDArray[np.int64]
    energy: NDArray[np.float64] | None
    entropy: NDArray[np.float64] | None


def relaxation(path: Path, system: str) -> RelaxationTimes:
    """Relaxation times of the complete temperatures and replicas of a system."""
    run = "relaxation" if (path / system / "relaxation").is_dir() else "production"
    scattering = store.open_group(path, f"{system}/{run}")["scattering"].load()
    rows = scattering.stack(row=("temperature", "replica")).transpose("row", "lag")
    known = np.isfinite(rows.values) & (rows["lag"].values > 0)
    there = known.any(axis=1)
    first = np.take_along_axis(rows.values, known.argmax(axis=1)[:, None], axis=1)[:, 0]
    falls = np.where(known, rows.values, np.inf).min(axis=1) <= np.exp(-1)
    crossing = there & falls & (first > np.exp(-1))
    drawn = rows.isel(row=crossing)
    return RelaxationTimes(
        drawn["temperature"].values,
        drawn["replica"].values,
        physics.dynamics.relaxation_time(named(drawn.reset_index("row"), "scattering")).values,
        int((there & ~crossing).sum()),
    )


def rearrangement(path: Path, system: str, fitted: bool) -> Rearrangement:
    """P_R by stratum of a system with a complete ensemble; with its barriers if they are `fitted`."""
    table = store.open_group(path, f"{system}/ensemble").sel(variable=VARIABLE)
    if fitted:
        names = ["probability", "events", "activation_energy", "activation_entropy", "stratum_middle"]
        fits = table[names].transpose("temperature", "stratum", ...).load()
        return Rearrangement(
            fits["temperature"].values,
            fits["stratum_middle"].values,
            fits["probability"].values,
            fits["events"].values,
            fits["activation_energy"].values,
            fits["activation_entropy"].values,
        )
    pooled = table[["candidate_samples", "candidate_events", "candidate_edges"]].isel(candidate=-1).load()
    counts = xr.Dataset({"samples": pooled["candidate_samples"], "events": pooled["candidate_events"]})
    P = physics.strata.probability_of(counts).transpose("temperature", "stratum", ...)
    edges = pooled["candidate_edges"].values
    return Rearrangement(
        P["temperature"].values, (edges[1:] + edges[:-1]) / 2, P["probability"].values, P["events"].values, None, None
    )
