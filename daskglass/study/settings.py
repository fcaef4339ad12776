"""The sections of a study file, validated before anything runs."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

from daskglass.errors import StudyError
from daskglass.physics import defaults
from daskglass.physics.labels import distinct, find, same
from daskglass.physics.systems import Mixture, NotNegative, Positive, built_in
from daskglass.registry import ENGINES, READERS, check_threads
from daskglass.study.checks import check_sections, temperatures_in_short
from daskglass.study.values import (
    COARSEST,
    FINEST,
    LIST,
    LIST_OR_SECTION,
    MOST_BINS,
    MOST_EXAMPLES,
    MOST_FOLDS,
    MOST_LAGS,
    MOST_PARTICLES,
    MOST_PER_DECADE,
    MOST_RADII,
    MOST_REPLICAS,
    MOST_RESAMPLES,
    MOST_TEMPERATURES,
    MOST_THREADS,
    MOST_TRAJECTORIES,
    VALUE,
    VALUE_OR_WORD,
    WORD,
    Bins,
    Constant,
    EngineName,
    FilePath,
    FormatName,
    FrameCount,
    MinimizerName,
    Name,
    Pattern,
    Percentile,
    Seed,
    StorePath,
    Timestep,
    error_at,
    known,
)

REPLICAS = 3  # of a simulated system
Images = Literal["checked", "trusted", "ignored"]  # periodic images of files


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


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
    """Frames spaced logarithmically, `points` lags from each of `origins` origins all over a run of at most `longest` τ_α.

    The run ends once relaxation and diffusion can be measured, mostly after 24 τ_α.
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


class HandoverSettings(_Section):
    """Time before the next colder temperature starts from this one: at least `minimum` τ_A, and `relaxation_times` τ_α."""

    minimum: NotNegative = 50.0
    relaxation_times: Positive = 2.0


def _rising(lags: tuple[float, ...]) -> tuple[float, ...]:
    for before, lag in itertools.pairwise(lags):
        if before > lag or same(before, lag):
            raise ValueError(f"list lags from short to long, each once; got {before:g}, then {lag:g}")
    return lags


Lags = Annotated[tuple[Positive, ...], Field(max_length=MOST_LAGS), AfterValidator(_rising)]


class LagsToRelaxation(_Section):
    """Logarithmic lags from 0.1 τ_A, up to the first of them that is not below `relaxation_times` τ_α."""

    relaxation_times: Positive
    per_decade: Annotated[int, Field(gt=0, le=MOST_PER_DECADE, strict=True)] = defaults.PER_DECADE


