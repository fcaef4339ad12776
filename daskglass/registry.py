"""What is chosen by name: readers, engines, batch systems, figures and templates. To add one, write its file, and its line here.

Study files, cluster.yaml, help, error texts and the page read these tables. A place, `module` or `module:name`, is
imported when it is used.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, TypeVar

from daskglass.errors import StudyError

MOST_SHOWN = 100  # characters of a name that is unknown

Entry = TypeVar("Entry")


@dataclass(frozen=True)
class ReaderEntry:
    """A format of trajectory files.

    Attributes
    ----------
    place : module with the functions of `daskglass.trajectories.Format`
    about : what it reads
    project : function from the path of a project to the pattern of its files and a table of what they belong to; empty
        where the user gives both
    ensembles : whether files are of isoconfigurational ensembles, a file for each configuration and lag
    magic : first bytes of a file, unpacked, by which it is recognised; empty where it is not
    """

    place: str
    about: str
    project: str = ""
    ensembles: bool = False
    magic: bytes = b""


@dataclass(frozen=True)
class Speed:
    """Speed of an engine on one core, or on one GPU.

    Attributes
    ----------
    steps : particle-steps per second, where Δ = 0 and where Δ > 0
    evaluations : particles per second whose forces a minimiser evaluates, lists of neighbours included
    parallel : share of the time of a simulation that threads divide among them
    """

    steps: tuple[float, float]
    evaluations: float
    parallel: float = 0.0

    def speedup(self, threads: int) -> float:
        """How much faster a simulation is on several threads than on one."""
        return 1.0 / (1.0 - self.parallel + self.parallel / threads)


@dataclass(frozen=True)
class EngineEntry:
    """A molecular dynamics engine.

    Attributes
    ----------
    place : class that follows `daskglass.engines.Engine`, or `Minimizer` where it does not simulate
    about : what it is
    minimizers : each with the force evaluations that bring a frame to 1e-5; the first is the default
    memory : bytes of a particle, of neighbour lists and all else in the engine
    core, gpu : speeds; None where it uses no GPU
    simulates : whether it does more than minimise
    shifts : what of a mixture's `cutoff_shift` it has
    threaded : whether it simulates on several threads
    """

    place: str
    about: str
    minimizers: Mapping[str, int]
    memory: int
    core: Speed
    gpu: Speed | None = None
    simulates: bool = True
    shifts: tuple[str, ...] = ("energy",)
    threaded: bool = False


@dataclass(frozen=True)
class BatchSystemEntry:
    """A batch system.

    Attributes
    ----------
    place : cluster class of dask-jobqueue
    about : its name
    why : command that says why a job waits
    walltimes : formats of a walltime, as its manual has them; empty where jobs have none
    states : command that lists the user's jobs, a line each: number, then state; empty where it is not asked
    required : keys of a profile that it needs beside those all need, each with its remedy
    described : whether jobs are described in lines `key = value`, where $( begins a macro, and not by a script
    """

    place: str
    about: str
    why: str
    walltimes: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    required: Mapping[str, str] = field(default_factory=dict)
    described: bool = False


@dataclass(frozen=True)
class FigureEntry:
    """A figure of the page; its number is its place among them.

    Attributes
    ----------
    place : module that follows `daskglass.report.figures.Drawing`
    """

    place: str


READERS: dict[str, ReaderEntry] = {
    "gsd": ReaderEntry("daskglass.trajectories.gsd", "GSD files in HOOMD-blue's schema", magic=b"\xdf\x65" * 4),
    "lammps": ReaderEntry("daskglass.trajectories.lammps", "LAMMPS text dumps, plain or compressed", magic=b"ITEM:"),
    "signac": ReaderEntry(
        "daskglass.trajectories.gsd",
        "GSD files of a signac project; the pattern is the project, or files in a job",
        "daskglass.trajectories.signac:project_rows",
    ),
    "isoconfigurational": ReaderEntry(
        "daskglass.trajectories.isoconfigurational",
        "isoconfigurational ensembles, .npz",
        ensembles=True,
        magic=b"PK\x03\x04",
    ),
}

ENGINES: dict[str, EngineEntry] = {
    # measured on one core of a 2024 server
    "native": EngineEntry(
        "daskglass.engines.native:Native", "built in, minimises only; one core",
        minimizers={"fire": 1500, "descent": 3600}, memory=1800, core=Speed((math.nan, math.nan), 4.6e6), simulates=False,
        shifts=("energy", "force"),
    ),
    "lammps": EngineEntry(
        "daskglass.engines.lammps:Lammps", "LAMMPS, embedded; any number of cores",
        minimizers={"fire": 1500, "cg": 1700}, memory=800, core=Speed((2.2e6, 1.7e6), 1.7e6, 0.85), threaded=True,
    ),
    # Core: about half of LAMMPS's. GPU: half of what HOOMD-blue's benchmark MDPairLJ reports for an A100 and 64,000
    # particles at ρ = 1, 4,400 steps a second: fewer particles do not fill it. ExpandedLJ is taken to cost what it costs
    # in LAMMPS. Evaluations: LAMMPS's at its longer time step of FIRE. Memory: twice LAMMPS's, for neighbour lists
    # that hold each pair twice. None of these was measured by us.
    "hoomd": EngineEntry(
        "daskglass.engines.hoomd:Hoomd", "HOOMD-blue; one GPU, or one core",
        minimizers={"fire": 2200}, memory=1600, core=Speed((1.1e6, 0.8e6), 0.8e6), gpu=Speed((1.4e8, 1.1e8), 1.1e8),
    ),
}  # fmt: skip

BATCH_SYSTEMS: dict[str, BatchSystemEntry] = {
    "slurm": BatchSystemEntry(
        "dask_jobqueue:SLURMCluster", "Slurm", "squeue --me", ("M", "M:S", "H:M:S", "D-H", "D-H:M", "D-H:M:S"),
        ("squeue", "--noheader", "--me", "--format=%i %T (%r)"),
    ),
    "pbs": BatchSystemEntry("dask_jobqueue:PBSCluster", "PBS", "qstat -f", ("S", "H:M:S")),
    "lsf": BatchSystemEntry("dask_jobqueue:LSFCluster", "LSF", "bjobs -p", ("M", "H:M")),
    "sge": BatchSystemEntry("dask_jobqueue:SGECluster", "Grid Engine", "qstat", ("S", "H:M:S"), ("qstat",)),
    "htcondor": BatchSystemEntry(
        "dask_jobqueue:HTCondorCluster", "HTCondor", "condor_q -better-analyze", described=True,
        required={"disk": "give the disk space of a job, such as 10GB"},
    ),
    "oar": BatchSystemEntry("dask_jobqueue:OARCluster", "OAR", "oarstat -f", ("H:M:S",)),
}  # fmt: skip

FIGURES: dict[str, FigureEntry] = {
    "liquid": FigureEntry("daskglass.report.figures.liquid"),
    "diffusion": FigureEntry("daskglass.report.figures.diffusion"),
    "strata": FigureEntry("daskglass.report.figures.strata"),
    "correlation": FigureEntry("daskglass.report.figures.correlation"),
    "grouped": FigureEntry("daskglass.report.figures.grouped"),
    "barriers": FigureEntry("daskglass.report.figures.barriers"),
}
# of structural variables beside those of the paper, and of isoconfigurational ensembles: behind the others
OTHER_FIGURES: dict[str, FigureEntry] = {
    "others": FigureEntry("daskglass.report.figures.others"),
}
ENSEMBLE_FIGURES: dict[str, FigureEntry] = {
    "scoreboard": FigureEntry("daskglass.report.figures.scoreboard"),
    "propensity": FigureEntry("daskglass.report.figures.propensity"),
    "weights": FigureEntry("daskglass.report.figures.weights"),
}
# study files in `pipelines/` that `daskglass new` begins from
TEMPLATES = ("quickstart", "trajectories", "well_width", "validation", "ensembles", "propensity")


def figures_of(production: bool, others: bool, ensembles: bool) -> list[str]:
    """Names of the figures, in order, of a study with production runs, other structural variables in them, or ensembles."""
    kinds = ((FIGURES, production), (ENSEMBLE_FIGURES, ensembles), (OTHER_FIGURES, others))
    return [name for figures, there in kinds if there for name in figures]


def simulating() -> dict[str, EngineEntry]:
    """Engines that simulate, and do not only minimise."""
    return {name: engine for name, engine in ENGINES.items() if engine.simulates}


def check_threads(engine: str, threads: int) -> None:
    """Refuse more than one thread to an engine that has no more.

    Raises
    ------
    StudyError
        Naming both.
    """
    if threads > 1 and not ENGINES[engine].threaded:
        raise StudyError(f"engine {engine} simulates on one thread; got threads: {threads}")


def entry_of(registry: Mapping[str, Entry], name: str, what: str) -> Entry:
    """Return the entry of a name.

    Raises
    ------
    StudyError
        If there is none; the message says which there are.
    """
    if name not in registry:
        raise StudyError(f"unknown {what} {name[:MOST_SHOWN]!r}: choose {listed(registry)}")
    return registry[name]


def listed(names: Iterable[str], last: str = "or") -> str:
    """Write names as a list in words: gsd, lammps or signac."""
    *before, end = names
    return f"{', '.join(before)} {last} {end}" if before else end


def load(place: str) -> Any:
    """Import the module, or what has this name in it."""
    module, _, name = place.partition(":")
    found = import_module(module)
    return getattr(found, name) if name else found
