"""The study file: what to compute, on what, with which settings; validated before anything runs."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from daskglass.errors import StudyError
from daskglass.systems import Mixture, Positive, built_in

Count = Annotated[int, Field(gt=0, strict=True)]
Seed = Annotated[int, Field(ge=0, strict=True)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$")]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _at(*keys: int | str, message: str) -> PydanticCustomError:
    """Build an error of several keys together that is told at one of them."""
    return PydanticCustomError("study", "{message}", {"message": message, "at": keys})


class System(_Section):
    """A mixture and its temperatures: a built-in one by name, or the user's own `mixture`."""

    system: Name
    particles: Count = 32768
    temperatures: tuple[Positive, ...] = ()
    replicas: Count = 3
    mixture: Mixture

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, given: Any) -> Any:
        if not isinstance(given, dict) or not isinstance(given.get("system"), str):
            return given
        if "mixture" in given:
            if "temperatures" not in given:
                raise ValueError("a system with its own mixture needs a list of temperatures")
            return given
        try:
            mixture, temperatures = built_in(given["system"])
        except StudyError as error:
            raise ValueError(str(error)) from None
        return {"temperatures": temperatures, "mixture": mixture} | given

    @model_validator(mode="after")
    def _descending(self) -> System:
        if not self.temperatures:
            raise ValueError("temperatures must not be empty")
        if list(self.temperatures) != sorted(set(self.temperatures), reverse=True):
            raise ValueError(f"temperatures must run from high to low, each once; got {list(self.temperatures)}")
        return self

    @property
    def training_temperature(self) -> float:
        """The second-coldest temperature, where softness is trained unless the study says otherwise."""
        return self.temperatures[max(len(self.temperatures) - 2, 0)]


class Recording(_Section):
    """A run of `frames` frames, `interval` τ_A apart."""

    frames: Count
    interval: Positive = 1.0


class Training(Recording):
    """The run at one `temperature`, the second-coldest by default, that softness is trained on."""

    temperature: Positive | None = None


class Relaxation(_Section):
    """Frames spaced logarithmically: `points` lags up to `longest` τ_α, from each of `origins` origins τ_α apart.

    Five τ_α show the relaxation; the motion turns diffusive, and D measurable, at about twenty-five.
    """

    origins: Count = 10
    points: Count = 30
    longest: Annotated[float, Field(ge=5, allow_inf_nan=False)] = 25.0


class Equilibration(_Section):
    """Time before recording: at least `minimum` τ_A, and n τ_α with n falling from hottest to coldest."""

    minimum: Annotated[float, Field(ge=0)] = 100.0
    relaxation_times: tuple[Positive, Positive] = (20.0, 8.0)


class Simulate(_Section):
    """Simulate the trajectories with an engine."""

    engine: Literal["lammps", "hoomd"] = "lammps"
    timestep: Positive = 1e-3
    seed: Seed = 1
    equilibration: Equilibration = Equilibration()
    production: Recording = Recording(frames=101)
    training: Training | None = Training(frames=1001)
    relaxation: Relaxation = Relaxation()
    relaxation_time: Mapping[float, Positive] = {}


class Trajectories(_Section):
    """Read existing files: `path` names one file by `{system}`, `{temperature}`, `{replica}` and $VARIABLES."""

    format: Literal["gsd"] = "gsd"
    path: str
    timestep: Positive


class Source(_Section):
    """Where trajectories come from: exactly one of `simulate` and `trajectories`."""

    simulate: Simulate | None = None
    trajectories: Trajectories | None = None

    @model_validator(mode="after")
    def _one(self) -> Source:
        if (self.simulate is None) == (self.trajectories is None):
            raise ValueError("give exactly one of simulate and trajectories")
        return self


class Inherent(_Section):
    """Minimisation of every frame to its inherent structure, to a root-mean-square force per particle."""

    engine: Literal["lammps", "hoomd"] = "lammps"
    minimizer: Literal["fire", "cg"] = "fire"
    force_tolerance: Annotated[float, Field(gt=0, le=1e-5)] = 1e-5


class Hops(_Section):
    """Hop indicator and labels, times in τ_A, thresholds in σ²."""

    window: Positive = 10.0
    soft: Positive = 0.2
    hard: Positive = 0.05
    soft_separation: Positive = 10.0
    hard_separation: Positive = 80.0
    lead: Annotated[float, Field(ge=0)] = 0.0

    @model_validator(mode="after")
    def _ordered(self) -> Hops:
        if self.hard >= self.soft:
            raise ValueError(f"hard must lie below soft; got hard={self.hard}, soft={self.soft}")
        return self


