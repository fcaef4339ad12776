"""The largest time step with which an engine simulates a mixture well, from a short simulation."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from daskglass.engines import ENERGY, TEMPERATURE, Simulation, get_engine
from daskglass.errors import EngineError
from daskglass.physics.defaults import TIMESTEPS
from daskglass.physics.systems import Mixture

PARTICLES = 1000
MARGIN = 0.5  # σ_AA beyond the cut-off that engines need for their lists of neighbours
SETTLING, SAMPLING = 20, 10  # τ_A
DURATION = 100  # τ_A over which the energy is watched
DRIFT = 1e-5  # ε per particle in that time
BIAS = 0.003  # of the kinetic temperature


class Trial(NamedTuple):
    """A time step, and what was measured with it.

    Attributes
    ----------
    timestep : τ_A
    temperature : ε_AA/k_B
    bias : by which the kinetic temperature is below that of the positions, relative to it
    drift, drift_err : of the energy per particle in 100 τ_A without a thermostat, and its standard error, ε_AA
    """

    timestep: float
    temperature: float
    bias: float
    drift: float
    drift_err: float


def largest_timestep(
    engine: str, mixture: Mixture, temperature: float, seed: int, timesteps: Sequence[float] = TIMESTEPS
) -> Trial:
    """Find the largest time step whose bias is below 0.3 % and whose drift is not beyond 1e-5 ε in 100 τ.

    The potential is cut off where its force is not zero, which lets the energy wander at any time step: a drift counts as far
    as it exceeds twice its standard error.

    Parameters
    ----------
    engine : name of the engine
    mixture : the mixture
    temperature : the hottest of the study, where forces are the largest
    seed : of the liquid
    timesteps : to choose from, τ_A

    Raises
    ------
    EngineError
        If none will do, with what was measured.
    """
    found, program = [], get_engine(engine)
    particles = max(PARTICLES, math.ceil(mixture.density * (2 * (mixture.longest_cutoff + MARGIN)) ** 3))
    smallest = min(timesteps)
    with tempfile.TemporaryDirectory() as folder:
        settled = Path(folder) / "settled"
        with program.start(mixture, particles, seed, temperature, smallest) as simulation:
            simulation.run(round(SETTLING / smallest))
            force = np.mean([_mean_squared_force(simulation, 1 / smallest) for _ in range(SAMPLING)])
            simulation.save(settled)
        for timestep in sorted(timesteps, reverse=True):
            # velocity Verlet: half a step on, ⟨v²⟩ = T + (F dt/2)², which is the temperature of the positions
            bias = float(timestep**2 * force / (4 * temperature))
            if bias >= BIAS:
                found.append(Trial(timestep, temperature, bias, math.nan, math.nan))
                continue
            with program.load(settled, mixture, timestep, temperature) as simulation:
                trial = Trial(timestep, temperature, bias, *_drift(simulation, particles, timestep))
            if abs(trial.drift) <= DRIFT + 2 * trial.drift_err:
                return trial
            found.append(trial)
    raise EngineError(
        f"timestep: auto: none of {', '.join(f'{dt:g}' for dt in timesteps)} will do at T = {temperature:g}; "
        f"measured: {[trial._asdict() for trial in found]}",
        remedy="give a number",
    )


def _mean_squared_force(simulation: Simulation, steps: float) -> float:
    """⟨F²⟩ of a component, after some steps."""
    simulation.run(round(steps))
    return float(np.mean(simulation.forces() ** 2))


def _drift(simulation: Simulation, particles: int, timestep: float) -> tuple[float, float]:
    """Drift of the energy per particle in `DURATION` without a thermostat, and its standard error."""
    simulation.isolate()
    energy = np.array([_energy(simulation, particles, 1 / timestep) for _ in range(DURATION)])
    return _slope(energy) * DURATION, _wandering(energy)


def _energy(simulation: Simulation, particles: int, steps: float) -> float:
    simulation.run(round(steps))
    frame = simulation.frame()
    kinetic = 1.5 * (1 - 1 / particles) * float(frame.log[TEMPERATURE][0])
    return float(frame.log[ENERGY][0]) / particles + kinetic


def _slope(energy: NDArray[np.float64]) -> float:
    return float(np.polyfit(np.arange(energy.size), energy, 1)[0])


def _wandering(energy: NDArray[np.float64], pieces: int = 5) -> float:
    """Standard error of a drift, from how far the energy moves from one piece of the time to the next."""
    means = energy.reshape(pieces, -1).mean(axis=1)
    return float(np.std(np.diff(means), ddof=1) * np.sqrt(pieces))
