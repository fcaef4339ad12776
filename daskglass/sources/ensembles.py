"""Isoconfigurational ensembles that come from the user's files: one for each configuration and lag."""

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
from daskglass.sources import Effort, Ensemble, Feed, Recording, Simulation
from daskglass.sources.surveys import COMPOSITION, DENSITY
from daskglass.sources.surveys import ENSEMBLE as RUN
from daskglass.store.blocks import Block
from daskglass.study.settings import Study, System, fingerprint
from daskglass.trajectories.isoconfigurational import CAGE, Contents, checksums, scan
from daskglass.trajectories.mapping import Trajectory
from daskglass.variables import VARIABLES


def of_ensembles(study: Study, system: System, files: Sequence[Trajectory]) -> FromEnsembles:
    """Return the source of a system that there are ensembles of."""
    asked = system.temperatures
    own = [file for file in files if file.system == system.system]
    if own and asked:
        own = [file for file in own if same(asked, file.temperature).any()] or own
    found = FromEnsembles(system, tuple(own))
    found.check()
    return found


@dataclass(frozen=True)
class FromEnsembles:
    """Configurations of one system, and the propensities of their particles; see `Source`.

    Attributes
    ----------
    asked : the system as the study describes it
    files : of all its configurations and lags
    """

    asked: System
    files: tuple[Trajectory, ...]

    @property
    def system(self) -> str:
        return self.asked.system

    @property
    def timestep(self) -> float:
        # nothing counts time steps
        return math.nan

    @property
    def training_temperature(self) -> float:
        # nothing is trained on labels
        return math.nan

    @cached_property
    def _first(self) -> Contents:
        """Contents of the first file; all others are held against it when they are read."""
        return scan(self.files[0].path)

    @property
    def particles(self) -> int:
        return self._first.types.size

    @property
    def species(self) -> tuple[str, ...]:
        if self.asked.species:
            return self.asked.species
        if self.asked.mixture:
            return self.asked.mixture.species
        return tuple("ABCDEFGH"[: int(self._first.types.max()) + 1])

    @property
    def codes(self) -> NDArray[np.int8]:
        return self._first.types

    @cached_property
    def box(self) -> NDArray[np.float64]:
        edges = distinct({file.box for file in self.files if file.box is not None})
        if len(edges) > 1:
            raise StudyError(f"{self.system}: files have boxes of {edges[0]:g} and {edges[1]:g} σ; one is expected")
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
        names = ["position", "propensity", "propensity_half", "trajectories"]
        if CAGE in self._first.shapes:
            names.append("cage")
        numbers = np.unique([file.configuration for file in self.files]).astype(np.int64)
        variables = tuple(VARIABLES[name] for name in names)
        return {RUN: Recording(numbers.size, None, self._lags, variables, configurations=numbers)}

    @cached_property
    def _lags(self) -> NDArray[np.float64]:
        return np.array(sorted(distinct({float(file.lag) for file in self.files if file.lag is not None})))

    def temperatures(self, run: str) -> tuple[float, ...]:
        there = sorted(distinct({file.temperature for file in self.files}), reverse=True)
        for T in self.asked.temperatures:
            if not same(there, T).any():
                raise TrajectoryError(f"{self.system}: no file at T = {T:g}; there are files at {there}")
        return self.asked.temperatures or tuple(there)

    def replicas(self, run: str) -> tuple[int, ...]:
        return tuple(sorted({file.replica for file in self.files}))

    def has_frames(self, run: str, temperature: float, replica: int) -> bool:
        return True

    def feed(self, block: Block) -> Feed:
        number = int(self._numbers[block.start])
        files = {float(file.lag or 0): file.path for file in self._at(block.temperature, block.replica, number)}
        missing = [lag for lag in self._lags.tolist() if not same(list(files), lag).any()]
        problem = ""
        if missing:
            problem = (
                f"{self.system}: T = {block.temperature:g}, replica {block.replica}, configuration {number}: no file at lag "
                f"{missing[0]:g} τ; "
                f"there are files at {sorted(files) or 'none'}"
            )
        kept = {lag: path for lag in self._lags.tolist() for at, path in files.items() if same(at, lag)}
        contents = {repr(lag): (str(path.absolute()), checksums(path)) for lag, path in kept.items()}
        return Feed(Ensemble(kept), {"files": fingerprint(number, contents)}, problem)

    @cached_property
    def _numbers(self) -> NDArray[np.int64]:
        numbers = self.runs[RUN].configurations
        assert numbers is not None
        return numbers

    def _at(self, temperature: float, replica: int, configuration: int) -> list[Trajectory]:
        return [
            file
            for file in self.files
            if (file.replica, file.configuration) == (replica, configuration) and same(file.temperature, temperature)
        ]

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
        entries = [
            {
                "temperature": file.temperature,
                "replica": file.replica,
                "configuration": file.configuration,
                "lag": file.lag,
                "path": str(file.path.absolute()),
            }
            for file in self.files
        ]
        return {"sources": json.dumps(entries)}

    def check(self) -> None:
        """Refuse files without labels, and particles or a box that are not what the study states.

        Raises
        ------
        StudyError, TrajectoryError
            Naming what is missing, or both numbers.
        """
        if not self.files:
            raise TrajectoryError(
                f"{self.system}: none of the files found is of this system", remedy="--dry-run lists them"
            )
        for name, what in (("configuration", "its number"), ("lag", "the time between start and end, in τ")):
            if any(getattr(file, name) is None for file in self.files):
                raise StudyError(
                    f"{self.system}: no {name} for {self.files[0].path}",
                    remedy=f"put {{{name}}} into {setting('source.trajectories.path')}, or {name}, {what}, into "
                    f"{setting('source.trajectories.constants')} or a column of {setting('source.trajectories.table')}",
                )
        places: dict[tuple[object, ...], Path] = {}
        for file in self.files:
            place = (file.temperature, file.replica, file.configuration, file.lag)
            if (other := places.setdefault(place, file.path)) != file.path:
                raise TrajectoryError(
                    f"and {other} are both of T = {file.temperature:g}, replica {file.replica}, configuration "
                    f"{file.configuration}, lag {file.lag:g} τ",
                    file=file.path,
                    remedy="all trajectories of a configuration and lag are in one file",
                )
        path, counts = self.files[0].path, np.bincount(self.codes, minlength=len(self.species))
        if counts.size > len(self.species):
            raise TrajectoryError(
                f"types has codes up to {counts.size - 1}; there are {len(self.species)} species, {list(self.species)}",
                file=path,
            )
        mixture = self.asked.mixture
        if mixture is None:
            return
        allowed = 1 + COMPOSITION * self.particles
        if unknown := [name for name in self.species if name not in mixture.species]:
            raise StudyError(
                f"{self.system}: the mixture has no species {unknown[0]!r}: it has {list(mixture.species)}"
            )
        fractions = [mixture.fractions[mixture.species.index(name)] for name in self.species]
        if any(abs(n - part * self.particles) > allowed for n, part in zip(counts, fractions, strict=True)):
            found, stated = (
                ", ".join(f"{name} {n:g}" for name, n in zip(self.species, numbers, strict=True))
                for numbers in (counts, fractions)
            )
            raise TrajectoryError(
                f"types holds {found}; the mixture of the system has the fractions {stated}, in the order of codes 0, 1, …",
                file=path,
                remedy=f"put the species in the order of their codes, by {setting('systems.species')}, or give the files "
                "another system",
            )
        density = self.particles / float(np.prod(self.box))
        if not math.isclose(density, mixture.density, rel_tol=DENSITY):
            raise TrajectoryError(
                f"{self.particles} particles in a box of {self.box[0]:g} σ have a density of {density:.4g}; that of the mixture "
                f"is {mixture.density:g}, held to {DENSITY:.0%}",
                file=path,
                remedy="lengths must be in σ of its first species; or give the files another system",
            )