class Structure(_Section):
    """Radial structure functions: `mu` is [first, last, step] and `width` Δμ, in σ_AA."""

    mu: tuple[Positive, Positive, Positive] = (0.4, 3.0, 0.1)
    width: Positive = 0.1

    @model_validator(mode="after")
    def _grid(self) -> Structure:
        first, last, step = self.mu
        if last < first or abs((last - first) / step - round((last - first) / step)) > 1e-6:
            raise ValueError(f"mu must be [first, last, step], whole steps from first to last; got {list(self.mu)}")
        return self


class TrainOn(_Section):
    """The run, and its temperature, whose labelled particles train the softness model."""

    run: Literal["training", "production"] = "training"
    temperature: Positive | None = None


class Softness(_Section):
    """The linear support-vector machine that defines softness."""

    train_on: TrainOn = TrainOn()
    samples_per_class: Count = 10_000
    C: Positive = 1.0
    seed: Seed = 0


class Strata(_Section):
    """Equal bins of a structural variable between two percentiles of its pooled distribution."""

    bins: Annotated[int, Field(ge=2)] = 5
    percentiles: tuple[Annotated[float, Field(ge=0, le=100)], Annotated[float, Field(ge=0, le=100)]] = (5.0, 95.0)

    @model_validator(mode="after")
    def _ordered(self) -> Strata:
        if self.percentiles[0] >= self.percentiles[1]:
            raise ValueError(f"percentiles must rise; got {list(self.percentiles)}")
        return self


class Radial(_Section):
    """Radial distribution functions: upper limit and bin width in σ_AA, and number of softness bins."""

    r_max: Positive = 5.0
    bin_width: Positive = 0.02
    softness_bins: Annotated[int, Field(ge=2)] = 10
    core: Literal["limit", "omit"] = "limit"

    @model_validator(mode="after")
    def _whole_bins(self) -> Radial:
        if abs(self.r_max / self.bin_width - round(self.r_max / self.bin_width)) > 1e-6:
            raise ValueError(f"r_max must be a whole number of bin widths; got {self.r_max} and {self.bin_width}")
        return self


class Dynamics(_Section):
    """Self-intermediate scattering at wave number `q` in 1/σ_AA."""

    q: Positive = 7.14


class Barriers(_Section):
    """Arrhenius fits: the `hottest` supercooled temperature (found from the data if absent) and the bootstrap."""

    hottest: Positive | None = None
    resamples: Annotated[int, Field(ge=2)] = 200
    seed: Seed = 0


class Study(_Section):
    """A whole study."""

    study: Name
    store: str = Field(min_length=1)
    systems: tuple[System, ...]
    source: Source
    inherent: Inherent | Literal["none"] = Inherent()
    hops: Hops = Hops()
    structure: Structure = Structure()
    softness: Softness = Softness()
    strata: Strata = Strata()
    radial: Radial = Radial()
    dynamics: Dynamics = Dynamics()
    barriers: Barriers = Barriers()
    precision: Positive | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Study:
        names = [system.system for system in self.systems]
        if not names or len(set(names)) != len(names):
            raise _at("systems", message=f"give at least one system, and each once; got {names}")
        for k, system in enumerate(self.systems):
            if self.source.simulate is not None:
                self.check_reach(system.system, system.mixture.box_length(system.particles), k, system)
            temperature = self.training_temperature(system)
            if temperature not in system.temperatures:
                raise _at(
                    "softness", "train_on", "temperature",
                    message=f"{temperature} is not among the temperatures of {system.system}, {list(system.temperatures)}",
                )  # fmt: skip
        simulate, trained = self.source.simulate, self.softness.train_on
        recorded = simulate.training.temperature if simulate and simulate.training else None
        if trained.run == "training" and recorded and trained.temperature not in (None, recorded):
            raise _at(
                "softness", "train_on", "temperature",
                message=f"{trained.temperature} is not where the training run is recorded, {recorded}",
            )  # fmt: skip
        if self.softness.train_on.run == "training" and not (self.source.simulate and self.source.simulate.training):
            raise _at(
                "softness", "train_on",
                message="there is no training run to train on; set softness: {train_on: {run: production}}",
            )  # fmt: skip
        if self.source.simulate is not None:
            for name in ("production", "training"):
                self._check_window(name, getattr(self.source.simulate, name))
        return self

    def check_reach(self, name: str, edge: float, k: int | None = None, system: System | None = None) -> None:
        """Refuse a box too small for what is computed in it, or simulated where the system is given.

        Raises
        ------
        StudyError
            If a distance needed exceeds half the edge; within validation a `PydanticCustomError`.
        """
        reaches = [
            (self.structure.mu[1] + 5 * self.structure.width, "the structure functions, last mu + 5 width"),
            (self.radial.r_max, "radial.r_max"),
        ]
        if system is not None:
            reaches.append((system.mixture.longest_cutoff, "the potential's cut-off"))
        for reach, what in reaches:
            if reach > edge / 2 * (1 + 1e-6):
                message = f"{name} has a box of {edge:.3f} σ, too small for {what} = {reach:.3f} σ, which half of it must exceed"
                if k is None:
                    raise StudyError(message)
                raise _at("systems", k, "particles", message=f"{message}: use more particles")

    def _check_window(self, name: str, run: Recording | None) -> None:
        if run is None:
            return
        assert self.source.simulate is not None
        steps = run.interval / self.source.simulate.timestep
        if abs(steps - round(steps)) > 1e-6 or round(steps) < 1:
            message = f"{run.interval} τ is no whole number of time steps of {self.source.simulate.timestep} τ"
            raise _at("source", "simulate", name, "interval", message=message)
        lead = self.hops.lead / run.interval
        if name == self.softness.train_on.run and abs(lead - round(lead)) > 1e-6:
            raise _at(
                "hops", "lead", message=f"{self.hops.lead} τ is no whole number of {name} intervals, {run.interval} τ"
            )
        half = self.hops.window / 2 / run.interval
        if abs(half - round(half)) > 1e-6 or round(half) < 1:
            message = (
                f"half the window of {self.hops.window} τ must be a whole number of {name} intervals, {run.interval} τ"
            )
            raise _at("hops", "window", message=message)
        if run.frames < 2 * round(half) + 1:
            message = f"{run.frames} frames are fewer than the {2 * round(half) + 1} that hops.window spans"
            raise _at("source", "simulate", name, "frames", message=message)

    def training_temperature(self, system: System) -> float:
        """Temperature of the labelled examples of one system."""
        simulate = self.source.simulate
        wanted = self.softness.train_on.temperature
        if wanted is None and self.softness.train_on.run == "training" and simulate and simulate.training:
            wanted = simulate.training.temperature
        return wanted if wanted is not None else system.training_temperature

    def fingerprint(self, *values: object) -> str:
        """Return a short hash of settings; equal settings give equal hashes, whatever the order of keys."""
        plain = [value.model_dump(mode="json") if isinstance(value, BaseModel) else value for value in values]
        return hashlib.sha256(json.dumps(plain, sort_keys=True, default=str).encode()).hexdigest()[:16]


