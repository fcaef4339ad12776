"""Patterns of file names: fill in known fields, and read the others from existing names."""

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

from daskglass.errors import StudyError, TrajectoryError, setting
from daskglass.study.paths import expand_path
from daskglass.trajectories.several_files import STEP

PATH, CONSTANTS, TABLE, RENAME = (
    setting(f"source.trajectories.{key}") for key in ("path", "constants", "table", "rename")
)
RUNS = ("production", "training")
# text that matches a field; "~" becomes "" for the longest match and "?" for the shortest
NUMBER = r"(?:[0-9]+~(?:\.[0-9]*~)?~|\.[0-9]+~)(?:[eE][+-]?[0-9]+~)?~"
WHOLE = r"[0-9]+~"
EXPRESSIONS = {
    "temperature": NUMBER,
    "replica": WHOLE,
    "step": WHOLE,
    "run": "|".join(RUNS),
    "configuration": WHOLE,
    "trajectory": WHOLE,
    "lag": NUMBER,
    "box": NUMBER,
}
# of labels in names of files, each with an example
POSITIVE = {"temperature": "0.45", "lag": "100", "box": "15.06"}
COUNTED = ("replica", "configuration", "trajectory")
TEXT = "[^/]+~"
# a format can be used for reading if it writes these so that they read back the same
SAMPLES: Mapping[str, str | float] = {
    **dict.fromkeys(POSITIVE, 2.0), **dict.fromkeys((*COUNTED, "step"), 10), "run": RUNS[0],
}  # fmt: skip
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
    """A file that matches a pattern: its path, with `{step}` in place of that field, and the values of all fields.

    `step` is the text of the field `{step}`, empty if the pattern has none.
    """

    path: Path
    values: Mapping[str, Any]
    step: str = ""


Pieces = list[str | Field]


def parse_pattern(pattern: str) -> Pieces:
    """Expand `~` and $VARIABLES, and split a pattern into literal texts and fields.

    Raises
    ------
    StudyError
        If the path is an address, a variable is not set, or braces do not contain a field such as `{temperature:.2f}`.
    """
    try:
        expanded = expand_path(pattern, _escaped)
    except StudyError as error:
        raise StudyError(f"{PATH}: {error}") from None
    advice = "write a field as {temperature:.2f}, name and format; double literal braces"
    try:
        parsed = list(string.Formatter().parse(expanded))
    except ValueError as error:
        raise StudyError(f"{PATH}: {pattern!r}: {error}", remedy=advice) from None
    pieces: Pieces = []
    for literal, name, spec, conversion in parsed:
        pieces.append(literal)
        if name is not None:
            if not name or conversion or set("/{}") & set(f"{name}{spec}"):
                raise StudyError(f"{PATH}: {pattern!r}: {{{name}}} is not a field", remedy=advice)
            pieces.append(Field(name, spec or ""))
    if not any(pieces):
        raise StudyError(f"{PATH}: empty")
    return pieces


def fill(pieces: Pieces, texts: Mapping[str, str], where: str) -> Pieces:
    """Write the known fields: as their text or, with a format, as their formatted value.

    Parameters
    ----------
    pieces : a pattern
    texts : of the known fields, each valid for `to_value`
    where : source of the texts, for messages

    Raises
    ------
    StudyError
        If a format does not fit its value, a text is empty, or the format of an unknown field writes text that cannot be
        read back.
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
            raise StudyError(f"{where}: {piece.name} is empty, and {PATH} needs it")
    return filled


def find_matches(pieces: Pieces) -> list[Match]:
    """Find the files that match a pattern, and the values of its fields.

    Raises
    ------
    TrajectoryError
        If a name is ambiguous or contains a number out of range, a link is broken, or a folder cannot be read.
    """
    base, components = _components(pieces)
    names, long = _expression(components, "")
    _, short = _expression(components, "?")
    matches = []
    for path in _walk(base, components, files=True):
        # the longest and the shortest match: if they agree, all do
        readings = [match for expression in (long, short) if (match := re.fullmatch(expression, path))]
        first, last = (list(zip(names, match.groups(), strict=True)) for match in readings)
        if first != last:
            either, other = (", ".join(f"{name} {text}" for name, text in reading) for reading in (first, last))
            raise TrajectoryError(
                f"{''.join(map(str, pieces))} may mean {either} or {other}",
                file=base + path,
                remedy=f"put text between the fields of {PATH}, or give them in a table",
            )
        try:
            values = [(name, to_value(name, text)) for name, text in first]
        except ValueError as error:
            raise TrajectoryError(str(error), file=base + path) from None
        # a number that occurs twice may be written differently, but must have one value
        if len(set(values)) == len(set(names)):
            step, whole = "", path
            if "step" in names:
                low, high = readings[0].span(1 + names.index("step"))
                step, whole = path[low:high], f"{path[:low]}{STEP}{path[high:]}"
            matches.append(Match(Path(base + whole), dict(values), step))
    return matches


def nearest(pieces: Pieces) -> str:
    """Contents of the deepest existing folder on the way to a pattern's files."""
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
    return f"{folder}/ contains {', '.join(names[:3]) or 'nothing'}{more}"


