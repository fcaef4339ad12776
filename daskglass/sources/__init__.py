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
from daskglass.errors import TrajectoryError
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
    of : run whose frames, by number, the configurations are; empty where they are of none
    trajectories : most that start from one configuration
    kept : numbers of the trajectories whose positions are kept, from each of these; None where none are
    """

    frames: int
    times: NDArray[np.float64] | None
    lags: NDArray[np.float64] | None
    variables: tuple[Variable, ...]
    alone: bool = True
    configurations: NDArray[np.int64] | None = None
    of: str = ""
    trajectories: int = 0
    kept: NDArray[np.int64] | None = None


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

    def check_unchanged(self) -> None:
        """Refuse a file that is not as it was when the study was planned.

        Raises
        ------
        TrajectoryError
            Naming it.
        """
        if self.survey is not None and not self.survey.is_of(self.path):
            raise changed_while_read(self.path)


def changed_while_read(path: Path) -> TrajectoryError:
    """Error of a file that is not as it was when the study was planned."""
    return TrajectoryError("changed while it was being read", file=path, remedy="run again once it is whole")


@dataclass(frozen=True)
class Ends:
    """Where trajectories from one configuration end: an `.npz` file for each lag, None where there is none.

    Attributes
    ----------
    files : by lag, τ
    states : size of each file, and time of its last change in ns, when the study was planned
    """

    files: Mapping[float, Path | None]
    states: Mapping[Path, tuple[int, int]]


@dataclass(frozen=True)
class Started:
    """Trajectories from one configuration, a file each; none where there is no such configuration.

    Attributes
    ----------
    origins : the files
    steps : time steps from start to each lag
    names : of the types in the files, in the order of the species
    """

    origins: tuple[Origin, ...]
    steps: tuple[int, ...]
    names: tuple[str, ...]


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

    origin: Origin | Ends | Started | Isoconfigurational
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
