"""The study file and its settings, validated before anything runs."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from daskglass.errors import StudyError, setting
from daskglass.physics import defaults
from daskglass.physics.labels import distinct, find, same
from daskglass.physics.systems import Mixture, NotNegative, Positive, built_in
from daskglass.registry import ENGINES, READERS, entry_of
from daskglass.study.paths import check_no_address, expand_path, follow, ledger_path
from daskglass.study.yaml_file import MOST_PROBLEMS, line_of, read_yaml

REPLICAS = 3  # of a simulated system
MOST_SHOWN = 100  # characters of a wrong value

# --- limits: larger studies would fail later, or exhaust the machine that plans them ---------------------------------

MOST_PARTICLES = (2**31 - 1) // 12  # positions of a frame are one chunk, and Blosc compresses at most 2 GiB
MOST_TEMPERATURES = 1000  # events are counted in every stratum for every pair of temperatures
MOST_REPLICAS = 1000  # a plan lists the tasks of each, at every temperature
MOST_FRAMES = 10_000_000  # of a run: its times are held in memory, and its blocks are listed
MOST_FRAMES_IN_ALL = 100_000_000  # of a study: at 16 a block, its plan lists some 10^8 tasks
MOST_STEPS = 10**9  # between two frames: lags are counted up to this many time steps
MOST_BINS = 100_000  # of g(r): single precision does not tell distances apart that differ by less
MOST_RADII = 10_000  # of the structure functions, each of every particle
MOST_STRATA = 1000  # each is fitted alone
MOST_EXAMPLES = 10_000_000  # of a class: training holds the structure functions of all
MOST_RESAMPLES = 1_000_000
LARGEST_SEED = 2**32 - 1  # of NumPy and scikit-learn
SHORTEST = 1e-9  # τ: times are rounded to this
FINEST, COARSEST = 1e-8, 0.1  # σ: positions in single precision are no finer, and structure is lost beyond


# --- types of values -----------------------------------------------------------------------------------------------

Images = Literal["checked", "trusted", "ignored"]  # periodic images of files
FrameCount = Annotated[int, Field(gt=0, le=MOST_FRAMES, strict=True)]
Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED, strict=True)]
Bins = Annotated[int, Field(ge=2, le=MOST_STRATA, strict=True)]
Percentile = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False, strict=True)]
Timestep = Annotated[Positive, Field(ge=SHORTEST)]
LONGEST_NAME = 100  # of a system: file systems allow 255 bytes, and temporary names are longer
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$", max_length=LONGEST_NAME)]
OF_OTHER_STORES = (".ledger", ".lock")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def _pattern(text: str) -> str:
    # expanded where fields and text are distinguished
    check_no_address(text)
    return text


def _store(path: str) -> str:
    expanded = expand_path(path)
    name = Path(expanded).name
    if name in ("", "..", "zarr.json") or name.endswith(OF_OTHER_STORES):
        raise ValueError("the store needs a file name, such as mine.zarr")
    if name != name.strip():
        raise ValueError("the store's name begins or ends with a space; remove it")
    if CONTROL.search(expanded):
        raise ValueError("the store's name contains line breaks or control characters; remove them")
    return str(follow(expanded))


def _constant(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("a constant must be a word or a number")
    return value


def _known(registry: Mapping[str, Any], name: str, what: str) -> str:
    """Refuse a name that is not in a registry, with those that are."""
    try:
        entry_of(registry, name, what)
    except StudyError as error:
        raise _at(message=str(error)) from None
    return name


FilePath = Annotated[str, Field(min_length=1), AfterValidator(lambda path: expand_path(path))]
Pattern = Annotated[str, Field(min_length=1), AfterValidator(_pattern)]
StorePath = Annotated[str, Field(min_length=1), AfterValidator(_store)]
Constant = Annotated[str | int | float, BeforeValidator(_constant)]
FormatName = Annotated[str, AfterValidator(lambda name: _known(READERS, name, "trajectory format"))]
EngineName = Annotated[str, AfterValidator(lambda name: _known(ENGINES, name, "engine"))]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _at(*keys: int | str, message: str) -> PydanticCustomError:
    """Error of a whole section, reported at one of its keys."""
    return PydanticCustomError("study", "{message}", {"message": message, "at": keys})


class System(_Section):
    """A mixture and its temperatures: built in, or the user's own `mixture`.

    For existing trajectories only the name is required; the files provide the rest.
    """

    system: Name
    particles: Annotated[int, Field(gt=0, le=MOST_PARTICLES, strict=True)] = 32768
    temperatures: Annotated[tuple[Positive, ...], Field(max_length=MOST_TEMPERATURES)] = ()
    replicas: Annotated[int, Field(gt=0, le=MOST_REPLICAS, strict=True)] | None = None
    mixture: Mixture | None = None
    species: tuple[Name, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, given: Any) -> Any:
        if not isinstance(given, dict) or not isinstance(given.get("system"), str) or "mixture" in given:
            return given
        try:
            return {"mixture": built_in(given["system"])[0]} | given
        except StudyError:
            return given

    @model_validator(mode="after")
    def _consistent(self) -> System:
        for before, T in itertools.pairwise(self.temperatures):
            if before < T or same(before, T):
                raise ValueError(
                    f"list temperatures from high to low, each once; got {before}, then {T}"
                    + ", equal to within 1e-9" * bool(same(before, T))
                )
        if self.system == "zarr.json":
            raise ValueError("a system cannot be called zarr.json: every store contains a file of that name")
        if len(set(self.species)) != len(self.species):
            raise ValueError(f"list each species once; got {list(self.species)}")
        if self.species and self.mixture and len(self.species) != len(self.mixture.species):
            raise ValueError(
                f"the mixture has {len(self.mixture.species)} species, {list(self.mixture.species)}; got {list(self.species)}"
            )
        return self


class Recording(_Section):
    """A run of `frames` frames, `interval` τ_A apart."""

    frames: FrameCount
    interval: Positive = 1.0


class Training(Recording):
    """The run that trains softness, at one `temperature`: by default the second-coldest."""

    temperature: Positive | None = None


class RelaxationSettings(_Section):
    """Frames spaced logarithmically: `points` lags up to `longest` τ_α, from each of `origins` origins τ_α apart.

    Five τ_α show the relaxation; the motion turns diffusive, and D measurable, at about twenty-five.
    """

    origins: FrameCount = defaults.ORIGINS
    points: FrameCount = defaults.LAGS
    longest: Annotated[Positive, Field(ge=5)] = defaults.LONGEST

    @property
    def frames(self) -> int:
        """Frames of the run: of each origin itself, and of the lags after it."""
        return self.origins * (self.points + 1)


class EquilibrationSettings(_Section):
    """Time before recording: at least `minimum` τ_A, and n τ_α with n falling from hottest to coldest."""

    minimum: NotNegative = 100.0
    relaxation_times: tuple[Positive, Positive] = (20.0, 8.0)


class Simulate(_Section):
    """Simulate the trajectories with an engine."""

    engine: EngineName = "lammps"
    timestep: Timestep = 1e-3
    seed: Seed = 1
    equilibration: EquilibrationSettings = EquilibrationSettings()
    production: Recording = Recording(frames=101)
    training: Training | None = Training(frames=1001)
    relaxation: RelaxationSettings = RelaxationSettings()
    relaxation_time: Mapping[Positive, Positive] = {}

    def known_relaxation_time(self, temperature: float) -> float | None:
        """τ_α that the study file gives at a temperature; None where it gives none."""
        key = find(list(self.relaxation_time), temperature)
        return None if key is None else self.relaxation_time[key]


class Trajectories(_Section):
    """Read existing files; `path` contains {system}, {temperature}, {replica}, {run} and $VARIABLES.

    `constants` or the columns of a CSV `table` supply labels that the path lacks; `rename` maps columns, fields or
    state-point keys to our names. `ignore_images` unwraps by the minimum image.
    """

    format: FormatName = "gsd"
    path: Pattern
    timestep: Timestep
    constants: Mapping[str, Constant] = {}
    table: FilePath | None = None
    rename: Mapping[str, str] = {}
    frames: FrameCount | None = None
    ignore_images: Annotated[bool, Field(strict=True)] = False
    _in_steps: bool = PrivateAttr(default=False)

    @property
    def in_steps(self) -> bool:
        """Whether time counts time steps, because no time step was given."""
        return self._in_steps

    @property
    def images(self) -> Images:
        """How the periodic images of the files are used."""
        return "ignored" if self.ignore_images else "checked"

    @model_validator(mode="after")
    def _one_table(self) -> Trajectories:
        if READERS[self.format].project and self.table is not None:
            raise _at("table", message=f"a project of format {self.format} is its own table: leave `table` out")
        return self


class SourceSettings(_Section):
    """Where trajectories come from: exactly one of `simulate` and `trajectories`."""

    simulate: Simulate | None = None
    trajectories: Trajectories | None = None

    @model_validator(mode="after")
    def _one(self) -> SourceSettings:
        if (self.simulate is None) == (self.trajectories is None):
            raise ValueError("give exactly one of simulate and trajectories")
        return self


class Inherent(_Section):
    """Minimisation of every frame to its inherent structure, down to a root-mean-square force per particle."""

    engine: EngineName = "lammps"
    minimizer: Annotated[str, Field(validate_default=True)] = "fire"
    force_tolerance: Annotated[Positive, Field(le=1e-5)] = 1e-5

    @field_validator("minimizer")
    @classmethod
    def _of_the_engine(cls, name: str, before: ValidationInfo) -> str:
        engine = before.data.get("engine")
        # an unknown engine is reported alone
        return name if engine is None else _known(ENGINES[engine].minimizers, name, f"{engine} minimizer")


class HopSettings(_Section):
    """Hop indicator and labels, times in τ_A, thresholds in σ²."""

    window: Positive = defaults.WINDOW
    soft: Positive = defaults.REARRANGING
    hard: Positive = defaults.RESTING
    soft_separation: Positive = defaults.SOFT_SEPARATION
    hard_separation: Positive = defaults.HARD_SEPARATION
    lead: NotNegative = 0.0

    @model_validator(mode="after")
    def _ordered(self) -> HopSettings:
        if self.hard >= self.soft:
            raise ValueError(f"hard must be smaller than soft; got hard={self.hard}, soft={self.soft}")
        return self


class StructureSettings(_Section):
    """Radial structure functions: `mu` is [first, last, step] and `width` Δμ, in σ_AA."""

    mu: tuple[Positive, Positive, Positive] = defaults.RADII
    width: Positive = defaults.WIDTH

    @model_validator(mode="after")
    def _grid(self) -> StructureSettings:
        first, last, step = self.mu
        steps = (last - first) / step
        if last < first or abs(steps - round(steps)) > 1e-6 or (last > first and round(steps) == 0):
            raise ValueError(
                f"mu must be [first, last, step] with a whole number of steps from first to last; got {list(self.mu)}"
            )
        if steps > MOST_RADII:
            raise ValueError(f"mu has more than {MOST_RADII:,} steps; got {list(self.mu)}")
        return self


class TrainOn(_Section):
    """The run, and its temperature, whose labelled particles train the softness model."""

    run: Literal["training", "production"] = "training"
    temperature: Positive | None = None


class SoftnessSettings(_Section):
    """The linear support-vector machine that defines softness."""

    train_on: TrainOn = TrainOn()
    samples_per_class: Annotated[int, Field(gt=0, le=MOST_EXAMPLES, strict=True)] = defaults.EXAMPLES_PER_CLASS
    C: Positive = defaults.C
    seed: Seed = 0


class StrataSettings(_Section):
    """Equal bins of a structural variable between two percentiles of its pooled distribution."""

    bins: Bins = defaults.STRATA
    percentiles: tuple[Percentile, Percentile] = defaults.PERCENTILES

    @model_validator(mode="after")
    def _ordered(self) -> StrataSettings:
        if self.percentiles[0] >= self.percentiles[1]:
            raise ValueError(f"give the lower percentile first; got {list(self.percentiles)}")
        return self


class RadialSettings(_Section):
    """Radial distribution functions: upper limit and bin width in σ_AA, and number of softness bins."""

    r_max: Positive = defaults.R_MAX
    bin_width: Positive = defaults.BIN_WIDTH
    softness_bins: Bins = 10
    core: Literal["limit", "omit"] = "limit"

    @model_validator(mode="after")
    def _whole_bins(self) -> RadialSettings:
        bins = self.r_max / self.bin_width
        if abs(bins - round(bins)) > 1e-6 or round(bins) == 0:
            raise ValueError(f"r_max must be a whole number of bin widths; got {self.r_max} and {self.bin_width}")
        if bins > MOST_BINS:
            raise ValueError(f"r_max has more than {MOST_BINS:,} bin widths; got {self.r_max} and {self.bin_width}")
        return self


class DynamicsSettings(_Section):
    """Self-intermediate scattering at wave number `q` in 1/σ_AA."""

    q: Positive = defaults.Q_PEAK


class BarrierSettings(_Section):
    """Arrhenius fits: the `hottest` supercooled temperature (by default found from the data) and the bootstrap."""

    hottest: Positive | None = None
    resamples: Annotated[int, Field(ge=2, le=MOST_RESAMPLES, strict=True)] = 200
    seed: Seed = 0


def _simulated_system(given: Any) -> Any:
    """Fill in the default replicas of a simulated system and, if it is built in, its temperatures."""
    if not isinstance(given, dict):
        return given
    if given.get("replicas") is None:
        given = given | {"replicas": REPLICAS}
    if "mixture" in given or not isinstance(given.get("system"), str):
        return given
    try:
        return {"temperatures": built_in(given["system"])[1]} | given
    except StudyError:
        return given


class Study(_Section):
    """A whole study; for existing trajectories `systems` is optional: by default all systems with files."""

    study: Name
    store: StorePath
    systems: tuple[System, ...] = ()
    source: SourceSettings
    inherent: Inherent | Literal["none"] = Inherent()
    hops: HopSettings = HopSettings()
    structure: StructureSettings = StructureSettings()
    softness: SoftnessSettings = SoftnessSettings()
    strata: StrataSettings = StrataSettings()
    radial: RadialSettings = RadialSettings()
    dynamics: DynamicsSettings = DynamicsSettings()
    barriers: BarrierSettings = BarrierSettings()
    precision: Annotated[float, Field(ge=FINEST, le=COARSEST, strict=True)] | None = None
    _text: str | None = PrivateAttr(default=None)

    @property
    def text(self) -> str:
        """Text of the study file; without a file, the settings as JSON."""
        return self.model_dump_json(exclude_unset=True) if self._text is None else self._text

    @model_validator(mode="before")
    @classmethod
    def _simulated(cls, given: Any) -> Any:
        """Give simulated systems the temperatures and replicas they do not name; files have theirs."""
        source = given.get("source") if isinstance(given, dict) else None
        if not (
            isinstance(source, dict) and source.get("simulate") is not None and isinstance(given.get("systems"), list)
        ):
            return given
        return given | {"systems": [_simulated_system(system) for system in given["systems"]]}

    @model_validator(mode="after")
    def _consistent(self) -> Study:
        names = [system.system for system in self.systems]
        folders: dict[str, str] = {}
        for k, name in enumerate(names):
            if (other := folders.setdefault(name.lower(), name)) != name:
                raise _at(
                    "systems", k, "system",
                    message=f"{other} and {name} differ only in case, and would share a folder on some file systems; rename one",
                )  # fmt: skip
        if len(set(names)) != len(names) or not (names or self.source.trajectories):
            raise _at("systems", message=f"list at least one system, and each once; got {names}")
        for k, system in enumerate(self.systems):
            if self.source.simulate is not None:
                self._check_simulated(k, system)
            elif system.mixture is None and isinstance(self.inherent, Inherent):
                raise _at(
                    "systems", k, "system",
                    message=f"{system.system} is not built in: give its mixture to minimise, or set inherent: none",
                )  # fmt: skip
            try:
                self.training_temperature(system.system, system.temperatures)
            except StudyError as error:
                raise _at("softness", "train_on", "temperature", message=str(error)) from None
        simulate, trained = self.source.simulate, self.softness.train_on
        recorded = simulate.training.temperature if simulate and simulate.training else None
        if trained.run == "training" and recorded and trained.temperature and not same(trained.temperature, recorded):
            raise _at(
                "softness", "train_on", "temperature",
                message=f"softness trains at {trained.temperature}, but the training run is recorded at {recorded}",
            )  # fmt: skip
        if trained.run == "training" and simulate and not simulate.training:
            raise _at(
                "softness", "train_on",
                message="the study has no training run; set softness: {train_on: {run: production}}",
            )  # fmt: skip
        if simulate is not None:
            for name in ("production", "training"):
                self._check_window(name, getattr(simulate, name))
            self._check_relaxation_times(simulate)
            if (frames := sum(self.frames_of(system) for system in self.systems)) > MOST_FRAMES_IN_ALL:
                raise _at(
                    "source", "simulate",
                    message=f"{frames:,} frames in all systems, temperatures and replicas; the limit is {MOST_FRAMES_IN_ALL:,}",
                )  # fmt: skip
        return self

    def frames_of(self, system: System) -> int:
        """Frames in all runs of a simulated system; 0 for files not surveyed yet."""
        simulate = self.source.simulate
        if simulate is None or system.replicas is None:
            return 0
        each = simulate.production.frames + simulate.relaxation.frames
        training = simulate.training.frames if simulate.training else 0
        return system.replicas * (len(system.temperatures) * each + training)

    def _check_relaxation_times(self, simulate: Simulate) -> None:
        keys = list(simulate.relaxation_time)
        temperatures = [T for system in self.systems for T in system.temperatures]
        kept = distinct(keys)
        for key in keys:
            place = ("source", "simulate", "relaxation_time", str(key))
            if key not in kept:
                raise _at(*place, message=f"{key} is given twice: {find(kept, key)} is the same temperature")
            if find(temperatures, key) is None:
                raise _at(
                    *place,
                    message=f"no system has the temperature {key}; the temperatures are {_in_short(temperatures)}",
                )

    def _check_simulated(self, k: int, system: System) -> None:
        if system.mixture is None:
            raise _at("systems", k, "system", message=_why_unknown(system.system))
        if not system.temperatures:
            raise _at("systems", k, message="a system with its own mixture needs a list of temperatures")
        if system.species:
            raise _at("systems", k, "species", message="remove it: a simulated system has the species of its mixture")
        for i, (before, T) in enumerate(itertools.pairwise(system.temperatures), 1):
            if f"{before:g}" == f"{T:g}":
                raise _at(
                    "systems", k, "temperatures", i,
                    message=f"{before} and {T} agree to six digits, and their simulations would share a folder; remove one",
                )  # fmt: skip
        self.check_reach(system.system, system.mixture.box_length(system.particles), k, system)

    def check_reach(self, name: str, edge: float, k: int | None = None, system: System | None = None) -> None:
        """Check that the box is large enough for the analysis and, if the system is given, for its potential.

        Raises
        ------
        StudyError
            If a distance exceeds half the edge; within validation a `PydanticCustomError`.
        """
        reaches = [
            (self.structure.mu[1] + 5 * self.structure.width, "the structure functions, last mu + 5 width"),
            (self.radial.r_max, "radial.r_max"),
        ]
        if system is not None and system.mixture is not None:
            reaches.append((system.mixture.longest_cutoff, "the potential's cut-off"))
        for reach, what in reaches:
            if reach > edge / 2 * (1 + 1e-6):
                message = f"{name} has a box of {edge:.3f} σ, too small: half of it must exceed {what} = {reach:.3f} σ"
                if k is None:
                    raise StudyError(message)
                raise _at("systems", k, "particles", message=f"{message}: use more particles")

    def _check_window(self, name: str, run: Recording | None) -> None:
        if run is None:
            return
        assert self.source.simulate is not None
        steps = run.interval / self.source.simulate.timestep
        if abs(steps - round(steps)) > 1e-6 or round(steps) < 1:
            message = f"{run.interval} τ is not a whole number of time steps of {self.source.simulate.timestep} τ"
            raise _at("source", "simulate", name, "interval", message=message)
        if steps > MOST_STEPS:
            raise _at(
                "source", "simulate", name, "interval",
                message=f"{run.interval} τ between frames of the {name} run is more than {MOST_STEPS:,} time steps",
            )  # fmt: skip
        lead = self.hops.lead / run.interval
        if name == self.softness.train_on.run and abs(lead - round(lead)) > 1e-6:
            raise _at(
                "hops",
                "lead",
                message=f"{self.hops.lead} τ is not a whole number of {name} intervals of {run.interval} τ",
            )
        half = self.hops.window / 2 / run.interval
        if abs(half - round(half)) > 1e-6 or round(half) < 1:
            message = f"half the window of {self.hops.window} τ must be a whole number of {name} intervals of {run.interval} τ"
            raise _at("hops", "window", message=message)
        if run.frames < 2 * round(half) + 1:
            message = f"{run.frames} frames are fewer than the {2 * round(half) + 1} of one hops.window"
            raise _at("source", "simulate", name, "frames", message=message)

    def training_temperature(self, name: str, temperatures: Sequence[float]) -> float | None:
        """Temperature of the labelled examples of a system; the default is the second-coldest.

        None if the files that provide the temperatures have not been surveyed yet.

        Raises
        ------
        StudyError
            If the system lacks the temperature that the study asks for.
        """
        simulate, trained = self.source.simulate, self.softness.train_on
        wanted = trained.temperature
        if wanted is None and trained.run == "training" and simulate and simulate.training:
            wanted = simulate.training.temperature
        if not temperatures:
            return wanted
        if wanted is None:
            return temperatures[max(len(temperatures) - 2, 0)]
        if (listed := find(temperatures, wanted)) is None:
            raise StudyError(f"{wanted} is not among the temperatures of {name}: {_in_short(temperatures)}")
        return listed


def fingerprint(*values: object) -> str:
    """Return a short hash of settings; equal settings give equal hashes, whatever the order of keys."""
    plain = [value.model_dump(mode="json") if isinstance(value, BaseModel) else value for value in values]
    return hashlib.sha256(json.dumps(plain, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _in_short(temperatures: Sequence[float]) -> str:
    shown = list(temperatures) if len(temperatures) <= 30 else [*temperatures[:3], "…", *temperatures[-3:]]
    return ", ".join(map(str, shown))


def _why_unknown(name: str) -> str:
    try:
        built_in(name)
    except StudyError as error:
        return str(error)
    raise AssertionError("unreachable")


def found_system(name: str) -> System:
    """System found in files, known by its name alone.

    Raises
    ------
    StudyError
        If the name is not valid for a group of the store.
    """
    try:
        return System.model_validate({"system": name})
    except ValidationError:
        raise StudyError(
            f"{name!r} is not a valid system name: use only letters, digits and _ . + -; give `constants: {{system: …}}`, or a "
            "column `system` in a table"
        ) from None


def study_of_files(
    store: Path, precision: float | None = None, systems: Sequence[Mapping[str, Any]] = (), **trajectories: Any
) -> Study:
    """Study that only converts files.

    Parameters
    ----------
    store : the store
    precision : of positions, σ
    systems : the section `systems` of a study file; if empty, all systems with files
    trajectories : the section `source.trajectories` of a study file; without `timestep`, time counts time steps

    Raises
    ------
    StudyError
        If a value is not valid.
    """
    in_steps = trajectories.get("timestep") is None
    content = {
        "study": "convert",
        "store": str(store),
        "systems": list(systems),
        "source": {"trajectories": trajectories | ({"timestep": 1.0} if in_steps else {})},
        "inherent": "none",
        "softness": {"train_on": {"run": "production"}},
        "precision": precision,
    }
    try:
        study = Study.model_validate(content)
        check_place(study.store)
        assert study.source.trajectories is not None
        study.source.trajectories._in_steps = in_steps
        return study
    except ValidationError as error:
        raise StudyError("; ".join(f"{setting(_key(e))}: {_message(e)}" for e in error.errors())) from None


def load_study(path: str | os.PathLike[str]) -> Study:
    """Read and validate a study file.

    Parameters
    ----------
    path : str or os.PathLike
        Study file, YAML.

    Returns
    -------
    Study
        All settings of the study, each given or by default.

    Raises
    ------
    StudyError
        Naming the file, and for each problem its line and key.

    Examples
    --------
    >>> text = '''
    ... study: example
    ... store: example.zarr
    ... systems: [{system: ka_0.0, particles: 1200, temperatures: [0.80, 0.62]}]
    ... source: {simulate: {engine: lammps}}
    ... '''
    >>> with open("example.yaml", "w") as file:
    ...     _ = file.write(text)
    >>> study = dg.load_study("example.yaml")
    >>> study.systems[0].temperatures, study.hops.window
    ((0.8, 0.62), 10.0)
    """
    path = Path(path)
    text, root, content = read_yaml(path)
    if not isinstance(content, dict):
        raise StudyError(f"{path}:1: a study file consists of keys such as study, store, systems")
    try:
        study = Study.model_validate(content)
        study._text = text
    except ValidationError as error:
        problems = error.errors()
        shown = list(dict.fromkeys(_reported(path, root, problem) for problem in problems[:MOST_PROBLEMS]))
        more = [f"{path}: and {len(problems) - MOST_PROBLEMS:,} more"] * (len(problems) > MOST_PROBLEMS)
        raise StudyError("\n".join(shown + more)) from None
    try:
        check_place(study.store)
    except StudyError as error:
        raise StudyError(f"{path}:{line_of(root, ('store',))}: store: {error}") from None
    return study


def check_place(store: str) -> None:
    """Check that a store can be created at a path: no other file or folder exists there, nor another store around it.

    Raises
    ------
    StudyError
        If one does, or the file system rejects the path.
    """
    path = Path(store)
    try:
        there, is_store = path.exists(), (path / "zarr.json").exists() or ledger_path(path).exists()
        for folder in path.absolute().parents:
            if folder.exists() and not folder.is_dir():
                raise StudyError(f"{store}: {folder} is a file, not a folder; choose another place for the store")
            if (folder / "zarr.json").exists():
                raise StudyError(f"{store} is inside the store {folder}; choose a place outside it")
    except OSError as error:
        raise StudyError(f"{store}: {error.strerror}") from None
    if path.is_symlink():
        raise StudyError(f"{store} is a link to itself; delete it, or choose another name for the store")
    if there and not path.is_dir():
        raise StudyError(f"{store} is a file; choose another name for the store")
    if there and not is_store:
        raise StudyError(
            f"{store} is a folder, but not a store; choose another name for the store, such as {store}/mine.zarr"
        )


REMEDIES = {
    "string_type": ": put numbers and words such as true in quotes to make them text",
    "string_pattern_mismatch": ": use only letters, digits and _ . + -, and begin with a letter or digit",
    "tuple_type": ": write a list, such as [0.8, 0.7]",
    "model_type": ": write its keys, such as {key: value}",
}  # by the type of a Pydantic error


def _reported(path: Path, root: yaml.Node | None, problem: Mapping[str, Any]) -> str:
    """One line: file, line, key and problem."""
    keys = _keys(problem)
    return f"{path}:{line_of(root, keys)}: {'.'.join(map(str, keys)) or 'study'}: {_message(problem)}"


def _keys(problem: Mapping[str, Any]) -> tuple[int | str, ...]:
    keys = (*problem["loc"], *problem.get("ctx", {}).get("at", ()))
    # a choice between a section and a word adds the section's type to the keys
    return tuple(key for key in keys if key not in ("Inherent", "literal['none']"))


def _key(problem: Mapping[str, Any]) -> str:
    """Key of a section or of one value of it, whichever of a list it is in."""
    return ".".join(key for key in _keys(problem) if isinstance(key, str))


def _message(problem: Mapping[str, Any]) -> str:
    if problem["type"] == "extra_forbidden":
        return "unknown key; docs/study_file.md lists all keys"
    given = problem.get("input")
    # Pydantic would name the class
    message = "not a section" if problem["type"] == "model_type" else str(problem["msg"]).removeprefix("Value error, ")
    message += REMEDIES.get(problem["type"], "")
    # the value is shown unless the message contains it
    known = isinstance(given, (dict, list, tuple)) or given is None or problem["type"] == "study"
    shown = repr(given)
    return message if known else f"{message}; got {shown[:MOST_SHOWN]}{'…' * (len(shown) > MOST_SHOWN)}"
