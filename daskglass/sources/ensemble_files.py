"""What is in the files of isoconfigurational ensembles: where trajectories end, at a lag each, or the trajectories themselves."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from daskglass.errors import StudyError, TrajectoryError, setting
from daskglass.physics.labels import distinct, find, same
from daskglass.sources import Ends, Feed, Origin, Started
from daskglass.sources.surveys import File, check_agree, check_composition, check_timestep, composition
from daskglass.study.settings import Images, System, Trajectories, fingerprint
from daskglass.study.values import MOST_LAGS
from daskglass.trajectories.isoconfigurational import CAGE, Contents, scan
from daskglass.trajectories.mapping import Trajectory
from daskglass.trajectories.several_files import get_reader
from daskglass.trajectories.survey import Survey as Surveyed
from daskglass.trajectories.unwrapping import species_codes

Survey = Callable[[Sequence[Trajectory]], Mapping[Trajectory, File]]
WHOLE = 1e-6  # of a time step: rounding of a lag
SAME_EDGE = 1e-6  # relative: rounding of an edge of the box in files


class Held(Protocol):
    """What the files of the ensembles of a system hold."""

    label: ClassVar[str]
    """What tells files of one configuration apart."""

    @property
    def first(self) -> Path:
        """A file that can be read, which all others agree with."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the species, in the order of the mixture's."""

    @property
    def codes(self) -> NDArray[np.int8]:
        """Species code of every particle, in the order of the mixture's species."""

    @property
    def box(self) -> NDArray[np.float64] | None:
        """Edges of the box, σ; None where files do not say."""

    @property
    def lags(self) -> NDArray[np.float64]:
        """Lags, τ, rising."""

    @property
    def timestep(self) -> float:
        """τ per time step; NaN where nothing counts them."""

    @property
    def cages(self) -> bool:
        """Whether files hold centres of cages."""

    @property
    def trajectories(self) -> int:
        """Most trajectories of a configuration."""

    def feed(self, number: int, files: Sequence[Trajectory]) -> Feed:
        """How the files of one configuration come into the store."""


# --- where trajectories end ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class EndFiles:
    """An `.npz` file for each configuration and lag.

    Attributes
    ----------
    names, codes, lags : see `Held`
    contents : of every file; or what is wrong with it
    """

    label: ClassVar[str] = "lag"
    box: ClassVar[None] = None
    timestep: ClassVar[float] = math.nan
    names: tuple[str, ...]
    codes: NDArray[np.int8]
    lags: NDArray[np.float64]
    contents: Mapping[Path, Contents | str]

    @classmethod
    def of(cls, given: Trajectories, system: System, files: Sequence[Trajectory], look: Survey) -> EndFiles:
        """Look into the files, and hold them against each other."""
        lags = distinct({file.lag for file in files if file.lag is not None})
        for lag in given.lags:
            if find(lags, lag) is None:
                raise TrajectoryError(f"{system.system}: no file at lag {lag:g} τ; there are files at {sorted(lags)}")
        lags = list(given.lags) or lags
        contents: dict[Path, Contents | str] = {}
        first: tuple[Path, Contents] | None = None
        for file in files:
            if find(lags, file.lag or 0.0) is None:
                continue
            try:
                found = scan(file.path)
            except TrajectoryError as error:
                contents[file.path] = str(error)
                continue
            first = first or (file.path, found)
            _check_alike(*first, file.path, found)
            # one array for all of them
            contents[file.path] = replace(found, types=first[1].types)
        if first is None:
            raise TrajectoryError("\n".join(map(str, contents.values())))
        names, codes = _species(system, *first)
        return cls(names, codes, np.array(sorted(lags)), contents)

    @cached_property
    def _readable(self) -> Mapping[Path, Contents]:
        return {path: found for path, found in self.contents.items() if isinstance(found, Contents)}

    @property
    def first(self) -> Path:
        return next(iter(self._readable))

    @property
    def cages(self) -> bool:
        return CAGE in self._readable[self.first].shapes

    @property
    def trajectories(self) -> int:
        return max(found.trajectories for found in self._readable.values())

    def feed(self, number: int, files: Sequence[Trajectory]) -> Feed:
        at = {float(lag): [f.path for f in files if same(lag, f.lag or 0.0)] for lag in self.lags}
        ends = {lag: paths[0] if paths else None for lag, paths in at.items()}
        there = {path: self.contents[path] for path in ends.values() if path is not None}
        read = {path: found for path, found in there.items() if isinstance(found, Contents)}
        # of a file that cannot be read nothing is known
        contents = {
            repr(lag): (str(path.absolute()), list(read[path].checksums) if path in read else [])
            for lag, path in ends.items()
            if path is not None
        }
        return Feed(
            Ends(ends, {path: found.state for path, found in read.items()}),
            # an array has all lags, and is made anew for other ones
            {"files": fingerprint(number, contents, self.lags.tolist())},
            "\n".join(found for found in there.values() if isinstance(found, str)),
        )


