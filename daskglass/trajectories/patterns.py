"""Patterns of file names: fields written into them, and read back from the names that exist."""

from __future__ import annotations

import os
import re
import stat
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from math import inf
from pathlib import Path
from typing import Any

from daskglass.errors import StudyError, TrajectoryError
from daskglass.study.paths import expand_path
from daskglass.trajectories.parts import STEP

RUNS = ("production", "training")
# what a name may hold where a field stands; ~ follows each choice that "" makes long and "?" makes short
EXPRESSIONS = {
    "temperature": r"(?:[0-9]+~(?:\.[0-9]*~)?~|\.[0-9]+~)(?:[eE][+-]?[0-9]+~)?~",
    "replica": r"[0-9]+~",
    "step": r"[0-9]+~",
    "run": "|".join(RUNS),
}
TEXT = "[^/]+~"
# a format is good for reading if what it writes of these reads as the same
SAMPLES: Mapping[str, str | float] = {"temperature": 2.0, "replica": 10, "step": 10, "run": RUNS[0]}
KEY = "source.trajectories"
MOST_DIGITS = 18  # of a time step: it is less than 2^63


@dataclass(frozen=True)
class Field:
    """A field of a pattern: `{name:spec}`."""

    name: str
    spec: str

    def __str__(self) -> str:
        return f"{{{self.name}:{self.spec}}}" if self.spec else f"{{{self.name}}}"


@dataclass(frozen=True)
class Match:
    """A file that a pattern stands for: its path, with `{step}` where the field `step` is, and the values of its fields.

    `step` is the text of that field; empty where the pattern has none.
    """

    path: Path
    values: Mapping[str, Any]
    step: str = ""


Pieces = list[str | Field]


def parse_pattern(pattern: str) -> Pieces:
    """Expand `~` and $VARIABLES, and take a pattern apart into literal texts and fields.

    Raises
    ------
    StudyError
        If the path is an address, a variable is not set, or braces do not hold a field such as `{temperature:.2f}`.
    """
    try:
        expanded = expand_path(pattern, _escaped)
    except StudyError as error:
        raise StudyError(f"{KEY}.path: {error}") from None
    advice = "a field is a name and a format, such as {temperature:.2f}; braces of a name are doubled"
    try:
        parsed = list(string.Formatter().parse(expanded))
    except ValueError as error:
        raise StudyError(f"{KEY}.path: {pattern!r}: {error}; {advice}") from None
    pieces: Pieces = []
    for literal, name, spec, conversion in parsed:
        pieces.append(literal)
        if name is not None:
            if not name or conversion or set("/{}") & set(f"{name}{spec}"):
                raise StudyError(f"{KEY}.path: {pattern!r}: not a field: {{{name}}}; {advice}")
            pieces.append(Field(name, spec or ""))
    if not any(pieces):
        raise StudyError(f"{KEY}.path: empty")
    return pieces


def fill(pieces: Pieces, texts: Mapping[str, str], where: str) -> Pieces:
    """Write the fields that are known: as their text or, where there is a format, as the value it stands for.

    Parameters
    ----------
    pieces : a pattern
    texts : of the known fields, each good for `to_value`
    where : where the texts come from, for messages

    Raises
    ------
    StudyError
        If a format does not suit its value, the text of a field is empty, or a format of an unknown field writes what
        could not be read back.
    """
    filled: Pieces = []
    for piece in pieces:
        if isinstance(piece, str):
            filled.append(piece)
        elif piece.name not in texts:
            _check_readable(piece)
            filled.append(piece)
        elif text := texts[piece.name]:
            filled.append(_formatted(piece, to_value(piece.name, text)) if piece.spec else text)
        else:
            raise StudyError(f"{where}: {piece.name} is empty, and {KEY}.path needs it")
    return filled


def find_matches(pieces: Pieces) -> list[Match]:
    """Find the files that a pattern stands for, and the values of its fields in each.

    Raises
    ------
    TrajectoryError
        If a name can be read in two ways or holds a number out of range, a link leads nowhere, or a folder cannot be
        read.
    """
    base, components = _components(pieces)
    names, long = _expression(components, "")
    _, short = _expression(components, "?")
    matches = []
    for path in _walk(base, components, files=True):
        # of all readings of a name, these are the first and the last
        readings = [match for expression in (long, short) if (match := re.fullmatch(expression, path))]
        first, last = (list(zip(names, match.groups(), strict=True)) for match in readings)
        if first != last:
            either, other = (", ".join(f"{name} {text}" for name, text in reading) for reading in (first, last))
            raise TrajectoryError(
                f"{base}{path}: {''.join(map(str, pieces))} reads as {either} or as {other}; put other text between "
                f"the fields of {KEY}.path, or have a table tell them"
            )
        try:
            values = [(name, to_value(name, text)) for name, text in first]
        except ValueError as error:
            raise TrajectoryError(f"{base}{path}: {error}") from None
        # a number that stands twice may be written in two ways, but must be one
        if len(set(values)) == len(set(names)):
            step, whole = "", path
            if "step" in names:
                low, high = readings[0].span(1 + names.index("step"))
                step, whole = path[low:high], f"{path[:low]}{STEP}{path[high:]}"
            matches.append(Match(Path(base + whole), dict(values), step))
    return matches


