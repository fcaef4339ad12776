"""What a study comes to: its systems with their runs, files, layouts and the inputs of their stages."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr

from daskglass.engines.sweep import lag_grid
from daskglass.errors import StudyError, TrajectoryError
from daskglass.physics import structure
from daskglass.physics.labels import distinct, find, same
from daskglass.physics.particles import species_names
from daskglass.sources.files import (
    File,
    Files,
    Over,
    check_agree,
    check_composition,
    check_density,
    check_timestep,
    composition,
    survey_sources,
)
from daskglass.stages import functions as stages
from daskglass.store.blocks import Block, open_group
from daskglass.store.ledger import Ledger
from daskglass.store.template import Layout, division, frames_per_block, frames_per_chunk
from daskglass.study.settings import Study, System, found_system
from daskglass.trajectories.parts import get_reader
from daskglass.trajectories.survey import Survey
from daskglass.trajectories.unwrapping import species_codes
from daskglass.variables import FRAMES, VARIABLES, Variable, flags

Stage = Literal[
    "simulate", "convert", "inherent", "hops", "structure", "train", "softness", "entropy", "ensemble", "barriers",
    "figures",
]  # fmt: skip
STAGES: tuple[Stage, ...] = Stage.__args__  # type: ignore[attr-defined]
UPSTREAM: Mapping[Stage, tuple[Stage, ...]] = {
    "simulate": (),
    "convert": ("simulate",),
    "inherent": ("convert",),
    "hops": ("inherent",),
    "structure": ("hops",),
    "train": ("structure",),
    "softness": ("train",),
    "entropy": ("inherent",),
    "ensemble": ("softness", "entropy"),
    "barriers": ("ensemble",),
    "figures": ("barriers",),
}
LONGEST_LAG_STEPS = 10**9


def plan_study(study: Study, ledger: Ledger | None = None, over: Over = map, adding: bool = False) -> list[SystemPlan]:
    """Plan every system of a study; files are looked up, and surveyed where the ledger does not know them.

    Parameters
    ----------
    study : the study
    ledger : of its store
    over : runs a function over lists of its arguments, as `map` does
    adding : whether files join what is in the store, of which they need not be all

    Raises
    ------
    StudyError
        If the study does not say where files belong.
    TrajectoryError
        If no file is found, or two belong in one place.
    """
    if study.source.simulate is not None:
        return [SystemPlan(study, system) for system in study.systems]
    files = survey_sources(study, Ledger(Path(study.store)) if ledger is None else ledger, over)
    systems = study.systems or [found_system(name) for name in files]
    return [SystemPlan(study, system, files.get(system.system, {}), adding) for system in systems]


class SystemPlan:
    """One system of a study: its files, its layouts and the inputs of its stages."""

    def __init__(self, study: Study, system: System, files: Files | None = None, adding: bool = False) -> None:
        self.study, self.system, self.name = study, system, system.system
        self.path = Path(study.store)
        self.files = {} if files is None else files
        self.adding = adding
        self._stood: dict[str, xr.Dataset | None] = {}

    @cached_property
    def positions(self) -> str:
        """Variable that structure and hops are computed from."""
        return stages.THERMAL if self.study.inherent == "none" else stages.INHERENT

    @cached_property
    def temperatures(self) -> tuple[float, ...]:
        """Temperatures of the system, from high to low: those of the study, or all that have files."""
        return self.system.temperatures or self._found("production", 1, "temperature")

    @cached_property
    def replicas(self) -> tuple[int, ...]:
        """Numbers of the replicas: as many as the study says, or all that have files."""
        if self.study.source.simulate:
            assert self.system.replicas is not None
            return tuple(range(self.system.replicas))
        found = tuple(reversed(self._found("production", 2, "replica")))
        if self.system.replicas is not None and self.system.replicas > len(found):
            raise TrajectoryError(
                f"{self.name}: the study asks for {self.system.replicas} replicas; there are files of {list(found)}"
            )
        return found[: self.system.replicas]

    def temperatures_of(self, run: str) -> tuple[float, ...]:
        """Temperatures of a run, from high to low: of the training run, those that it is recorded at."""
        if run != "training":
            return self.temperatures
        return (self.training_temperature,) if self.study.source.simulate else self._found(run, 1, "temperature")

    def replicas_of(self, run: str) -> tuple[int, ...]:
        """Replicas of a run: of the training run, those that have files."""
        if run != "training" or self.study.source.simulate:
            return self.replicas
        return tuple(reversed(self._found(run, 2, "replica")))

    def _found(self, run: str, place: int, name: str) -> tuple[Any, ...]:
        """Temperatures or replicas of the files of a run, and where files are added of those in the store; falling."""
        found: set[Any] = {key[place] for key in self.files if key[0] == run}
        standing = self._standing(run)
        there = standing[name].values.tolist() if self.adding and standing is not None else []
        # what the store holds keeps its label
        new = [label for label in distinct(found) if find(there, label) is None]
        return tuple(sorted([*there, *new], reverse=True))

    def _standing(self, run: str) -> xr.Dataset | None:
        """The run as it is in the store when the plan is made."""
        if run not in self._stood:
            group = f"{self.name}/{run}"
            there = (self.path / group / "zarr.json").is_file()
            self._stood[run] = open_group(self.path, group) if there else None
        return self._stood[run]

    @cached_property
    def species(self) -> tuple[str, ...]:
        """Names of the species; the first is the one whose structure and motion are computed."""
        if self.system.species:
            return self.system.species
        if self.system.mixture:
            return self.system.mixture.species
        standing = self._standing("production")
        return self._first[1].types if standing is None else tuple(species_names(standing["species"]))

    @cached_property
    def training_temperature(self) -> float:
        """Temperature of the labelled examples."""
        recorded = [] if self.study.source.simulate else self._found("training", 1, "temperature")
        if self.softness_run == "training" and len(recorded) == 1 and self.study.softness.train_on.temperature is None:
            return float(recorded[0])
        T = self.study.training_temperature(self.name, self.temperatures)
        assert T is not None
        if self.study.source.simulate:
            return T
        listed = find(self.temperatures_of(self.softness_run), T)
        return T if listed is None else listed

    def file(self, run: str, temperature: float, replica: int) -> File:
        """The user's file of one run.

        Raises
        ------
        TrajectoryError
            If there is none.
        """
        if (file := self._file(run, temperature, replica)) is not None:
            return file
        there = sorted({f"T = {T:g}" for r, T, k in self.files if (r, k) == (run, replica)}) or ["none"]
        raise TrajectoryError(
            f"{self.name}: no file of the {run} run at T = {temperature:g}, replica {replica}; of this replica there are "
            f"{', '.join(there)}: every temperature needs the same replicas; `temperatures:` and `replicas:` of the "
            "system leave some out, --dry-run shows which file is taken for what"
        )

    def _file(self, run: str, temperature: float, replica: int) -> File | None:
        if (exact := self.files.get((run, temperature, replica))) is not None:
            return exact
        near = (file for (r, T, k), file in self.files.items() if (r, k) == (run, replica) and same(T, temperature))
        return next(near, None)

    def survey(self, run: str) -> Survey:
        """Survey of the first readable file of a run, with which all others agree.

        Raises
        ------
        TrajectoryError
            If a file is missing, none can be read, or two do not agree.
        """
        return self._surveys[run]

    @cached_property
    def _surveys(self) -> dict[str, Survey]:
        given = self.study.source.trajectories
        assert given is not None
        if not self.files:
            raise TrajectoryError(
                f"{self.name}: none of the files found is of this system; --dry-run shows what they are"
            )
        found = {}
        for run in dict.fromkeys(run for run, _, _ in self.files):
            readable = self._readable(run)
            if not readable:
                raise TrajectoryError("\n".join(file.problem for file in self._files_of(run).values()))
            (first, found[run]), *others = readable
            for path, survey in others:
                check_agree(first, found[run], path, survey, given.frames)
        return found

    def _check_stated(self) -> None:
        """Refuse files that are not of what was said of them."""
        given, mixture = self.study.source.trajectories, self.system.mixture
        assert given is not None
        first, survey = self._first
        expected = composition(first, survey, self.species)
        for run in self._surveys:
            for path, survey in self._readable(run):
                check_timestep(path, survey, given)
                check_composition(path, survey, self.species, first, expected, mixture)
                if mixture is not None:
                    check_density(path, survey, mixture, self.box is None)

    def has_frames(self, run: str, temperature: float, replica: int) -> bool:
        """Whether frames are to be brought from a file: not of what is in the store already, where files are added."""
        if not self.adding or self._file(run, temperature, replica) is not None:
            return True
        standing = self._standing(run)
        if standing is None or replica not in standing["replica"]:
            return True
        return not same(standing["temperature"].values, temperature).any()

    def _files_of(self, run: str) -> dict[tuple[float, int], File]:
        places = ((T, replica) for T in self.temperatures_of(run) for replica in self.replicas_of(run))
        return {place: self.file(run, *place) for place in places if self.has_frames(run, *place)}

    def _readable(self, run: str) -> list[tuple[Path, Survey]]:
        return [(file.path, file.survey) for file in self._files_of(run).values() if file.survey is not None]

    @property
    def _first(self) -> tuple[Path, Survey]:
        """A readable file, which all others agree with in their particles."""
        return self._readable(next(iter(self._surveys)))[0]

    def folder(self, temperature: float, replica: int) -> Path:
        """Folder of the files that the engine writes for one temperature and replica."""
        root = self.path.with_name(f"{self.path.stem}.trajectories")
        return root / self.name / f"r{replica}" / f"T{temperature:g}"

    @cached_property
    def particles(self) -> int:
        """Number of particles."""
        return self.system.particles if self.study.source.simulate else self._first[1].particles

    @cached_property
    def layouts(self) -> dict[str, Layout]:
        """Layout of every run, by its name; where files are added, of nothing but what they hold."""
        simulate = self.study.source.simulate
        if simulate is None:
            self._check_stated()
            return {run: self._file_layout(run) for run in self._surveys}
        production, training = simulate.production, simulate.training
        times = _times(production.frames, production.interval)
        layouts = {
            "production": self._particles_layout("production", times),
            "relaxation": self._relaxation_layout(),
        }
        if training is not None:
            times = _times(training.frames, training.interval)
            layouts["training"] = self._particles_layout("training", times)
        return layouts

    def check_analysis(self) -> None:
        """Refuse files of boxes too small, or of too few frames, for what is computed from them.

        Raises
        ------
        StudyError
            Naming the key that the files do not meet.
        """
        if self.study.source.simulate:
            return
        if self.study.inherent != "none" and self.system.mixture is None:
            raise StudyError(
                f"{self.name}: is no built-in system: minimising needs its `mixture:` under systems; or set inherent: none"
            )
        if "production" not in self.layouts:
            raise TrajectoryError(
                f"{self.name}: there are no files of the production run, only {', '.join(self.layouts)}"
            )
        if self.softness_run not in self.layouts:
            raise StudyError(
                f"{self.name}: the files are of no training run to train on; set softness: {{train_on: {{run: production}}}}, "
                "or say by {run} in the path which files are of it"
            )
        if find(self.temperatures_of(self.softness_run), self.training_temperature) is None:
            raise StudyError(
                f"{self.name}: softness.train_on.temperature: there is no {self.softness_run} run at "
                f"{self.training_temperature:g}; there is one at {list(self.temperatures_of(self.softness_run))}"
            )
        for run, layout in self.layouts.items():
            for path, survey in self._readable(run):
                try:
                    self.study.check_reach(self.name, survey.shortest)
                except StudyError as error:
                    raise TrajectoryError(f"{path}: {error}") from None
            time = layout.coordinates["time"].values
            if time[-1] < self.study.hops.window:
                raise StudyError(
                    f"{self.name}: {time.size} frames of the {run} run over {time[-1]:g} τ are fewer than hops.window = "
                    f"{self.study.hops.window} τ spans"
                )

    def _file_layout(self, run: str) -> Layout:
        given, interval = self.study.source.trajectories, self.survey(run).interval
        assert given is not None
        frames = given.frames or self.survey(run).frames
        for path, survey in self._readable(run):
            if survey.frames < frames:
                raise TrajectoryError(
                    f"{path}: holds {survey.frames} frames; source.trajectories.frames asks for {frames}"
                )
        standing = self._standing(run)
        kept = any(not self._file(run, T, k) for T in self.temperatures_of(run) for k in self.replicas_of(run))
        if standing is not None and kept and frames != standing.sizes["time"]:
            raise TrajectoryError(
                f"{self._readable(run)[0][0]}: {frames} frames join a run of {standing.sizes['time']}: --frames reads the "
                "first N, and a run becomes longer with all of its files at once"
            )
        return self._particles_layout(run, _times(frames, interval * given.timestep))

    @property
    def softness_run(self) -> str:
        """Run of the labelled examples."""
        return self.study.softness.train_on.run

    def frames_of(self, run: str, duration: float) -> int:
        """Number of frames of a run in a time.

        Raises
        ------
        StudyError
            If it is not whole.
        """
        interval = float(np.diff(self.layouts[run].coordinates["time"][:2])[0])
        if abs(duration / interval - round(duration / interval)) > 1e-3:
            raise StudyError(f"{duration} τ is no whole number of frames of the {run} run, {interval:g} τ apart")
        return round(duration / interval)

    def rows(self, run: str) -> list[Block]:
        """One block per temperature and replica, over all its frames."""
        layout = self.layouts[run]
        return [replace(b, stop=layout.sizes["time"]) for b in layout.blocks() if b.start == 0]

    @cached_property
    def _codes(self) -> np.ndarray:
        """Species code of every particle: of files, in the order of the store, or else of the first of them."""
        if self.study.source.simulate:
            assert self.system.mixture is not None
            counts = self.system.mixture.counts(self.particles)
            return np.repeat(np.arange(len(self.species)), counts).astype(np.int8)
        assert self.study.source.trajectories is not None
        path, survey = self._first
        reader = get_reader(self.study.source.trajectories.reader, survey.parts)
        frame = next(iter(reader.frames(path, 0, 1, survey.offsets)))
        codes = species_codes(path, frame.types, frame.typeid, self.species, frame.elements)
        standing = next((run for run in map(self._standing, self._surveys) if run is not None), None)
        if standing is not None and np.array_equal(np.sort(standing["species"]), np.sort(codes)):
            return np.asarray(standing["species"].values, np.int8)
        return codes

    @cached_property
    def box(self) -> np.ndarray | None:
        """Edges of the box, (3,), σ; None where they are not the same in all frames and files."""
        if self.study.source.simulate:
            assert self.system.mixture is not None
            # trajectory files hold single precision
            return np.full(3, np.float32(self.system.mixture.box_length(self.particles)), np.float64)
        surveys = [survey for run in self._surveys for _, survey in self._readable(run)]
        standing = [run["box"] for run in map(self._standing, self._surveys) if run is not None]
        boxes = [survey.box for survey in surveys] + [tuple(box.values.tolist()) for box in standing if box.ndim == 1]
        if any(survey.box_varies for survey in surveys) or any(box.ndim > 1 for box in standing) or len(set(boxes)) > 1:
            return None
        return np.array(boxes[0])

    def _coordinates(self, run: str) -> dict[str, xr.DataArray]:
        coordinates = {
            "temperature": _coordinate("temperature", np.array(self.temperatures_of(run), np.float64)),
            "replica": _coordinate("replica", np.array(self.replicas_of(run))),
            "species": _coordinate("species", self._codes),
            "neighbor": xr.DataArray(
                list(self.species), dims="neighbor", attrs={"long_name": "species of the neighbour"}
            ),
            "xyz": xr.DataArray(list("xyz"), dims="xyz", attrs={"long_name": "Cartesian component"}),
        }
        if self.box is not None:
            coordinates["box"] = _coordinate("box", self.box)
        coordinates["species"].attrs |= {"names": list(self.species)} | flags(range(len(self.species)), self.species)
        return coordinates

    def _particles_layout(self, run: str, times: np.ndarray) -> Layout:
        names = [stages.THERMAL]
        if self.study.source.simulate:
            names += ["potential_energy", "pressure"]
        else:
            names += dict.fromkeys(name for _, survey in self._readable(run) for name in survey.quantities)
        variables = [VARIABLES[name] for name in names]
        if self.box is None:
            variables.append(replace(VARIABLES["box"], dims=(*FRAMES, "xyz")))
        coordinates = self._coordinates(run) | {"time": _coordinate("time", times)}
        if self.adding:
            return self._layout(run, coordinates, variables, {"time": times.size})
        names = ["hop", "softness", "local_entropy"]
        if self.study.inherent != "none":
            names += [stages.INHERENT, "inherent_force"]
        if run == self.softness_run:
            names.append("label")
        variables += [VARIABLES[name] for name in names]
        sizes = {}
        if run == "production":
            r = structure.bin_middles(self.study.radial.r_max, self.study.radial.bin_width)
            coordinates["r"] = _coordinate("r", r)
            sizes["r"] = r.size
            variables += [VARIABLES["g"]] + [_thermal(VARIABLES["g"])] * (self.study.inherent != "none")
            if self.study.source.simulate is None:
                coordinates["lag"] = _coordinate("lag", times)
                sizes["lag"] = times.size
                variables += [VARIABLES["scattering"], VARIABLES["msd"]]
        return self._layout(run, coordinates, variables, sizes | {"time": times.size})

    def _relaxation_layout(self) -> Layout:
        simulate = self.study.source.simulate
        assert simulate is not None
        lags = np.array(lag_grid(LONGEST_LAG_STEPS)) * simulate.timestep
        variables = [
            VARIABLES[stages.THERMAL],
            VARIABLES["potential_energy"],
            VARIABLES["pressure"],
            replace(VARIABLES["time"], dims=FRAMES),
            VARIABLES["scattering"],
            VARIABLES["msd"],
        ]
        frames = simulate.relaxation.frames
        coordinates = self._coordinates("relaxation") | {"lag": _coordinate("lag", lags)}
        sizes = {"time": frames, "lag": lags.size}
        return self._layout("relaxation", coordinates, variables, sizes)

    def _layout(
        self, run: str, coordinates: Mapping[str, xr.DataArray], variables: list[Variable], sizes: Mapping[str, int]
    ) -> Layout:
        chunk = frames_per_chunk(self.particles)
        all_frames = sum(map(self.study.frames_of, self.study.systems))
        all_frames += sum(file.survey.frames for file in self.files.values() if file.survey is not None)
        all_blocks = all_frames / chunk * len(variables)
        block = frames_per_block(self.particles, int(all_blocks))
        chunk, block = division(self.path, f"{self.name}/{run}") or (chunk, block)
        return Layout(
            system=self.name,
            run=run,
            coordinates=coordinates,
            variables=variables,
            sizes={
                "temperature": len(self.temperatures_of(run)),
                "replica": len(self.replicas_of(run)),
                "particle": self.particles,
                "xyz": 3,
                "neighbor": len(self.species),
                **sizes,
            },
            chunk=chunk,
            block=block,
        )

    def inputs(self, stage: Stage) -> dict[str, str]:
        """Hashes of the settings of a stage and of all stages before it, by the keys of the study file."""
        return self._inputs[stage]

    @cached_property
    def _inputs(self) -> dict[Stage, dict[str, str]]:
        study, system = self.study, self.system
        trained = study.softness.train_on
        settings: dict[Stage, dict[str, Any]] = {
            "simulate": {},
            "convert": {"precision": study.precision, "species": self.species},
            "inherent": {"inherent": study.inherent, "mixture": system.mixture},
            "hops": {"hops": study.hops.model_dump(exclude={"lead"}), "softness.train_on.run": trained.run},
            "structure": {
                "structure": study.structure, "hops.lead": study.hops.lead,
                "softness.train_on.temperature": None if self.adding else self.training_temperature,
                "softness": study.softness.model_dump(include={"samples_per_class", "seed"}),
            },
            "train": {"softness": study.softness},
            "softness": {},
            "entropy": {"radial": (study.radial.r_max, study.radial.bin_width)},
            "ensemble": {
                "strata": study.strata, "dynamics": study.dynamics, "radial.core": study.radial.core,
                "hops.soft": study.hops.soft,
            },
            "barriers": {"barriers": study.barriers, "radial.softness_bins": study.radial.softness_bins},
            "figures": {},
        }  # fmt: skip
        if study.source.trajectories is not None:
            settings["convert"]["source.trajectories.timestep"] = study.source.trajectories.timestep
            if study.source.trajectories.ignore_images:
                settings["convert"]["source.trajectories.ignore_images"] = True
        found: dict[Stage, dict[str, str]] = {}
        for stage in STAGES:
            found[stage] = {key: value for before in UPSTREAM[stage] for key, value in found[before].items()}
            found[stage] |= {key: study.fingerprint(value) for key, value in settings[stage].items()}
        return found

    def content(self, block: Block) -> str:
        """Hash of the file that the frames of a block come from, which it keeps while it only grows."""
        survey = self.file(block.run, block.temperature, block.replica).survey
        return self.study.fingerprint(survey and survey.content)

    def attributes(self) -> dict[str, Any]:
        """Attributes of every group of the system: what it is, and what it was made with."""
        mixture, box = self.system.mixture, self.box
        packages = ["daskglass", "numpy", "xarray", "zarr", "dask", "gsd"]
        attributes: dict[str, Any] = {
            "Conventions": "CF-1.11",
            "system": self.name,
            "versions": json.dumps({"python": platform.python_version()} | {name: version(name) for name in packages}),
        }
        if not self.adding:
            attributes |= {"study": self.study.model_dump_json(), "study_file": self.study.text}
        if mixture is not None:
            attributes |= {"delta": mixture.delta, "mixture": mixture.model_dump_json()}
        if box is not None:
            attributes["density"] = self.particles / float(np.prod(box))
        origin = self.study.source.simulate or self.study.source.trajectories
        assert origin is not None
        return attributes | {"timestep": origin.timestep}

    def run_attributes(self, run: str) -> dict[str, Any]:
        """Attributes of a run: where its frames come from."""
        if self.study.source.simulate:
            return {"engine": self.study.source.simulate.engine}
        files = self._files_of(run)
        standing = self._standing(run) if self.adding else None
        known = [] if standing is None else json.loads(standing.attrs.get("sources", "[]"))
        found = [entry for entry in known if (entry["temperature"], entry["replica"]) not in files]
        for (T, replica), file in files.items():
            entry: dict[str, Any] = {"temperature": T, "replica": replica, "path": str(file.path.absolute())}
            if survey := file.survey:
                changed = datetime.fromtimestamp(survey.modified / 1e9, UTC).isoformat(timespec="seconds")
                entry |= {"frames": survey.frames, "size": survey.size, "modified": changed, "sha256": survey.sha256}
            found.append(entry)
        found.sort(key=lambda entry: (-entry["temperature"], entry["replica"]))
        return {"sources": json.dumps(found)}

    def equilibration_multiple(self, index: int) -> float:
        """Number of τ_α to equilibrate at a temperature: from the first value, at the hottest, to the second."""
        assert self.study.source.simulate is not None
        hot, cold = self.study.source.simulate.equilibration.relaxation_times
        return hot + (cold - hot) * index / max(len(self.temperatures) - 1, 1)


def _times(frames: int, interval: float) -> np.ndarray:
    return np.round(np.arange(frames) * interval, 9)


def _coordinate(name: str, values: np.ndarray) -> xr.DataArray:
    variable = VARIABLES[name]
    return xr.DataArray(values.astype(variable.dtype), dims=variable.dims, attrs=variable.attrs)


def _thermal(variable: Variable) -> Variable:
    return replace(variable, name=f"{variable.name}_thermal", long_name=f"{variable.long_name}, thermal positions")