class Ensembles(_Section):
    """Isoconfigurational ensembles: `trajectories` from each of some `configurations`, evenly spaced in production.

    How far particles have moved is recorded at `lags`, in τ_A or up to a number of τ_α; at all `temperatures` of the study, or
    at some; where particles are is kept, or not.
    """

    configurations: FrameCount
    trajectories: Annotated[int, Field(gt=0, le=MOST_TRAJECTORIES, strict=True)] = defaults.TRAJECTORIES
    lags: Annotated[
        Annotated[Lags, Field(min_length=1), Tag(LIST)] | Annotated[LagsToRelaxation, Tag(VALUE)],
        LIST_OR_SECTION,
    ]
    temperatures: Annotated[tuple[Positive, ...], Field(min_length=1, max_length=MOST_TEMPERATURES)] | None = None
    positions: Annotated[bool, Field(strict=True)] = False

    @field_validator("temperatures")
    @classmethod
    def _each_once(cls, temperatures: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if temperatures is not None and len(distinct(temperatures)) < len(temperatures):
            raise ValueError(f"list each temperature once; got {list(temperatures)}")
        return temperatures

    @property
    def given_lags(self) -> tuple[float, ...]:
        """Lags in τ_A; none where they depend on τ_α."""
        return self.lags if isinstance(self.lags, tuple) else ()

    def at(self, temperatures: Sequence[float]) -> tuple[float, ...]:
        """Those of a system's temperatures at which there are ensembles."""
        asked = self.temperatures
        return tuple(T for T in temperatures if asked is None or find(asked, T) is not None)


def _is_whole(steps: float) -> bool:
    return round(steps) >= 1 and abs(steps - round(steps)) <= 1e-6


class Simulate(_Section):
    """Simulate the trajectories with an engine, on `threads` cores of a worker.

    The time step `auto` is the largest with which energy and temperature are right, found for each system by a short run.

    Each temperature is equilibrated on its own; it starts from the next hotter one after `handover`, or, if that is `full`, once
    that one has recorded all its runs.
    """

    engine: EngineName = "lammps"
    timestep: Annotated[Annotated[Timestep, Tag(VALUE)] | Annotated[Literal["auto"], Tag(WORD)], VALUE_OR_WORD] = 1e-3
    seed: Seed = 1
    threads: Annotated[int, Field(ge=1, le=MOST_THREADS, strict=True)] = 1
    equilibration: EquilibrationSettings = EquilibrationSettings()
    handover: Annotated[
        Annotated[HandoverSettings, Tag(VALUE)] | Annotated[Literal["full"], Tag(WORD)], VALUE_OR_WORD
    ] = HandoverSettings()
    production: Recording = Recording(frames=101)
    training: Training | None = Training(frames=1001)
    relaxation: RelaxationSettings = RelaxationSettings()
    isoconfigurational: Ensembles | None = None
    relaxation_time: Mapping[Positive, Positive] = {}

    @model_validator(mode="after")
    def _consistent(self) -> Simulate:
        check_threads(self.engine, self.threads)
        if self.handover != "full" and "handover" in self.model_fields_set:
            longest = (self.equilibration.minimum, min(self.equilibration.relaxation_times))
            for name, most in zip(("minimum", "relaxation_times"), longest, strict=True):
                if (given := getattr(self.handover, name)) > most:
                    raise error_at("handover", name, message=f"longer than the equilibration, {most:g}; got {given:g}")
        return self

    @property
    def timesteps(self) -> tuple[float, ...]:
        """Time steps that may be chosen: intervals between frames are whole numbers of them."""
        if self.timestep != "auto":
            return (self.timestep,)
        intervals = [run.interval for run in (self.production, self.training) if run is not None]
        intervals += self.isoconfigurational.given_lags if self.isoconfigurational else ()
        return tuple(dt for dt in defaults.TIMESTEPS if all(_is_whole(interval / dt) for interval in intervals))

    def known_relaxation_time(self, temperature: float) -> float | None:
        """τ_α that the study file gives at a temperature; None where it gives none."""
        key = find(list(self.relaxation_time), temperature)
        return None if key is None else self.relaxation_time[key]


class Trajectories(_Section):
    """Read existing files; `path` contains {system}, {temperature}, {replica}, {run} and $VARIABLES.

    Those of isoconfigurational ensembles also {configuration}, {trajectory} or {lag}, and {box}, the edge of the box; of the
    lags in the files, `lags` are read, by default all.

    `constants` or the columns of a CSV `table` supply labels that the path lacks; `rename` maps columns, fields or
    state-point keys to our names. `ignore_images` unwraps by the minimum image.
    """

    format: FormatName = "gsd"
    path: Pattern
    timestep: Timestep | None = None
    constants: Mapping[str, Constant] = {}
    table: FilePath | None = None
    rename: Mapping[str, str] = {}
    frames: FrameCount | None = None
    ignore_images: Annotated[bool, Field(strict=True)] = False
    lags: Lags = ()
    _in_steps: bool = PrivateAttr(default=False)

    @property
    def ensembles(self) -> bool:
        """Whether the format is one of isoconfigurational ensembles alone, with lags in τ and no time steps."""
        return READERS[self.format].ensembles

    @property
    def in_steps(self) -> bool:
        """Whether time counts time steps, because no time step was given."""
        return self._in_steps

    @property
    def images(self) -> Images:
        """How the periodic images of the files are used."""
        return "ignored" if self.ignore_images else "checked"

    @model_validator(mode="after")
    def _of_its_format(self) -> Trajectories:
        if not self.ensembles and self.timestep is None:
            raise error_at("timestep", message="give τ per time step")
        for name in ("timestep", "frames", "ignore_images"):
            if self.ensembles and getattr(self, name):
                raise error_at(
                    name,
                    message=f"leave it out: files of format {self.format} hold unwrapped positions at lags in τ, and no time "
                    "steps, frames or images",
                )
        if READERS[self.format].project and self.table is not None:
            raise error_at("table", message=f"a project of format {self.format} is its own table: leave `table` out")
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

    engine: MinimizerName = "native"
    minimizer: Annotated[str, Field(validate_default=True)] = "fire"
    force_tolerance: Annotated[Positive, Field(le=defaults.FORCE_TOLERANCE)] = defaults.FORCE_TOLERANCE

    @field_validator("minimizer")
    @classmethod
    def _of_the_engine(cls, name: str, before: ValidationInfo) -> str:
        engine = before.data.get("engine")
        # an unknown engine is reported alone
        return name if engine is None else known(ENGINES[engine].minimizers, name, f"{engine} minimizer")


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
    """Arrhenius fits: the `hottest` supercooled temperature (by default found from the data), weights, and the bootstrap."""

    hottest: Positive | None = None
    weights: Literal["scatter", "counts", "equal"] = "scatter"
    resamples: Annotated[int, Field(ge=2, le=MOST_RESAMPLES, strict=True)] = 200
    seed: Seed = 0


class PredictorSettings(_Section):
    """Linear predictors of propensity, where there are isoconfigurational ensembles.

    Features are averaged over up to so many `generations` of neighbours; the penalty is chosen, and scores are taken, over
    `folds` of whole configurations.
    """

    generations: Annotated[int, Field(ge=1, le=defaults.MOST_GENERATIONS, strict=True)] = defaults.GENERATIONS
    folds: Annotated[int, Field(ge=3, le=MOST_FOLDS, strict=True)] = defaults.FOLDS
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
    inherent: Annotated[Annotated[Inherent, Tag(VALUE)] | Annotated[Literal["none"], Tag(WORD)], VALUE_OR_WORD] = (
        Inherent()
    )
    hops: HopSettings = HopSettings()
    structure: StructureSettings = StructureSettings()
    softness: SoftnessSettings = SoftnessSettings()
    strata: StrataSettings = StrataSettings()
    radial: RadialSettings = RadialSettings()
    dynamics: DynamicsSettings = DynamicsSettings()
    barriers: BarrierSettings = BarrierSettings()
    predictor: PredictorSettings = PredictorSettings()
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
        check_sections(self)
        return self

    def restricted_to(self, names: Sequence[str]) -> Study:
        """Return the study of some of its systems alone.

        Raises
        ------
        StudyError
            If it does not list one of them.
        """
        listed = [system.system for system in self.systems]
        if unknown := [name for name in names if name not in listed]:
            raise StudyError(f"the study lists no system {unknown[0]!r}; it lists {', '.join(listed) or 'none'}")
        return self.model_copy(update={"systems": tuple(system for system in self.systems if system.system in names)})

    def frames_of(self, system: System) -> int:
        """Frames in all runs of a simulated system; 0 for files not surveyed yet."""
        simulate = self.source.simulate
        if simulate is None or system.replicas is None:
            return 0
        each = simulate.production.frames + simulate.relaxation.frames
        training = simulate.training.frames if simulate.training else 0
        return system.replicas * (len(system.temperatures) * each + training)

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
            raise StudyError(f"{wanted} is not among the temperatures of {name}: {temperatures_in_short(temperatures)}")
        return listed


def fingerprint(*values: object) -> str:
    """Return a short hash of settings; equal settings give equal hashes, whatever the order of keys."""
    plain = [value.model_dump(mode="json") if isinstance(value, BaseModel) else value for value in values]
    return hashlib.sha256(json.dumps(plain, sort_keys=True, default=str).encode()).hexdigest()[:16]
