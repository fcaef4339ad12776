"""Isoconfigurational ensembles that come from the user's files."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskglass.engines.ensembles import Isoconfigurational
from daskglass.errors import StudyError, TrajectoryError, setting
from daskglass.physics.labels import distinct, same
from daskglass.sources import Effort, Feed, Recording, Simulation
from daskglass.sources.ensemble_files import EndFiles, Held, Survey, TrajectoryFiles
from daskglass.sources.surveys import ENSEMBLE as RUN
from daskglass.sources.surveys import check_density, check_fractions, check_particles
from daskglass.store.blocks import Block
from daskglass.study.settings import Study, System
from daskglass.trajectories.mapping import Trajectory
from daskglass.variables import VARIABLES

UNUSED = ("hops", "softness", "strata", "radial", "dynamics", "barriers")  # sections on frames of a production run
EDGE = 1e-3  # relative: rounding of an edge of the box in a label


def of_ensembles(study: Study, system: System, files: Sequence[Trajectory], look: Survey) -> FromEnsembles:
    """Return the source of a system that there are ensembles of; `look` looks into files of trajectories.

    Raises
    ------
    StudyError, TrajectoryError
        If labels are missing, files do not agree with each other or with the study, or it asks for what is not there.
    """
    given = study.source.trajectories
    assert given is not None
    if stated := [name for name in UNUSED if name in study.model_fields_set]:
        raise StudyError(
            f"{setting(stated[0])}: nothing is computed with it from isoconfigurational ensembles",
            remedy="leave it out",
        )
    own = [file for file in files if file.system == system.system]
    if not own:
        raise TrajectoryError(
            f"{system.system}: none of the files found is of this system", remedy="--dry-run lists them"
        )
    kind = EndFiles if given.ensembles else TrajectoryFiles
    _check_labels(system.system, own, kind.label)
    own = _chosen(system, own)
    found = FromEnsembles(system, tuple(own), kind.of(given, system, own, look))
    found.check()
    return found


def _chosen(system: System, files: Sequence[Trajectory]) -> list[Trajectory]:
    """Files at the temperatures and of the replicas that the study asks for."""
    there = sorted(distinct({file.temperature for file in files}), reverse=True)
    for T in system.temperatures:
        if not same(there, T).any():
            raise TrajectoryError(f"{system.system}: no file at T = {T:g}; there are files at {there}")
    asked = system.temperatures or there
    files = [file for file in files if same(asked, file.temperature).any()]
    replicas = sorted({file.replica for file in files})
    if system.replicas is not None and system.replicas > len(replicas):
        raise TrajectoryError(
            f"{system.system}: the study asks for {system.replicas} replicas; there are files of {replicas}"
        )
    return [file for file in files if file.replica in replicas[: system.replicas]]


def _check_labels(system: str, files: Sequence[Trajectory], label: str) -> None:
    """Refuse files without labels, with labels of no meaning, and two of one place."""
    meanings = {
        "configuration": "its number",
        "lag": "the time between start and end, in τ",
        "trajectory": "its number",
    }
    for name in ("configuration", label):
        if any(getattr(file, name) is None for file in files):
            raise StudyError(
                f"{system}: no {name} for {files[0].path}",
                remedy=f"put {{{name}}} into {setting('source.trajectories.path')}, or {name}, {meanings[name]}, into "
                f"{setting('source.trajectories.constants')} or a column of {setting('source.trajectories.table')}",
            )
    if label == "trajectory" and any(file.lag is not None for file in files):
        raise StudyError(
            f"{system}: lags of trajectories are the times of their frames, and a label lag says nothing of {files[0].path}",
            remedy=f"choose some of them by {setting('source.trajectories.lags')}, and give the field another name",
        )
    places: dict[tuple[object, ...], Path] = {}
    for file in files:
        place = (file.temperature, file.replica, file.configuration, getattr(file, label))
        if (other := places.setdefault(place, file.path)) != file.path:
            raise TrajectoryError(
                f"and {other} are both of T = {file.temperature:g}, replica {file.replica}, configuration "
                f"{file.configuration}, {label} {getattr(file, label):g}",
                file=file.path,
                remedy="all trajectories of a configuration and lag are in one file" if label == "lag" else "",
            )


@dataclass(frozen=True)
class FromEnsembles:
    """Configurations of one system, and the propensities of their particles; see `Source`.

    Attributes
    ----------
    asked : the system as the study describes it
    files : of all its configurations
    held : what is in them
    """

    asked: System
    files: tuple[Trajectory, ...]
    held: Held

    @property
    def system(self) -> str:
        return self.asked.system

    @property
    def timestep(self) -> float:
        return self.held.timestep

    @property
    def training_temperature(self) -> float:
        # nothing is trained on labels
        return math.nan

    @property
    def particles(self) -> int:
        return self.held.codes.size

    @property
    def species(self) -> tuple[str, ...]:
        return self.asked.mixture.species if self.asked.mixture else self.held.names

    @property
    def codes(self) -> NDArray[np.int8]:
        return self.held.codes

    @cached_property
    def box(self) -> NDArray[np.float64]:
        edges = distinct({file.box for file in self.files if file.box is not None})
        if len(edges) > 1:
            raise StudyError(f"{self.system}: files have boxes of {edges[0]:g} and {edges[1]:g} σ; one is expected")
        if self.held.box is not None:
            if edges and not np.allclose(self.held.box, edges[0], rtol=EDGE, atol=0):
                raise TrajectoryError(
                    f"the box is {self.held.box.tolist()} σ; its label says {edges[0]:g} σ", file=self.files[0].path
                )
            return self.held.box
        if edges:
            return np.full(3, edges[0])
        if self.asked.mixture is None:
            raise StudyError(
                f"{self.system}: nothing says how long the box is",
                remedy=f"give its edge in σ by {setting('source.trajectories.constants')}: {{box: …}}, or {{box}} in the path",
            )
        return np.full(3, self.asked.mixture.box_length(self.particles))

    @cached_property
    def runs(self) -> Mapping[str, Recording]:
        names = ["position", "propensity", "propensity_half", "trajectories", *["cage"] * self.held.cages]
        numbers = np.unique([file.configuration for file in self.files]).astype(np.int64)
        variables = tuple(VARIABLES[name] for name in names)
        return {
            RUN: Recording(numbers.size, None, self.held.lags, variables, True, numbers, "", self.held.trajectories)
        }

    def temperatures(self, run: str) -> tuple[float, ...]:
        return self.asked.temperatures or tuple(
            sorted(distinct({file.temperature for file in self.files}), reverse=True)
        )

    def replicas(self, run: str) -> tuple[int, ...]:
        return tuple(sorted({file.replica for file in self.files}))

    def has_frames(self, run: str, temperature: float, replica: int) -> bool:
        return True

    def feed(self, block: Block) -> Feed:
        numbers = self.runs[RUN].configurations
        assert numbers is not None
        number = int(numbers[block.start])
        return self.held.feed(
            number,
            [
                file
                for file in self._of_configuration.get((block.replica, number), ())
                if same(file.temperature, block.temperature)
            ],
        )

    @cached_property
    def _of_configuration(self) -> Mapping[tuple[int, int | None], list[Trajectory]]:
        found: dict[tuple[int, int | None], list[Trajectory]] = {}
        for file in self.files:
            found.setdefault((file.replica, file.configuration), []).append(file)
        return found

    @property
    def simulations(self) -> Sequence[Simulation]:
        return []

    def trajectories(self, block: Block) -> Sequence[Isoconfigurational]:
        return ()

    def effort(self) -> Effort:
        return Effort()

    def shortest_edges(self) -> Mapping[Path, float]:
        return {self.files[0].path: float(self.box.min())}

    def attributes(self, run: str) -> dict[str, Any]:
        names = ("temperature", "replica", "configuration", self.held.label)
        entries = [
            {**{name: getattr(file, name) for name in names}, "path": str(file.path.absolute())} for file in self.files
        ]
        return {"sources": json.dumps(entries)}

    def check(self) -> None:
        """Refuse particles or a box that are not what the study states.

        Raises
        ------
        StudyError, TrajectoryError
            Naming both numbers.
        """
        path = self.held.first
        check_particles(path, self.particles, self.asked)
        if mixture := self.asked.mixture:
            counts = np.bincount(self.codes, minlength=len(self.species)).tolist()
            check_fractions(path, self.species, counts, mixture.fractions)
            check_density(path, self.particles, self.box.tolist(), mixture, varies=False)