def _check_alike(path: Path, first: Contents, other: Path, found: Contents) -> None:
    """Refuse two files of a system that do not hold the same particles, and cages both or neither."""
    if not np.array_equal(first.types, found.types):
        raise TrajectoryError(
            f"types are not those of {path}: particles of a system have one order in all files",
            file=other,
            remedy="make files of other particles a system of their own",
        )
    has, lacks = (path, other) if CAGE in first.shapes else (other, path)
    if (CAGE in first.shapes) != (CAGE in found.shapes):
        raise TrajectoryError(
            f"has no array {CAGE}, which {has} has", file=lacks, remedy="give it to all files of a system, or to none"
        )


def _species(system: System, path: Path, first: Contents) -> tuple[tuple[str, ...], NDArray[np.int8]]:
    """Names of the species, in the order of the mixture's, and codes; `species:` names the codes 0, 1, … of the files."""
    ordered = system.mixture.species if system.mixture else system.species
    names = system.species or ordered or tuple("ABCDEFGH"[: int(first.types.max()) + 1])
    if first.types.max() >= len(names):
        raise TrajectoryError(
            f"types has codes up to {first.types.max()}; there are {len(names)} species, {list(names)}", file=path
        )
    if unknown := [name for name in names if ordered and name not in ordered]:
        raise StudyError(f"{system.system}: the mixture has no species {unknown[0]!r}: it has {list(ordered)}")
    ordered = ordered or names
    return ordered, np.array([ordered.index(name) for name in names], np.int8)[first.types]


# --- trajectories --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TrajectoryFiles:
    """A file for each configuration and trajectory, of any format; its first frame is the configuration.

    Attributes
    ----------
    given : where the files are, and how to read them
    names, timestep : see `Held`
    files : the files, and what is in them
    steps : time steps from the first frame to each lag
    """

    label: ClassVar[str] = "trajectory"
    cages: ClassVar[bool] = False
    given: Trajectories
    names: tuple[str, ...]
    timestep: float
    files: Mapping[Trajectory, File]
    steps: tuple[int, ...]

    @classmethod
    def of(cls, given: Trajectories, system: System, files: Sequence[Trajectory], look: Survey) -> TrajectoryFiles:
        """Look into the files, and hold them against each other."""
        assert given.timestep is not None
        surveyed = look(files)
        readable = [(file.path, file.survey) for file in surveyed.values() if file.survey is not None]
        if not readable:
            raise TrajectoryError("\n".join(file.problem for file in surveyed.values()))
        first, survey = readable[0]
        names = system.species or (system.mixture.species if system.mixture else survey.types)
        steps = _steps_of(given, first, survey, given.timestep)
        expected = composition(first, survey, names)
        for path, other in readable:
            _check_agrees(given, first, survey, path, other)
            check_timestep(path, other, given.timestep)
            check_composition(path, other, names, first, expected, None)
            _frames_at(given, path, other, steps, given.timestep)
        return cls(given, names, given.timestep, surveyed, steps)

    @cached_property
    def _first(self) -> tuple[Path, Surveyed]:
        return next((file.path, file.survey) for file in self.files.values() if file.survey is not None)

    @property
    def first(self) -> Path:
        return self._first[0]

    @cached_property
    def codes(self) -> NDArray[np.int8]:
        path, survey = self._first
        frame = next(iter(get_reader(self.given.format, survey.parts).frames(path, 0, 1, survey.offsets)))
        return species_codes(path, frame.types, frame.typeid, self.names, frame.elements)

    @property
    def box(self) -> NDArray[np.float64]:
        return np.array(self._first[1].box)

    @property
    def lags(self) -> NDArray[np.float64]:
        return np.round(np.array(self.steps) * self.timestep, 9)

    @cached_property
    def trajectories(self) -> int:
        return max(Counter((file.temperature, file.replica, file.configuration) for file in self.files).values())

    def feed(self, number: int, files: Sequence[Trajectory]) -> Feed:
        # the order of trajectories decides which is in which half
        mine = {file.trajectory: self.files[file] for file in sorted(files, key=lambda file: file.trajectory or 0)}
        images: Images = "ignored" if self.given.ignore_images else "trusted"
        origins = [Origin(file.path, self.given.format, file.survey, images) for file in mine.values()]
        contents = [(trajectory, file.survey and file.survey.content) for trajectory, file in mine.items()]
        inputs = {
            "files": fingerprint(number, contents, self.steps),
            "source.trajectories.timestep": fingerprint(self.timestep),
            "source.trajectories.ignore_images": fingerprint(True) if self.given.ignore_images else "",
        }
        problem = "\n".join(file.problem for file in mine.values() if file.problem)
        return Feed(Started(tuple(origins), self.steps, self.names), inputs, problem)


