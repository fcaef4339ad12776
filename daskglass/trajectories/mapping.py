"""System, run, temperature and replica of each trajectory file: from its name, a table, or constants."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from daskglass.errors import StudyError, TrajectoryError
from daskglass.physics.labels import distinct, same
from daskglass.study.paths import read_text
from daskglass.trajectories.patterns import (
    CONSTANTS,
    COUNTED,
    PATH,
    RENAME,
    RUNS,
    TABLE,
    Field,
    Match,
    fill,
    find_matches,
    nearest,
    parse_pattern,
    to_value,
)
from daskglass.trajectories.several_files import STEP, file_of

COORDINATES = ("system", "run", "temperature", "replica", "configuration", "trajectory", "lag", "box")
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
NUMBER = re.compile(r"[+-]?([0-9]+([.,][0-9]*)?|[.,][0-9]+)([eE][+-]?[0-9]+)?")
OF_ENSEMBLE = ("configuration", "lag", "trajectory")
THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2},[0-9]{3}")
MOST_CHARACTERS = 100_000_000  # of a table: a line for each of a million files
DEFAULTS: dict[str, Any] = {
    "run": RUNS[0], "replica": 0, **dict.fromkeys(("configuration", "trajectory", "lag", "box"))
}  # fmt: skip


@dataclass(frozen=True)
class Trajectory:
    """A trajectory file with its labels.

    Attributes
    ----------
    path : its file; for several files, with `{step}` where their names differ
    system, run, temperature, replica : labels
    configuration, trajectory, lag, box : of an isoconfigurational ensemble: number of the configuration and of a trajectory
        that starts from it, time between them in τ, edge of the box in σ; None where nobody says
    steps : for several files, the time steps as spelled in their names, rising; otherwise empty
    """

    path: Path
    system: str
    run: str
    temperature: float
    replica: int
    steps: tuple[str, ...] = ()
    configuration: int | None = None
    trajectory: int | None = None
    lag: float | None = None
    box: float | None = None


def find_sources(
    pattern: str,
    constants: Mapping[str, str | int | float] = {},
    rows: Sequence[Mapping[str, str]] = ({},),
    rename: Mapping[str, str] = {},
) -> list[Trajectory]:
    """Find the files of a pattern, and the system, run, temperature and replica of each.

    For each row, fields given by a constant or a column are written into the pattern with their formats; the others are
    read from the names of existing files. A name must fit the field: `T{temperature:g}` matches a folder `T0.50`, with
    temperature 0.5, and skips a folder `Tmp`; `{run}` matches the names in `RUNS`. All other text is literal.

    Parameters
    ----------
    pattern : such as `data/{system}/T{temperature:g}/r{replica:d}/traj.gsd`, with `~` and $VARIABLES. Fields of other
        names match any text, and distinguish files or join them with a table. A field that occurs twice must have the
        same text, or number, in both places. Files that differ only in `{step}` are one trajectory.
    constants : labels shared by all files
    rows : table rows or state points, as texts; without a table, one empty row
    rename : our name for a column, constant or field: `{"kT": "temperature"}`

    Returns
    -------
    Sources by system, run, falling temperature and replica. The defaults are replica 0 and run "production".

    Raises
    ------
    StudyError
        If the pattern, a constant or a cell is not valid, or system or temperature remain unknown.
    TrajectoryError
        If a row has no file, a name is ambiguous or contains a number out of range, a link is broken, two files have
        the same labels, or one file matches twice.
    """
    pieces = parse_pattern(pattern)
    names = {piece.name for piece in pieces if isinstance(piece, Field)}.union(constants, *rows)
    if unused := sorted(rename.keys() - names):
        raise StudyError(f"{RENAME}: {unused[0]!r} does not exist; the names are {_listed(names)}")
    if not rows:
        raise StudyError(f"{TABLE}: no rows")
    pieces = [replace(p, name=rename.get(p.name, p.name)) if isinstance(p, Field) else p for p in pieces]
    shared = _renamed(constants, rename, CONSTANTS)
    shared_values = _values(shared, CONSTANTS)
    sources = []
    for number, row in enumerate(rows, 1):
        cells = ", ".join(f"{name}={text}" for name, text in list(row.items())[:3])
        where = f"row {number} ({cells})" if row else PATH
        own = _renamed(row, rename, where)
        if both := sorted(shared.keys() & own.keys()):
            raise StudyError(f"{where}: {both[0]} is also in {CONSTANTS}", remedy="remove one of them")
        known = DEFAULTS | shared_values | _values(own, where)
        filled = fill(pieces, shared | own, where)
        unknown = {"system", "temperature"} - known.keys() - {p.name for p in filled if isinstance(p, Field)}
        for name in sorted(unknown):
            raise StudyError(
                f"{where}: no {name} for {pattern}",
                remedy=f"put {{{name}}} into {PATH}, or {name} into {CONSTANTS} or a column of {TABLE}, "
                f"or name it with {RENAME}; the names are {_listed(names)}",
            )
        if sum(isinstance(piece, Field) and piece.name == "step" for piece in filled) > 1:
            raise StudyError(f"{where}: {pattern}: {STEP} occurs twice", remedy="use it once")
        matches = find_matches(filled)
        if not matches:
            raise TrajectoryError(
                f"{where}: no file matches {''.join(map(str, filled))}; {_no_wildcard(filled)}{nearest(filled)}"
            )
        together: dict[Path, list[Match]] = {}
        for match in matches:
            together.setdefault(match.path, []).append(match)
        for path, files in together.items():
            place = {name: {**known, **files[0].values}[name] for name in COORDINATES}
            sources.append(Trajectory(path, **place, steps=_in_order(path, [file.step for file in files])))
    # names and tables write one temperature in several ways
    kept = np.array(distinct({source.temperature for source in sources}))
    sources = [replace(s, temperature=float(kept[int(np.argmax(same(kept, s.temperature)))])) for s in sources]
    sources.sort(key=lambda s: (s.system, s.run, -s.temperature, s.replica, _of_ensemble(s), s.path))
    _check_distinct(sources)
    return sources


def _in_order(path: Path, steps: Sequence[str]) -> tuple[str, ...]:
    """Sort the time steps in file names; empty if each file is a whole trajectory."""
    rising = sorted(filter(None, steps), key=lambda step: (int(step), step))
    for one, other in pairwise(rising):
        if int(one) == int(other):
            raise TrajectoryError(
                f"{file_of(path, one)} and {file_of(path, other)} both have time step {int(one)}",
                remedy="keep one of them",
            )
    return tuple(rising)


def _no_wildcard(pieces: Sequence[str | Field]) -> str:
    if any(isinstance(piece, str) and "*" in piece for piece in pieces):
        return f"replace * by {STEP} if the files are frames of one run, otherwise by a field such as {{job}}; "
    return ""


def read_table(path: Path) -> list[dict[str, str]]:
    """Read a CSV file with a header line: for each row, its stripped cells by column.

    Accepts what spreadsheets and pandas write: commas, semicolons or tabs between cells, decimal commas, an index
    without a name as the first column, empty columns and lines at the end.

    Raises
    ------
    StudyError
        If the file cannot be read, has no rows, an unnamed or repeated column, or a row of another length; if the
        separator, or the meaning of a comma, is ambiguous.
    """
    where = f"{TABLE}: {path}"
    try:
        text = read_text(path, MOST_CHARACTERS)
    except StudyError as error:
        raise StudyError(f"{TABLE}: {error}") from None
    lines = _cells(text, _separator(text, where), where)
    if len(lines) < 2:
        raise StudyError(f"{where}: no rows", remedy="write a header line, then one line per row")
    (first, header), *rows = lines
    for number, cells in rows:
        if len(cells) > len(header):
            # only empty cells may be left over
            cells[len(header) :] = filter(None, cells[len(header) :])
        if len(cells) != len(header):
            raise StudyError(f"{where}:{number}: {len(cells)} cells, but the header has {len(header)} columns")
    columns = dict(enumerate(zip(*(cells for _, cells in rows), strict=True)))
    while columns and not header[-1] and not any(columns[len(header) - 1]):
        del columns[len(header) - 1], header[-1]
    if not header[0] and len(set(columns[0])) == len(rows) and all(map(str.isdecimal, columns[0])):
        del columns[0]
    if unnamed := [k for k in columns if not header[k]]:
        raise StudyError(f"{where}:{first}: column {unnamed[0] + 1} has no name")
    names = [header[k] for k in columns]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise StudyError(f"{where}:{first}: column {repeated[0]!r} occurs twice")
    table = [_with_points(column, f"{where}: column {header[k]!r}") for k, column in columns.items()]
    return [dict(zip(names, row, strict=True)) for row in zip(*table, strict=True)]


def _cells(text: str, separator: str, where: str) -> list[tuple[int, list[str]]]:
    """Line number and cells of each line of a table; empty lines are skipped."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    lines = []
    try:
        for line in reader:
            cells = [cell.strip() for cell in line]
            if any(cells):
                lines.append((reader.line_num, cells))
    except csv.Error as error:
        raise StudyError(f"{where}:{reader.line_num}: not a CSV file: {error}") from None
    return lines


