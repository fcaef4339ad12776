"""Where frames come from: one protocol; simulations and files are its two implementations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from daskglass.engines.ensembles import Isoconfigurational
from daskglass.engines.link import Link
from daskglass.store.blocks import Block
from daskglass.study.settings import Images
from daskglass.trajectories import Format
from daskglass.trajectories.several_files import get_reader
from daskglass.trajectories.survey import Survey
from daskglass.variables import Variable


@dataclass(frozen=True)
class Recording:
    """What is recorded of a run.

    Attributes
    ----------
    frames : number of frames
    times : (frames,) τ; None where every temperature and replica has its own
    lags : τ, between whose frames motion is computed; None where it is computed from another run
    variables : that come with the frames
    alone : whether motion is computed from this run and no other
    configurations : (frames,) their numbers, where frames are configurations of isoconfigurational ensembles and lie along
        `configuration`; None where they lie along time
    trajectories : numbers of the trajectories whose positions are kept, from each of these; None where none are
    """

    frames: int
    times: NDArray[np.float64] | None
    lags: NDArray[np.float64] | None
    variables: tuple[Variable, ...]
    alone: bool = True
    configurations: NDArray[np.int64] | None = None
    trajectories: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Origin:
    """File of a run: an engine's, or the user's, in a format and as it was when the study was planned."""

    path: Path
    format: str = "gsd"
    survey: Survey | None = None
    images: Images = "trusted"

    @property
    def reader(self) -> Format:
        """What reads the file, or several."""
        return get_reader(self.format, self.survey.parts if self.survey else ())


@dataclass(frozen=True)
class Ensemble:
    """Files of the trajectories that start from one configuration, by lag."""

    files: Mapping[float, Path]


@dataclass(frozen=True)
class Feed:
    """How the frames of one block come into the store.

    Attributes
    ----------
    origin : the file; or the files of a configuration, or the trajectories that an engine runs from it
    inputs : hashes of what decides the frames, by name
    problem : why the file cannot be read; empty where it can
    grew : whether the file only grew: what is in the store stays until all of it is read
    continues : whether positions continue those of the block before
    """

    origin: Origin | Ensemble | Isoconfigurational
    inputs: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""
    grew: bool = False
    continues: bool = False


@dataclass(frozen=True)
class Simulation:
    """One link of the chain of simulations from hot to cold.

    Attributes
    ----------
    beginning : hash of what decides the state it hands over, all hotter links included
    inputs : hash of what decides it
    """

    link: Link
    beginning: Mapping[str, str]
    inputs: Mapping[str, str]


@dataclass(frozen=True)
class Effort:
    """What simulating takes.

    Attributes
    ----------
    particle_steps : time steps times particles
    chain : of them, those of the longest chain of links that wait for one another
    engine, threads : that simulates, and of it
    shifted : whether Δ > 0
    notes : what is not known
    """

    particle_steps: float = 0.0
    chain: float = 0.0
    engine: str = ""
    threads: int = 1
    shifted: bool = False
    notes: tuple[str, ...] = ()


class Source(Protocol):
    """Where the frames of one system come from."""

    @property
    def system(self) -> str:
        """Name of the system."""

    @property
    def particles(self) -> int:
        """Number of particles."""

    @property
    def species(self) -> tuple[str, ...]:
        """Names of the species; the first is the one whose structure and motion are computed."""

    @property
    def codes(self) -> NDArray[np.int8]:
        """Species code of every particle."""

    @property
    def box(self) -> NDArray[np.float64] | None:
        """Edges of the box, (3,), σ; None where they are not the same in all frames and files."""

    @property
    def timestep(self) -> float:
        """τ per time step."""

    @property
    def training_temperature(self) -> float:
        """Temperature of the labelled examples."""

    @property
    def runs(self) -> Mapping[str, Recording]:
        """What is recorded of every run, by its name."""

    def temperatures(self, run: str) -> tuple[float, ...]:
        """Temperatures of a run, from high to low."""

    def replicas(self, run: str) -> tuple[int, ...]:
        """Numbers of the replicas of a run, rising."""

    def has_frames(self, run: str, temperature: float, replica: int) -> bool:
        """Whether frames are to be brought into the store; false of what is there already, where files join it."""

    def feed(self, block: Block) -> Feed:
        """How the frames of a block come into the store."""

    @property
    def simulations(self) -> Sequence[Simulation]:
        """Simulations to run first, of each replica from hot to cold; none where frames come from files."""

    def effort(self) -> Effort:
        """What these simulations take."""

    def trajectories(self, block: Block) -> Sequence[Isoconfigurational]:
        """Isoconfigurational trajectories to run first from a configuration, by task; none where they come from files."""

    def shortest_edges(self) -> Mapping[Path, float]:
        """Shortest edge of the box in each file, σ; none where the study gives the box."""

    def attributes(self, run: str) -> dict[str, Any]:
        """Attributes of a run: where its frames come from."""
