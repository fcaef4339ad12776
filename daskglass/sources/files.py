"""Frames that come from the user's files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskglass.engines.ensembles import Isoconfigurational
from daskglass.errors import TrajectoryError, setting
from daskglass.physics.labels import distinct, find, same
from daskglass.sources import Effort, Feed, Origin, Recording, Simulation
from daskglass.sources.surveys import (
    File,
    Files,
    check_agree,
    check_composition,
    check_density,
    check_particles,
    check_timestep,
    composition,
)
from daskglass.store.blocks import Block, open_arrays
from daskglass.store.metadata import attributes_of
from daskglass.study.settings import Study, System, Trajectories, fingerprint
from daskglass.trajectories.several_files import get_reader
from daskglass.trajectories.survey import Survey
from daskglass.trajectories.unwrapping import species_codes
from daskglass.variables import VARIABLES

STORED = ("temperature", "replica", "time", "species", "box")  # of a run, as files that join it must know them


def of_files(study: Study, system: System, files: Files, adding: bool) -> FromFiles:
    """Return the source of a system that there are files of; `adding`: they join what the store holds."""
    given, trained = study.source.trajectories, study.softness.train_on
    if given is None or given.timestep is None:
        raise TypeError(f"{system.system}: the study names no trajectory files")
    return FromFiles(
        asked=system,
        given=given,
        timestep=given.timestep,
        files=files,
        store=Path(study.store),
        adding=adding,
        trained_on=trained.run,
        trained_at=study.training_temperature(system.system, system.temperatures),
        trained_at_given=trained.temperature is not None,
    )


@dataclass(frozen=True)
class FromFiles:
    """Frames of one system that come from files; see `Source`.

    Attributes
    ----------
    asked : the system as the study describes it
    given : where the files are, and how to read them
    timestep : τ per time step
    files : by run, temperature and replica
    store : path of the store
    adding : whether files join what is in the store, of which they need not be all
    trained_on, trained_at, trained_at_given : run and temperature of the labelled examples, and whether the study names it
    """

    asked: System
    given: Trajectories
    timestep: float
    files: Files
    store: Path
    adding: bool
    trained_on: str
    trained_at: float | None
    trained_at_given: bool
    _opened: dict[str, Mapping[str, NDArray[Any]] | None] = field(default_factory=dict)

    @property
    def system(self) -> str:
        return self.asked.system

    @cached_property
    def particles(self) -> int:
        return self._first[1].particles

    @cached_property
    def species(self) -> tuple[str, ...]:
        if self.asked.species:
            return self.asked.species
        if self.asked.mixture:
            return self.asked.mixture.species
        stored = attributes_of(self.store / self.system / "production" / "species")
        return self._first[1].types if stored is None else tuple(stored["names"])

    @cached_property
    def codes(self) -> NDArray[np.int8]:
        """Species code of every particle, in the order of the store, or else of the first file."""
        path, survey = self._first
        reader = get_reader(self.given.format, survey.parts)
        frame = next(iter(reader.frames(path, 0, 1, survey.offsets)))
        codes = species_codes(path, frame.types, frame.typeid, self.species, frame.elements)
        stored = next((run for run in map(self._stored, self._surveys) if run is not None), None)
        if stored is not None and np.array_equal(np.sort(stored["species"]), np.sort(codes)):
            return stored["species"]
        return codes

    @cached_property
    def box(self) -> NDArray[np.float64] | None:
        surveys = [survey for run in self._surveys for _, survey in self._readable(run)]
        stored = [run["box"] for run in map(self._stored, self._surveys) if run is not None]
        boxes = [survey.box for survey in surveys] + [tuple(box.tolist()) for box in stored if box.ndim == 1]
        if any(survey.box_varies for survey in surveys) or any(box.ndim > 1 for box in stored) or len(set(boxes)) > 1:
            return None
        return np.array(boxes[0])

    @cached_property
    def listed(self) -> tuple[float, ...]:
        """Temperatures of the study, or all that have files."""
        return self.asked.temperatures or self._found("production", 1, "temperature")

    def temperatures(self, run: str) -> tuple[float, ...]:
        return self._found(run, 1, "temperature") if run == "training" else self.listed

    def replicas(self, run: str) -> tuple[int, ...]:
        if run == "training":
            return tuple(reversed(self._found(run, 2, "replica")))
        found = tuple(reversed(self._found("production", 2, "replica")))
        if self.asked.replicas is not None and self.asked.replicas > len(found):
            raise TrajectoryError(
                f"{self.system}: the study asks for {self.asked.replicas} replicas; there are files of {list(found)}"
            )
        return found[: self.asked.replicas]

    def _found(self, run: str, place: int, name: str) -> tuple[Any, ...]:
        """Temperatures or replicas of the files of a run, and where files are added of those in the store; falling."""
        found: set[Any] = {key[place] for key in self.files if key[0] == run}
        stored = self._stored(run)
        there = stored[name].tolist() if self.adding and stored is not None else []
        # what the store holds keeps its label
        new = [label for label in distinct(found) if find(there, label) is None]
        return tuple(sorted([*there, *new], reverse=True))

    @cached_property
    def training_temperature(self) -> float:
        recorded = self._found("training", 1, "temperature")
        if self.trained_on == "training" and len(recorded) == 1 and not self.trained_at_given:
            return float(recorded[0])
        T = self.trained_at
        if T is None:
            # the second-coldest, as in `Study.training_temperature`
            T = self.listed[max(len(self.listed) - 2, 0)]
        listed = find(self.temperatures(self.trained_on), T)
        return T if listed is None else listed

    @cached_property
    def runs(self) -> Mapping[str, Recording]:
        self._check_stated()
        return {run: self._recording(run) for run in self._surveys}

    def _recording(self, run: str) -> Recording:
        interval = self._surveys[run].interval
        frames = self.given.frames or self._surveys[run].frames
        for path, survey in self._readable(run):
            if survey.frames < frames:
                raise TrajectoryError(
                    f"holds {survey.frames} frames; {setting('source.trajectories.frames')} asks for {frames}",
                    file=path,
                )
        stored = self._stored(run)
        kept = any(not self._file(run, T, k) for T in self.temperatures(run) for k in self.replicas(run))
        if stored is not None and kept and frames != stored["time"].size:
            raise TrajectoryError(
                f"{frames} frames join a run of {stored['time'].size}",
                file=self._readable(run)[0][0],
                remedy=f"{setting('source.trajectories.frames')} reads the first N; to make a run longer, convert all of "
                "its files at once",
            )
        times = np.round(np.arange(frames) * (interval * self.timestep), 9)
        names = ["position", *dict.fromkeys(name for _, survey in self._readable(run) for name in survey.quantities)]
        lags = times if run == "production" else None
        return Recording(frames, times, lags, tuple(VARIABLES[name] for name in names))

    def has_frames(self, run: str, temperature: float, replica: int) -> bool:
        if not self.adding or self._file(run, temperature, replica) is not None:
            return True
        stored = self._stored(run)
        if stored is None or replica not in stored["replica"]:
            return True
        return not same(stored["temperature"], temperature).any()

    def feed(self, block: Block) -> Feed:
        file = self._needed_file(block.run, block.temperature, block.replica)
        survey = file.survey
        inputs = {
            "file": fingerprint(survey and survey.content),
            "source.trajectories.timestep": fingerprint(self.timestep),
            # marks of what was read before there was a choice do not name it
            "source.trajectories.ignore_images": fingerprint(True) if self.given.ignore_images else "",
        }
        return Feed(
            Origin(file.path, self.given.format, survey and survey.around(block.start, block.stop), self.given.images),
            inputs,
            file.problem,
            grew=bool(survey and survey.grew),
            # without images, positions continue those of the block before
            continues=bool(survey and not survey.images and block.start),
        )

    @property
    def simulations(self) -> Sequence[Simulation]:
        return []

    def trajectories(self, block: Block) -> Sequence[Isoconfigurational]:
        return ()

    def effort(self) -> Effort:
        return Effort()

    def shortest_edges(self) -> Mapping[Path, float]:
        return {path: survey.shortest for run in self._surveys for path, survey in self._readable(run)}

    def attributes(self, run: str) -> dict[str, Any]:
        files = self._files_of(run)
        stored = attributes_of(self.store / self.system / run) if self.adding else None
        known = json.loads((stored or {}).get("sources", "[]"))
        found = [entry for entry in known if (entry["temperature"], entry["replica"]) not in files]
        for (T, replica), file in files.items():
            entry: dict[str, Any] = {"temperature": T, "replica": replica, "path": str(file.path.absolute())}
            if survey := file.survey:
                changed = datetime.fromtimestamp(survey.modified / 1e9, UTC).isoformat(timespec="seconds")
                entry |= {"frames": survey.frames, "size": survey.size, "modified": changed, "sha256": survey.sha256}
            found.append(entry)
        found.sort(key=lambda entry: (-entry["temperature"], entry["replica"]))
        return {"sources": json.dumps(found)}

    # --- files and surveys ---

    def _stored(self, run: str) -> Mapping[str, NDArray[Any]] | None:
        """What the store said of the run when first asked for; read without xarray, which is slow to open a group."""
        if run not in self._opened:
            group = f"{self.system}/{run}"
            there = (self.store / group / "zarr.json").is_file()
            arrays = open_arrays(self.store, group) if there else {}
            self._opened[run] = {name: np.asarray(arrays[name]) for name in STORED} if there else None
        return self._opened[run]

    def _file(self, run: str, temperature: float, replica: int) -> File | None:
        if (exact := self.files.get((run, temperature, replica))) is not None:
            return exact
        near = (file for (r, T, k), file in self.files.items() if (r, k) == (run, replica) and same(T, temperature))
        return next(near, None)

    def _needed_file(self, run: str, temperature: float, replica: int) -> File:
        if (file := self._file(run, temperature, replica)) is not None:
            return file
        there = sorted({f"T = {T:g}" for r, T, k in self.files if (r, k) == (run, replica)}) or ["none"]
        raise TrajectoryError(
            f"{self.system}: no file of the {run} run at T = {temperature:g}, replica {replica}; of this replica "
            f"there are {', '.join(there)}",
            remedy=f"every temperature needs the same replicas; {setting('systems.temperatures')} and "
            f"{setting('systems.replicas')} leave some out, --dry-run lists the files and their labels",
        )

    def _files_of(self, run: str) -> dict[tuple[float, int], File]:
        places = ((T, replica) for T in self.temperatures(run) for replica in self.replicas(run))
        return {place: self._needed_file(run, *place) for place in places if self.has_frames(run, *place)}

    def _readable(self, run: str) -> list[tuple[Path, Survey]]:
        return [(file.path, file.survey) for file in self._files_of(run).values() if file.survey is not None]

    @cached_property
    def _surveys(self) -> dict[str, Survey]:
        """Survey of the first readable file of each run, with which all others of the run agree."""
        if not self.files:
            raise TrajectoryError(
                f"{self.system}: none of the files found is of this system", remedy="--dry-run lists them"
            )
        found = {}
        for run in dict.fromkeys(run for run, _, _ in self.files):
            readable = self._readable(run)
            if not readable:
                raise TrajectoryError("\n".join(file.problem for file in self._files_of(run).values()))
            (first, found[run]), *others = readable
            for path, survey in others:
                check_agree(first, found[run], path, survey, self.given.frames)
        return found

    @cached_property
    def _first(self) -> tuple[Path, Survey]:
        """A readable file, which all others agree with in their particles."""
        return self._readable(next(iter(self._surveys)))[0]

    def _check_stated(self) -> None:
        """Refuse files that are not what the study states."""
        mixture = self.asked.mixture
        first, survey = self._first
        check_particles(first, survey.particles, self.asked)
        expected = composition(first, survey, self.species)
        for run in self._surveys:
            for path, survey in self._readable(run):
                if not self.given.in_steps:
                    check_timestep(path, survey, self.timestep)
                check_composition(path, survey, self.species, first, expected, mixture)
                if mixture is not None:
                    check_density(path, survey.particles, survey.box, mixture, self.box is None)