def _separator(text: str, where: str) -> str:
    """Separator of the cells of a table: the one that splits its first line."""
    head = next((line for line in text.splitlines() if line.strip()), "")
    parts = {}
    for separator in SEPARATORS:
        # a separator inside a quoted name makes no cells
        with suppress(csv.Error):
            parts[separator] = next(csv.reader([head], delimiter=separator, strict=True), [])
    found = [separator for separator, cells in parts.items() if len(cells) > 1]
    if len(found) > 1:
        raise StudyError(
            f"{where}: the header {head[:80]!r} contains {' and '.join(SEPARATORS[separator] for separator in found)}",
            remedy="separate cells by one of them, and quote names that contain the other",
        )
    return found[0] if found else ","


def _with_points(column: Sequence[str], where: str) -> Sequence[str]:
    """Replace decimal commas by points in a column of numbers; `1,234` alone may mean thousands."""
    numbers = [cell for cell in column if cell]
    commas = [cell for cell in numbers if "," in cell]
    if not commas or not all(map(NUMBER.fullmatch, numbers)):
        return column
    if points := [cell for cell in numbers if "." in cell]:
        raise StudyError(
            f"{where}: {commas[0]} has a decimal comma, {points[0]} a point", remedy="use points throughout"
        )
    if all(map(THOUSANDS.fullmatch, commas)):
        raise StudyError(
            f"{where}: {commas[0]} may mean {commas[0].replace(',', '.')} or thousands", remedy="use a decimal point"
        )
    return [cell.replace(",", ".") for cell in column]


