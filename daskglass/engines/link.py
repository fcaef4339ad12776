"""One link of a temperature sweep, in plain values that travel between processes, and what it leaves behind."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from daskglass.engines.schedules import Logarithmic, Uniform, uniform_steps
from daskglass.errors import StudyError
from daskglass.physics.systems import Mixture

WHERE = ("folder", "previous")  # of a link, which do not matter; what it continues does
RECORDED = ("production", "training", "relaxation", "equilibration")  # of a link, after it was handed over


class Duration(NamedTuple):
    """A least time: `minimum`, and `multiple` relaxation times."""

    minimum: float  # τ_A
    multiple: float  # τ_α

    def of(self, relaxation_time: float) -> float:
        """Return it in τ_A; NaN while τ_α is."""
        # nothing is larger than NaN
        return max(self.multiple * relaxation_time, self.minimum)


@dataclass(frozen=True)
class Link:
    """Everything that decides what one link simulates.

    Attributes
    ----------
    engine : name of the engine
    system : name of the system, for messages
    mixture : the system
    particles : number of particles
    replica : number of the replica; every replica draws its own lattice and velocities
    seed : of the study
    temperature : ε_AA/k_B
    timestep : τ_A
    folder : where this link's files go
    production, training : runs of uniform frames
    equilibration : how long before recording
    handover : how long before the next colder link starts from this one; None for only at the end of this one
    previous : folder of the link at the next hotter temperature; None to start from a lattice
    relaxation : run of logarithmic frames
    relaxation_time : τ_α in τ_A where it is known; None to measure it
    threads : of the engine

    Raises
    ------
    StudyError
        If an interval is not a whole number of time steps, a run has no frames, or the link is handed over after its
        equilibration.
    """

    engine: str
    system: str
    mixture: Mixture
    particles: int
    replica: int
    seed: int
    temperature: float
    timestep: float
    folder: Path
    production: Uniform
    equilibration: Duration
    handover: Duration | None = None
    previous: Path | None = None
    training: Uniform | None = None
    relaxation: Logarithmic | None = None
    relaxation_time: float | None = None
    threads: int = 1

    def __post_init__(self) -> None:
        for name in ("particles", "temperature", "timestep", "threads"):
            if not getattr(self, name) > 0:
                raise StudyError(f"{name} must be positive; got {getattr(self, name)}")
        if self.relaxation_time is not None and not 0 < self.relaxation_time < math.inf:
            raise StudyError(f"relaxation_time must be positive and finite; got {self.relaxation_time}")
        for run in (self.production, self.training):
            if run is not None:
                uniform_steps(run, self.timestep)
        if self.handover is not None and any(
            early > late for early, late in zip(self.handover, self.equilibration, strict=True)
        ):
            raise StudyError(
                f"handover of {tuple(self.handover)} is longer than the equilibration of {tuple(self.equilibration)}"
            )
        if self.relaxation is not None and not (min(self.relaxation[:2]) >= 1 and self.relaxation.longest >= 5):
            raise StudyError(
                "relaxation must have at least one origin and one point, and last up to at least 5 τ_α; "
                f"got {tuple(self.relaxation)}"
            )

    @property
    def beginning(self) -> dict[str, Any]:
        """What decides the state that is handed over, beside the hotter link."""
        later = () if self.handover is None else RECORDED
        settings = {name: value for name, value in vars(self).items() if name not in (*WHERE, *later)}
        return settings | {"mixture": self.mixture.model_dump()}

    @property
    def recorded(self) -> dict[str, Any]:
        """What decides the rest."""
        return {name: getattr(self, name) for name in RECORDED}

    @property
    def runs(self) -> list[str]:
        """Runs that are recorded, in order."""
        return [run for run in ("relaxation", "production", "training") if getattr(self, run) is not None]


@dataclass(frozen=True)
class Receipt:
    """What a finished link left behind.

    Attributes
    ----------
    runs : GSD file of each run recorded: production, training, relaxation
    checkpoint : the engine's state at the end
    relaxation_time : τ_α given or last measured during equilibration, τ_A
    energy : mean potential energy per particle over the production frames, ε_AA
    pressure : the same, ε_AA/σ_AA³
    temperature : mean kinetic temperature over the production frames, ε_AA/k_B
    steps : time steps run in this link
    wall : seconds spent, without what an interruption lost
    """

    runs: dict[str, Path]
    checkpoint: Path
    relaxation_time: float
    energy: float
    pressure: float
    temperature: float
    steps: int
    wall: float