def load_study(path: str | os.PathLike[str]) -> Study:
    """Read and validate a study file.

    Raises
    ------
    StudyError
        Naming the file, and for each problem its line and key.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"{path}: cannot be read: {error}") from error
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        repeated = list(_repeated_keys(root))
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise StudyError(f"{path}: not valid YAML: {error}") from error
    if repeated:
        raise StudyError("\n".join(f"{path}:{line}: {key}: given twice" for line, key in repeated))
    if not isinstance(content, dict):
        raise StudyError(f"{path}:1: a study file is a mapping of keys such as study, store, systems")
    try:
        return Study.model_validate(content)
    except ValidationError as error:
        raise StudyError("\n".join(dict.fromkeys(_told(path, root, problem) for problem in error.errors()))) from None


def _told(path: Path, root: yaml.Node | None, problem: Mapping[str, Any]) -> str:
    """One line: file, line, key and what is wrong."""
    keys = problem.get("ctx", {}).get("at", problem["loc"])
    # a choice between a section and a word adds the section's type to the keys
    keys = tuple(key for key in keys if key not in ("Inherent", "literal['none']"))
    return f"{path}:{_line(root, keys)}: {'.'.join(map(str, keys)) or 'study'}: {_message(problem)}"


def _message(problem: Mapping[str, Any]) -> str:
    if problem["type"] == "extra_forbidden":
        return "unknown key; see the study-file page of the documentation for the known ones"
    message = str(problem["msg"]).removeprefix("Value error, ")
    given = problem.get("input")
    return message if isinstance(given, (dict, list)) or given is None else f"{message}; got {given!r}"


def _line(node: yaml.Node | None, keys: tuple[int | str, ...]) -> int:
    """Line of the deepest node that a validation error's location reaches."""
    line = 1 if node is None else node.start_mark.line + 1
    for key in keys:
        if isinstance(node, yaml.MappingNode):
            found = [(k, v) for k, v in node.value if k.value == str(key)]
            if found:
                line, node = found[0][0].start_mark.line + 1, found[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
            node = node.value[key]
            line = node.start_mark.line + 1
    return line


def _repeated_keys(node: yaml.Node | None) -> Iterator[tuple[int, str]]:
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if key.value in seen:
                yield key.start_mark.line + 1, key.value
            seen.add(key.value)
            yield from _repeated_keys(value)
    elif isinstance(node, yaml.SequenceNode):
        for child in node.value:
            yield from _repeated_keys(child)