def _steps_of(given: Trajectories, path: Path, survey: Surveyed, timestep: float) -> tuple[int, ...]:
    """Time steps from the first frame to each lag: those that the study asks for, or of all later frames."""
    if not given.lags:
        steps = survey.elapsed[1 : given.frames].tolist()
        if not steps:
            raise TrajectoryError(
                "holds the configuration alone: its second frame would be at the first lag", file=path
            )
        if len(steps) > MOST_LAGS:
            raise TrajectoryError(
                f"holds {len(steps):,} lags; the limit is {MOST_LAGS:,}",
                file=path,
                remedy=f"choose some by {setting('source.trajectories.lags')}",
            )
        return tuple(steps)
    for lag in given.lags:
        if abs(lag / timestep - round(lag / timestep)) > WHOLE * max(1.0, lag / timestep) or round(lag / timestep) < 1:
            raise StudyError(
                f"{setting('source.trajectories.lags')}: {lag:g} τ is not a whole number of time steps of {timestep:g} τ"
            )
    return tuple(round(lag / timestep) for lag in given.lags)


def _check_agrees(given: Trajectories, first: Path, survey: Surveyed, path: Path, other: Surveyed) -> None:
    """Refuse two files of a system with other particles, boxes or times; with `lags` it matters only that these are there."""
    if other.box_varies or not np.allclose(survey.box, other.box, rtol=SAME_EDGE, atol=0):
        what = "varies" if other.box_varies else f"is {list(other.box)} σ, {list(survey.box)} σ in {first}"
        raise TrajectoryError(
            f"the box {what}: trajectories of an ensemble are in one box",
            file=path,
            remedy="make files with another box a system of their own",
        )
    even = {"interval": 0, "frames": 0} if given.lags or survey.uneven or other.uneven else {}
    check_agree(first, survey.model_copy(update=even), path, other.model_copy(update=even), given.frames)
    if not given.lags and not np.array_equal(survey.elapsed[: given.frames], other.elapsed[: given.frames]):
        raise TrajectoryError(
            f"frames are {_in_short(other.elapsed)} time steps after the first, {_in_short(survey.elapsed)} in {first}",
            file=path,
            remedy=f"name those that all files have by {setting('source.trajectories.lags')}",
        )


def _frames_at(given: Trajectories, path: Path, survey: Surveyed, steps: Sequence[int], timestep: float) -> None:
    """Refuse a file without frames at all lags."""
    there = survey.elapsed[: given.frames]
    for step in steps:
        if step > there[-1]:
            raise TrajectoryError(
                f"ends {there[-1] * timestep:g} τ after its first frame, before the lag {step * timestep:g} τ",
                file=path,
            )
        if step not in there:
            raise TrajectoryError(
                f"has no frame at the lag {step * timestep:g} τ; there are some at {_in_short(there * timestep)} τ",
                file=path,
            )


def _in_short(values: NDArray[np.generic]) -> str:
    return np.array2string(values, threshold=6, edgeitems=3, separator=", ", precision=6)
