"""What a study comes to: its systems with their runs, files, layouts and the inputs of their stages."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr

from daskglass import stages, structure
from daskglass.engines.sweep import lag_grid
from daskglass.errors import StudyError, TrajectoryError
from daskglass.layout import TABLES, Layout, division, frames_per_block, frames_per_chunk
from daskglass.ledger import Ledger
from daskglass.store import Block
from daskglass.study import Simulate, Study, System, found_system
from daskglass.trajectories import get_format
from daskglass.trajectories.mapping import Source, find_sources, read_table
from daskglass.trajectories.signac import project_rows
from daskglass.trajectories.survey import Survey, survey_file
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
WRITES: Mapping[Stage, tuple[str, ...]] = {"convert": (stages.THERMAL, "potential_energy", "pressure", "box", "time")}
LONGEST_LAG_STEPS = 10**9


@dataclass(frozen=True)
class File:
    """A file of the user's, and what it holds; None where it cannot be used: then `problem` says why."""

    path: Path
    survey: Survey | None
    problem: str = ""


Files = Mapping[tuple[str, float, int], File]  # by run, temperature and replica


def plan_study(study: Study, ledger: Ledger | None = None) -> list[SystemPlan]:
    """Plan every system of a study; files are looked up, and surveyed where the ledger does not know them.

    Raises
    ------
    StudyError
        If the study does not say where files belong.
    TrajectoryError
        If files are missing, or do not agree with one another.
    """
    if study.source.simulate is not None:
        return [SystemPlan(study, system) for system in study.systems]
    files = _surveyed(study, Ledger(Path(study.store)) if ledger is None else ledger)
    systems = study.systems or [found_system(name) for name in files]
    return [SystemPlan(study, system, files.get(system.system, {})) for system in systems]


def sources_of(study: Study) -> list[Source]:
    """Files of a study of existing trajectories, and where they belong, from their names alone."""
    given = study.source.trajectories
    assert given is not None
    pattern: str = given.path
    rows: Sequence[Mapping[str, str]] = ({},)
    if given.format == "signac":
        pattern, rows = project_rows(given.path)
    elif given.table is not None:
        rows = read_table(Path(given.table))
    constants = dict(given.constants)
    told = {given.rename.get(name, name) for row in rows for name in row} | {given.rename.get(n, n) for n in constants}
    if len(study.systems) == 1 and "system" not in told:
        constants["system"] = study.systems[0].system
    return find_sources(pattern, constants, rows, given.rename)


def _surveyed(study: Study, ledger: Ledger) -> dict[str, dict[tuple[str, float, int], File]]:
    assert study.source.trajectories is not None
    reader = get_format(study.source.trajectories.reader)
    wanted = {system.system for system in study.systems}
    files: dict[str, dict[tuple[str, float, int], File]] = {}
    for source in sources_of(study):
        if wanted and source.system not in wanted:
            continue
        known = ledger.marks.get(file_key(source.path))
        # what is wrong with one file fails the tasks that read it, and stops no other
        try:
            survey = survey_file(source.path, reader, None if known is None else Survey.model_validate(known))
            file = File(source.path, survey)
        except TrajectoryError as error:
            file = File(source.path, None, str(error))
        files.setdefault(source.system, {})[source.run, source.temperature, source.replica] = file
    return files


def file_key(path: Path) -> str:
    """Name under which the ledger knows a file."""
    return f"file-{path.absolute()}"