def _renamed(given: Mapping[str, Any], rename: Mapping[str, str], where: str) -> dict[str, str]:
    texts: dict[str, str] = {}
    for name, value in given.items():
        ours = rename.get(name, name)
        if ours in texts:
            raise StudyError(
                f"{where}: {ours} is given twice, the second time as {name!r}", remedy="remove or rename one"
            )
        # in a column with an empty cell, pandas writes whole numbers as 1.0
        texts[ours] = re.sub(r"(?<=[0-9])\.0*$", "", str(value)) if ours in COUNTED else str(value)
    return texts


def _values(texts: Mapping[str, str], where: str) -> dict[str, Any]:
    try:
        return {name: to_value(name, text) for name, text in texts.items()}
    except ValueError as error:
        raise StudyError(f"{where}: {error}") from None


def _check_distinct(sources: Sequence[Trajectory]) -> None:
    places: dict[tuple[Any, ...], Trajectory] = {}
    paths: dict[Path, Trajectory] = {}
    for source in sources:
        place = (source.system, source.run, source.temperature, source.replica, _of_ensemble(source))
        words = f"system {source.system}, {source.run}, temperature {source.temperature}, replica {source.replica}"
        words += "".join(f", {name} {value}" for name in OF_ENSEMBLE if (value := getattr(source, name)) is not None)
        if source.path in paths:
            raise TrajectoryError(
                f"matched twice, the second time as {words}", file=source.path, remedy="each row needs its own file"
            )
        if place in places:
            raise TrajectoryError(
                f"{places[place].path} and {source.path} are both {words}",
                remedy=f"{_as_one(places[place], source)}let {PATH} match only one of them, or put {{system}}, {{run}}, "
                "{temperature} or {replica} where they differ",
            )
        places[place] = paths[source.path] = source


def _of_ensemble(source: Trajectory) -> tuple[float, ...]:
    """Labels that tell files of one isoconfigurational ensemble apart; nobody's come first."""
    values = (getattr(source, name) for name in OF_ENSEMBLE)
    return tuple(-1 if value is None else value for value in values)


def _as_one(first: Trajectory, other: Trajectory) -> str:
    """Advice to read two files as one run, if their names differ in one number."""
    parts, others = (re.split(r"([0-9]+)", source.path.name) for source in (first, other))
    differ = [k for k, (one, two) in enumerate(zip(parts, others, strict=False)) if one != two]
    if first.steps or first.path.parent != other.path.parent or len(parts) != len(others) or len(differ) != 1:
        return ""
    if not differ[0] % 2:
        return ""
    numbers = {"".join(each[differ[0] - 2 : differ[0] + 1]) for each in (parts, others)}
    if differ[0] > 1 and parts[differ[0] - 1] == "." and len(set(map(float, numbers))) == 1:
        # one number, written in two ways
        return ""
    name = "".join(STEP if k in differ else part for k, part in enumerate(parts))
    return f"if they are frames of one run, write {STEP} for the number that differs: {name}; otherwise "


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none"