def to_value(name: str, text: str) -> str | float:
    """Value of the text of a field, constant or cell.

    Raises
    ------
    ValueError
        If it is not valid.
    """
    fits = name not in EXPRESSIONS or re.fullmatch(EXPRESSIONS[name].replace("~", ""), text)
    if name in POSITIVE:
        if fits and 0 < float(text) < inf:
            return float(text)
        raise ValueError(f"{name} must be a positive number such as {POSITIVE[name]}; got {text!r}")
    if name in COUNTED and not fits:
        raise ValueError(f"{name} must be a whole number, 0 or more; got {text!r}")
    if name == "run" and not fits:
        raise ValueError(f"run must be {' or '.join(RUNS)}; got {text!r}")
    if name == "step" and fits and len(text) > MOST_DIGITS:
        raise ValueError(f"step must have {MOST_DIGITS} digits or fewer; got {text}")
    if name == "system" and not text:
        raise ValueError("system must not be empty")
    if name in COUNTED and int(text) >= 2**63:
        raise ValueError(f"{name} must be less than 2^63; got {text}; number them in a table")
    # a table column may also be called step, and contain anything
    return int(text) if name in COUNTED or (name == "step" and fits) else text


def _check_readable(field: Field) -> None:
    sample = SAMPLES.get(field.name, "text")
    written = _formatted(field, sample)
    try:
        readable = to_value(field.name, written) == sample
    except ValueError:
        readable = False
    if not readable:
        raise StudyError(
            f"{PATH}: {field} writes {sample} as {written!r}, which does not read back as {sample}",
            remedy="remove the format",
        )


def _formatted(field: Field, value: str | float) -> str:
    try:
        return format(value, field.spec)
    except ValueError as error:
        known = "" if field.name in (*EXPRESSIONS, "system") else f"; known fields are system, {', '.join(EXPRESSIONS)}"
        raise StudyError(f"{PATH}: {field} cannot format {value!r} ({error}){known}") from None


def _components(pieces: Pieces) -> tuple[str, list[Pieces]]:
    """Split a pattern at its slashes: the folder before the first field, and the components below it."""
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
    """Fields of some components, and a regular expression that tries long or short texts first."""
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
    """Find the paths below a folder that match some components: files, or folders with a trailing slash."""
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
        raise TrajectoryError(str(error.strerror), file=base + folder) from None
    with entries:
        for entry in entries:
            path = folder + entry.name
            # only links need another call to the file system
            if expression.fullmatch(path) and (
                _exists(base + path, files) if entry.is_symlink() else entry.is_file() if files else entry.is_dir()
            ):
                yield path


def _exists(path: str, files: bool) -> bool:
    """Whether a path is a file or, if not `files`, a folder; a broken link is an error."""
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        if os.path.islink(path):
            raise TrajectoryError(
                f"links to {os.readlink(path)}, which does not exist",
                file=path,
                remedy="restore that, or remove the link",
            ) from None
        return False
    except OSError as error:
        raise TrajectoryError(str(error.strerror), file=path) from None
    return stat.S_ISREG(mode) if files else stat.S_ISDIR(mode)


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