class SystemPlan:
    """One system of a study: its files, its layouts and the inputs of its stages."""

    def __init__(self, study: Study, system: System, files: Files | None = None) -> None:
        self.study, self.system, self.name = study, system, system.system
        self.path = Path(study.store)
        self.files = {} if files is None else files

    @cached_property
    def positions(self) -> str:
        """Variable that structure and hops are computed from."""
        return stages.THERMAL if self.study.inherent == "none" else stages.INHERENT

    @cached_property
    def temperatures(self) -> tuple[float, ...]:
        """Temperatures of the system, from high to low: those of the study, or all that have files."""
        if self.system.temperatures:
            return self.system.temperatures
        return tuple(sorted({T for run, T, _ in self.files if run == "production"}, reverse=True))

    @cached_property
    def replicas(self) -> tuple[int, ...]:
        """Numbers of the replicas: as many as the study says, or all that have files."""
        if self.study.source.simulate:
            assert self.system.replicas is not None
            return tuple(range(self.system.replicas))
        found = tuple(sorted({replica for _, _, replica in self.files}))
        if self.system.replicas is not None and self.system.replicas > len(found):
            raise TrajectoryError(
                f"{self.name}: the study asks for {self.system.replicas} replicas; there are files of {list(found)}"
            )
        return found[: self.system.replicas]

    @cached_property
    def species(self) -> tuple[str, ...]:
        """Names of the species; the first is the one whose structure and motion are computed."""
        if self.system.species:
            return self.system.species
        return self.system.mixture.species if self.system.mixture else self.survey("production").types

    @cached_property
    def training_temperature(self) -> float:
        """Temperature of the labelled examples."""
        recorded = {T for run, T, _ in self.files if run == "training"}
        if self.softness_run == "training" and len(recorded) == 1 and self.study.softness.train_on.temperature is None:
            return recorded.pop()
        T = self.study.training_temperature(self.name, self.temperatures)
        assert T is not None
        return T

    def source(self, run: str, temperature: float, replica: int) -> Path:
        """File of one run: of the user's, or one that the engine writes."""
        if self.study.source.simulate:
            return self.folder(temperature, replica) / f"{run}.gsd"
        return self.file(run, temperature, replica).path

    def file(self, run: str, temperature: float, replica: int) -> File:
        """The user's file of one run.

        Raises
        ------
        TrajectoryError
            If there is none.
        """
        for (r, T, k), file in self.files.items():
            if (r, k) == (run, replica) and math.isclose(T, temperature, rel_tol=1e-9):
                return file
        there = sorted({f"T = {T:g}" for r, T, k in self.files if (r, k) == (run, replica)}) or ["none"]
        raise TrajectoryError(
            f"{self.name}: no file of the {run} run at T = {temperature:g}, replica {replica}; of this replica there are "
            f"{', '.join(there)}: every temperature needs the same replicas; `temperatures:` and `replicas:` of the "
            "system leave some out, --dry-run shows which file is taken for what"
        )

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
                raise TrajectoryError("\n".join(file.problem for file in self._files_of(run)))
            (first, found[run]), *others = readable
            for path, survey in others:
                _check_agree(first, found[run], path, survey, given.frames)
        return found

    def _files_of(self, run: str) -> list[File]:
        return [self.file(run, T, replica) for T in self._temperatures_of(run) for replica in self.replicas]

    def _readable(self, run: str) -> list[tuple[Path, Survey]]:
        return [(file.path, file.survey) for file in self._files_of(run) if file.survey is not None]

    def _temperatures_of(self, run: str) -> tuple[float, ...]:
        return (self.training_temperature,) if run == "training" else self.temperatures

    def folder(self, temperature: float, replica: int) -> Path:
        """Folder of the files that the engine writes for one temperature and replica."""
        root = self.path.with_name(f"{self.path.stem}.trajectories")
        return root / self.name / f"r{replica}" / f"T{temperature:g}"

    @cached_property
    def particles(self) -> int:
        """Number of particles."""
        return self.system.particles if self.study.source.simulate else self.survey("production").particles

    @cached_property
    def layouts(self) -> dict[str, Layout]:
        """Layout of every run, by its name."""
        simulate = self.study.source.simulate
        if simulate is None:
            return {run: self._file_layout(run) for run in self._surveys}
        production, training = simulate.production, simulate.training
        times = _times(production.frames, production.interval)
        layouts = {
            "production": self._particles_layout("production", times, self.temperatures),
            "relaxation": self._relaxation_layout(),
        }
        if training is not None:
            times = _times(training.frames, training.interval)
            layouts["training"] = self._particles_layout("training", times, (self.training_temperature,))
        return layouts

    def layouts_of(self, stages: Sequence[Stage]) -> dict[str, Layout]:
        """Layouts with the variables that these stages write."""
        if set(stages) == set(STAGES):
            return self.layouts
        written = {name for stage in stages for name in WRITES[stage]}
        return {
            run: replace(
                layout,
                variables=[variable for variable in layout.variables if variable.name in written],
                coordinates={name: values for name, values in layout.coordinates.items() if name not in TABLES},
            )
            for run, layout in self.layouts.items()
        }

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
        if self.softness_run not in self.layouts:
            raise StudyError(
                f"{self.name}: the files are of no training run to train on; set softness: {{train_on: {{run: production}}}}, "
                "or say by {run} in the path which files are of it"
            )
        for run, layout in self.layouts.items():
            self.study.check_reach(self.name, min(self.survey(run).box))
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
        return self._particles_layout(run, _times(frames, interval * given.timestep), self._temperatures_of(run))

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
        """Species code of every particle."""
        if self.study.source.simulate:
            assert self.system.mixture is not None
            counts = self.system.mixture.counts(self.particles)
            return np.repeat(np.arange(len(self.species)), counts).astype(np.int8)
        assert self.study.source.trajectories is not None
        path, survey = self._readable("production")[0]
        frame = next(iter(get_format(self.study.source.trajectories.reader).frames(path, 0, 1, survey.offsets)))
        return species_codes(path, frame.types, frame.typeid, self.species)

    @cached_property
    def box(self) -> np.ndarray | None:
        """Edges of the box, (3,), σ; None where they are not the same in all frames and files."""
        if self.study.source.simulate:
            assert self.system.mixture is not None
            # trajectory files hold single precision
            return np.full(3, np.float32(self.system.mixture.box_length(self.particles)), np.float64)
        surveys = [survey for run in self._surveys for _, survey in self._readable(run)]
        if any(survey.box_varies or survey.box != surveys[0].box for survey in surveys):
            return None
        return np.array(surveys[0].box)

    def _coordinates(self, temperatures: Sequence[float]) -> dict[str, xr.DataArray]:
        coordinates = {
            "temperature": _coordinate("temperature", np.array(temperatures, np.float64)),
            "replica": _coordinate("replica", np.array(self.replicas)),
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

    def _particles_layout(self, run: str, times: np.ndarray, temperatures: Sequence[float]) -> Layout:
        names = [stages.THERMAL]
        if self.study.source.simulate:
            names += ["potential_energy", "pressure"]
        else:
            names += dict.fromkeys(name for _, survey in self._readable(run) for name in survey.quantities)
        if self.study.inherent != "none":
            names += [stages.INHERENT, "inherent_force"]
        names += ["hop", "softness", "local_entropy"]
        variables = [VARIABLES[name] for name in names]
        if self.box is None:
            variables.append(replace(VARIABLES["box"], dims=(*FRAMES, "xyz")))
        if run == self.softness_run:
            variables.append(VARIABLES["label"])
        coordinates = self._coordinates(temperatures) | {"time": _coordinate("time", times)}
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
        return self._layout(run, coordinates, variables, sizes | {"time": times.size, "temperature": len(temperatures)})

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
        frames = _relaxation_frames(simulate)
        coordinates = self._coordinates(self.temperatures) | {"lag": _coordinate("lag", lags)}
        sizes = {"time": frames, "lag": lags.size, "temperature": len(self.temperatures)}
        return self._layout("relaxation", coordinates, variables, sizes)

    def _layout(
        self, run: str, coordinates: Mapping[str, xr.DataArray], variables: list[Variable], sizes: Mapping[str, int]
    ) -> Layout:
        chunk = frames_per_chunk(self.particles)
        all_blocks = sum(_frames_of(self.study, s) for s in self.study.systems) / chunk * len(variables)
        block = frames_per_block(self.particles, int(all_blocks))
        chunk, block = division(self.path, f"{self.name}/{run}") or (chunk, block)
        return Layout(
            system=self.name,
            run=run,
            coordinates=coordinates,
            variables=variables,
            sizes={
                "replica": len(self.replicas),
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
        trained, rows = study.softness.train_on, (self.temperatures, self.replicas)
        settings: dict[Stage, dict[str, Any]] = {
            "simulate": {},
            "convert": {"precision": study.precision, "species": self.species},
            "inherent": {"inherent": study.inherent, "mixture": system.mixture},
            "hops": {"hops": study.hops.model_dump(exclude={"lead"}), "softness.train_on.run": trained.run},
            "structure": {
                "structure": study.structure, "hops.lead": study.hops.lead, "replicas": self.replicas,
                "softness.train_on.temperature": self.training_temperature,
                "softness": study.softness.model_dump(include={"samples_per_class", "seed"}),
            },
            "train": {"softness": study.softness},
            "softness": {},
            "entropy": {"radial": (study.radial.r_max, study.radial.bin_width)},
            "ensemble": {
                "strata": study.strata, "dynamics": study.dynamics, "radial.core": study.radial.core, "temperatures": rows,
                "hops.soft": study.hops.soft,
            },
            "barriers": {"barriers": study.barriers, "radial.softness_bins": study.radial.softness_bins},
            "figures": {},
        }  # fmt: skip
        if study.source.trajectories is not None:
            settings["convert"]["source.trajectories.timestep"] = study.source.trajectories.timestep
        found: dict[Stage, dict[str, str]] = {}
        for stage in STAGES:
            found[stage] = {key: value for before in UPSTREAM[stage] for key, value in found[before].items()}
            found[stage] |= {key: study.fingerprint(value) for key, value in settings[stage].items()}
        return found

    def convert_inputs(self, block: Block) -> dict[str, str]:
        """Inputs of converting one block: settings, and the frames of its file."""
        inputs = self.inputs("convert") | {"frames": f"{block.start} to {block.stop}"}
        if self.study.source.simulate:
            return inputs
        survey = self.file(block.run, block.temperature, block.replica).survey
        return inputs | {"file": self.study.fingerprint(survey and survey.content)}

    def attributes(self) -> dict[str, Any]:
        """Attributes of every group of the system: what it is, and what it was made with."""
        mixture, box = self.system.mixture, self.box
        packages = ["daskglass", "numpy", "xarray", "zarr", "dask", "gsd"]
        attributes: dict[str, Any] = {
            "Conventions": "CF-1.11",
            "system": self.name,
            "study": self.study.model_dump_json(),
            "study_file": self.study.text,
            "versions": json.dumps({"python": platform.python_version()} | {name: version(name) for name in packages}),
        }
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
        found = []
        for T in self._temperatures_of(run):
            for replica in self.replicas:
                file = self.file(run, T, replica)
                entry: dict[str, Any] = {"temperature": T, "replica": replica, "path": str(file.path.absolute())}
                if survey := file.survey:
                    changed = datetime.fromtimestamp(survey.modified / 1e9, UTC).isoformat(timespec="seconds")
                    entry |= {
                        "frames": survey.frames,
                        "size": survey.size,
                        "modified": changed,
                        "sha256": survey.sha256,
                    }
                found.append(entry)
        return {"sources": json.dumps(found)}

    def equilibration_multiple(self, index: int) -> float:
        """Number of τ_α to equilibrate at a temperature: from the first value, at the hottest, to the second."""
        assert self.study.source.simulate is not None
        hot, cold = self.study.source.simulate.equilibration.relaxation_times
        return hot + (cold - hot) * index / max(len(self.temperatures) - 1, 1)


def _check_agree(path: Path, first: Survey, other: Path, second: Survey, frames: int | None) -> None:
    """Refuse two files of a run that do not hold the same particles at the same times."""
    asked = {
        "particles": "they cannot be of one system",
        "species": "the particles must be of the same species in the same order",
        "interval": "the frames of a run must be as many time steps apart in every file",
        "frames": "`frames:` under source.trajectories, or --frames, takes the first so many of every file",
    }
    for name, remedy in asked.items():
        if name == "frames" and frames is not None:
            continue
        one, two = getattr(first, name), getattr(second, name)
        if one != two:
            # of the species only hashes are known
            what = "species differ from those" if name == "species" else f"{name} {two} differs from {one}"
            raise TrajectoryError(f"{other}: {what} of {path}: {remedy}")


def _relaxation_frames(simulate: Simulate) -> int:
    return simulate.relaxation.origins * (simulate.relaxation.points + 1)


def _frames_of(study: Study, system: System) -> int:
    """Frames of all runs of a system, as far as the study file alone says."""
    simulate = study.source.simulate
    if simulate is None or system.replicas is None:
        return 0
    each = simulate.production.frames + _relaxation_frames(simulate)
    training = simulate.training.frames if simulate.training else 0
    return system.replicas * (len(system.temperatures) * each + training)


def _times(frames: int, interval: float) -> np.ndarray:
    return np.round(np.arange(frames) * interval, 9)


def _coordinate(name: str, values: np.ndarray) -> xr.DataArray:
    variable = VARIABLES[name]
    return xr.DataArray(values.astype(variable.dtype), dims=variable.dims, attrs=variable.attrs)


def _thermal(variable: Variable) -> Variable:
    return replace(variable, name=f"{variable.name}_thermal", long_name=f"{variable.long_name}, thermal positions")