def nearest(pieces: Pieces) -> str:
    """Say what the deepest folder that exists on the way to a pattern's files holds."""
    base, components = _components(pieces)
    depths = range(len(components) - 1, -1, -1)
    folder = Path(base + next(min(found) for depth in depths if (found := _walk(base, components[:depth]))))
    while not os.path.isdir(folder):
        folder = folder.parent
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        return f"{folder}/ cannot be read: {error.strerror}"
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{folder}/ holds {', '.join(names[:3]) or 'nothing'}{more}"


def to_value(name: str, text: str) -> str | float:
    """Return what the text of a field, a constant or a cell stands for.

    Raises
    ------
    ValueError
        If it stands for nothing.
    """
    fits = name not in EXPRESSIONS or re.fullmatch(EXPRESSIONS[name].replace("~", ""), text)
    if name == "temperature":
        if fits and 0 < float(text) < inf:
            return float(text)
        raise ValueError(f"temperature must be a positive number such as 0.45; got {text!r}")
    if name == "replica" and not fits:
        raise ValueError(f"replica must be a whole number, 0 or more; got {text!r}")
    if name == "run" and not fits:
        raise ValueError(f"run must be {' or '.join(RUNS)}; got {text!r}")
    if name == "step" and fits and len(text) > MOST_DIGITS:
        raise ValueError(f"step must have {MOST_DIGITS} digits or fewer; got {text}")
    if name == "system" and not text:
        raise ValueError("system must not be empty")
    if name == "replica" and int(text) >= 2**63:
        raise ValueError(f"replica must be less than 2^63; got {text}: number replicas by a table")
    # a column of a table may be called step, too, and hold anything
    return int(text) if name == "replica" or (name == "step" and fits) else text


def _check_readable(field: Field) -> None:
    sample = SAMPLES.get(field.name, "text")
    written = _formatted(field, sample)
    try:
        readable = to_value(field.name, written) == sample
    except ValueError:
        readable = False
    if not readable:
        raise StudyError(
            f"{KEY}.path: {field} writes {sample} as {written!r}, which does not read back as {sample}; leave its format out"
        )


def _formatted(field: Field, value: str | float) -> str:
    try:
        return format(value, field.spec)
    except ValueError as error:
        known = (
            ""
            if field.name in (*EXPRESSIONS, "system")
            else f"; {field.name} is none of system, {', '.join(EXPRESSIONS)}"
        )
        raise StudyError(f"{KEY}.path: {field} is no format of {value!r} ({error}){known}") from None


def _components(pieces: Pieces) -> tuple[str, list[Pieces]]:
    """Take a pattern apart at its slashes: the folder before the first field, and the components below it."""
    components: list[Pieces] = [[]]
    for piece in pieces:
        first, *others = [piece] if isinstance(piece, Field) else piece.split("/")
        components[-1].append(first)
        components += [[other] for other in others]
    fixed = list(takewhile(_is_literal, components[:-1]))
    return "".join(f"{''.join(map(str, component))}/" for component in fixed), components[len(fixed) :]


def _is_literal(component: Pieces) -> bool:
    return not any(isinstance(piece, Field) for piece in component)


def _expression(components: Sequence[Pieces], choice: str) -> tuple[list[str], str]:
    """Regular expression of some components, that tries long or short texts first, and the fields of its groups."""
    names: list[str] = []

    def expression(piece: str | Field) -> str:
        if isinstance(piece, str):
            return re.escape(piece)
        if piece.name in names and piece.name not in EXPRESSIONS:
            return rf"(?:\{names.index(piece.name) + 1})"
        names.append(piece.name)
        return f"({EXPRESSIONS.get(piece.name, TEXT).replace('~', choice)})"

    return names, "/".join("".join(map(expression, component)) for component in components)


def _walk(base: str, components: Sequence[Pieces], files: bool = False) -> list[str]:
    """Find the paths below a folder that suit some components: files, or folders each with a slash."""
    found = [""]
    for depth, component in enumerate(components, 1):
        last = files and depth == len(components)
        if _is_literal(component):
            found = [f"{folder}{''.join(map(str, component))}" for folder in found]
            if last:
                found = [path for path in found if _exists(base + path, files)]
        else:
            expression = re.compile(_expression(components[:depth], "")[1])
            found = [path for folder in found for path in _entries(base, folder, expression, last)]
        if not last:
            found = [f"{path}/" for path in found]
    return found


def _entries(base: str, folder: str, expression: re.Pattern[str], files: bool) -> Iterator[str]:
    try:
        entries = os.scandir(base + folder or ".")
    except (FileNotFoundError, NotADirectoryError):
        # a component without fields may be missing below some of the folders
        return
    except OSError as error:
        raise TrajectoryError(f"{base}{folder}: {error.strerror}") from None
    with entries:
        for entry in entries:
            path = folder + entry.name
            # the file system is asked again about links only
            if expression.fullmatch(path) and (
                _exists(base + path, files) if entry.is_symlink() else entry.is_file() if files else entry.is_dir()
            ):
                yield path


def _exists(path: str, files: bool) -> bool:
    """Whether a path is a file or, if not `files`, a folder; a link to nothing stands for one that should be there."""
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        if os.path.islink(path):
            raise TrajectoryError(f"{path}: a link to {os.readlink(path)}, which does not exist") from None
        return False
    except OSError as error:
        raise TrajectoryError(f"{path}: {error.strerror}") from None
    return stat.S_ISREG(mode) if files else stat.S_ISDIR(mode)


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
