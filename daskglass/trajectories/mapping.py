"""Where trajectory files belong: coordinates from file names, from a table, and from constants."""

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
from daskglass.trajectories.parts import STEP, file_of
from daskglass.trajectories.patterns import (
    KEY,
    RUNS,
    Field,
    Match,
    fill,
    find_matches,
    nearest,
    parse_pattern,
    to_value,
)

COORDINATES = ("system", "run", "temperature", "replica")
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
NUMBER = re.compile(r"[+-]?([0-9]+([.,][0-9]*)?|[.,][0-9]+)([eE][+-]?[0-9]+)?")
THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2},[0-9]{3}")
MOST_CHARACTERS = 100_000_000  # of a table: a line for each of a million files
DEFAULTS: dict[str, Any] = {"run": RUNS[0], "replica": 0}


@dataclass(frozen=True)
class Source:
    """A trajectory, and where it belongs.

    Attributes
    ----------
    path : its file; of several, with `{step}` where their names differ
    system, run, temperature, replica : where it belongs
    steps : time steps as the names of several files spell them, rising; empty where there is one file
    """

    path: Path
    system: str
    run: str
    temperature: float
    replica: int
    steps: tuple[str, ...] = ()


def find_sources(
    pattern: str,
    constants: Mapping[str, str | int | float] = {},
    rows: Sequence[Mapping[str, str]] = ({},),
    rename: Mapping[str, str] = {},
) -> list[Source]:
    """Find the files of a pattern, and the system, run, temperature and replica of each.

    For each row, the fields that a constant or a column of the row gives are written into the pattern, with their
    formats; the others are read back from the names of the files that exist. A name matches only where its text suits
    the field: `T{temperature:g}` matches a folder `T0.50`, whose temperature is 0.5, and passes over a folder `Tmp`
    as a shell's wildcard would; `{run}` matches the names of `RUNS`. All other text of a pattern stands for itself.

    Parameters
    ----------
    pattern : such as `data/{system}/T{temperature:g}/r{replica:d}/traj.gsd`, with `~` and $VARIABLES. Fields of other
        names hold any text, and serve to distinguish files or to join them with a table. A field that is given twice
        must hold the same text, or number, in both places. Files that differ in nothing but `{step}` are one trajectory.
    constants : coordinates that all files share
    rows : one table row or state point each, as texts; without a table, one row that is empty
    rename : from a name of a column, constant or field to the one to take it for: `{"kT": "temperature"}`

    Returns
    -------
    Sources by system, run, falling temperature and replica. The replica is 0 and the run "production" where nothing
    says otherwise.

    Raises
    ------
    StudyError
        If the pattern, a constant or a cell is no good, or system or temperature remain unknown.
    TrajectoryError
        If a row has no file, a name can be read in two ways or holds a number out of range, a link leads nowhere, two
        files belong in one place, or one file in two.
    """
    pieces = parse_pattern(pattern)
    names = {piece.name for piece in pieces if isinstance(piece, Field)}.union(constants, *rows)
    if unused := sorted(rename.keys() - names):
        raise StudyError(f"{KEY}.rename: there is no {unused[0]!r}; there are {_listed(names)}")
    if not rows:
        raise StudyError(f"{KEY}.table: no rows")
    pieces = [replace(p, name=rename.get(p.name, p.name)) if isinstance(p, Field) else p for p in pieces]
    shared = _renamed(constants, rename, f"{KEY}.constants")
    shared_values = _values(shared, f"{KEY}.constants")
    sources = []
    for number, row in enumerate(rows, 1):
        cells = ", ".join(f"{name}={text}" for name, text in list(row.items())[:3])
        where = f"{KEY}: row {number} ({cells})" if row else f"{KEY}.path"
        own = _renamed(row, rename, where)
        if both := sorted(shared.keys() & own.keys()):
            raise StudyError(f"{where}: {both[0]} is also one of {KEY}.constants; leave one of them out")
        known = DEFAULTS | shared_values | _values(own, where)
        filled = fill(pieces, shared | own, where)
        unknown = {"system", "temperature"} - known.keys() - {p.name for p in filled if isinstance(p, Field)}
        for name in sorted(unknown):
            raise StudyError(
                f"{where}: no {name} for {pattern}: put {{{name}}} into {KEY}.path, or {name} into {KEY}.constants or "
                f"a column of {KEY}.table; {KEY}.rename takes a column or field of another name for it; there are "
                f"{_listed(names)}"
            )
        if sum(isinstance(piece, Field) and piece.name == "step" for piece in filled) > 1:
            raise StudyError(f"{where}: {pattern}: {STEP} is given twice; the names of files hold their time step once")
        matches = find_matches(filled)
        if not matches:
            raise TrajectoryError(
                f"{where}: no file {''.join(map(str, filled))}; {_no_wildcard(filled)}{nearest(filled)}"
            )
        together: dict[Path, list[Match]] = {}
        for match in matches:
            together.setdefault(match.path, []).append(match)
        for path, files in together.items():
            place = {name: {**known, **files[0].values}[name] for name in COORDINATES}
            sources.append(Source(path, **place, steps=_in_order(path, [file.step for file in files])))
    # names and tables write one temperature in several ways
    kept = np.array(distinct({source.temperature for source in sources}))
    sources = [replace(s, temperature=float(kept[int(np.argmax(same(kept, s.temperature)))])) for s in sources]
    sources.sort(key=lambda s: (s.system, s.run, -s.temperature, s.replica, s.path))
    _check_distinct(sources)
    return sources


def _in_order(path: Path, steps: Sequence[str]) -> tuple[str, ...]:
    """Sort the time steps in the names of files; none where a file is a whole trajectory."""
    rising = sorted(filter(None, steps), key=lambda step: (int(step), step))
    for one, other in pairwise(rising):
        if int(one) == int(other):
            raise TrajectoryError(
                f"{file_of(path, one)} and {file_of(path, other)} are both of time step {int(one)}: keep one of them"
            )
    return tuple(rising)


def _no_wildcard(pieces: Sequence[str | Field]) -> str:
    if any(isinstance(piece, str) and "*" in piece for piece in pieces):
        return f"write {STEP} in place of * where files are frames of one run, a field such as {{job}} where not; "
    return ""


def read_table(path: Path) -> list[dict[str, str]]:
    """Read a CSV file with a header line: for each row, its cells without surrounding blanks by their columns.

    What spreadsheets and pandas write is read: cells parted by commas, semicolons or tabs, decimal commas, an index
    without a name as the first column, empty columns and lines at the end.

    Raises
    ------
    StudyError
        If the file cannot be read, has no rows, a column without a name or of a name twice, or a row of another length;
        if its header does not tell what parts cells, or a column does not tell whether its commas are decimal.
    """
    where = f"{KEY}.table: {path}"
    try:
        text = read_text(path, MOST_CHARACTERS)
    except StudyError as error:
        raise StudyError(f"{KEY}.table: {error}") from None
    lines = _cells(text, _separator(text, where), where)
    if len(lines) < 2:
        raise StudyError(f"{where}: no rows; a table is a header line, then a line per row")
    (first, header), *rows = lines
    for number, cells in rows:
        if len(cells) > len(header):
            # only cells that are empty may be left over
            cells[len(header) :] = filter(None, cells[len(header) :])
        if len(cells) != len(header):
            raise StudyError(f"{where}:{number}: {len(cells)} cells under {len(header)} columns")
    columns = dict(enumerate(zip(*(cells for _, cells in rows), strict=True)))
    while columns and not header[-1] and not any(columns[len(header) - 1]):
        del columns[len(header) - 1], header[-1]
    if not header[0] and len(set(columns[0])) == len(rows) and all(map(str.isdecimal, columns[0])):
        del columns[0]
    if unnamed := [k for k in columns if not header[k]]:
        raise StudyError(f"{where}:{first}: column {unnamed[0] + 1} has no name")
    names = [header[k] for k in columns]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise StudyError(f"{where}:{first}: column {repeated[0]!r} is there twice")
    table = [_with_points(column, f"{where}: column {header[k]!r}") for k, column in columns.items()]
    return [dict(zip(names, row, strict=True)) for row in zip(*table, strict=True)]


def _cells(text: str, separator: str, where: str) -> list[tuple[int, list[str]]]:
    """Take a table apart into the numbers of its lines, and their cells; empty lines are left out."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    lines = []
    try:
        for line in reader:
            cells = [cell.strip() for cell in line]
            if any(cells):
                lines.append((reader.line_num, cells))
    except csv.Error as error:
        raise StudyError(f"{where}:{reader.line_num}: {error}; a table is a CSV file") from None
    return lines


def _separator(text: str, where: str) -> str:
    """Tell what parts the cells of a table: what parts its first line into several."""
    head = next((line for line in text.splitlines() if line.strip()), "")
    parts = {}
    for separator in SEPARATORS:
        # of a quoted name that holds another separator, the other makes no cells
        with suppress(csv.Error):
            parts[separator] = next(csv.reader([head], delimiter=separator, strict=True), [])
    found = [separator for separator, cells in parts.items() if len(cells) > 1]
    if len(found) > 1:
        raise StudyError(
            f"{where}: its header line {head[:80]!r} holds {' and '.join(SEPARATORS[separator] for separator in found)}: "
            "part cells by one of them, and quote names that hold another"
        )
    return found[0] if found else ","


def _with_points(column: Sequence[str], where: str) -> Sequence[str]:
    """Write decimal commas of a column of numbers as points; `1,234` alone may be of thousands."""
    numbers = [cell for cell in column if cell]
    commas = [cell for cell in numbers if "," in cell]
    if not commas or not all(map(NUMBER.fullmatch, numbers)):
        return column
    if points := [cell for cell in numbers if "." in cell]:
        raise StudyError(f"{where}: {commas[0]} has a decimal comma, {points[0]} a point; write all with points")
    if all(map(THOUSANDS.fullmatch, commas)):
        raise StudyError(
            f"{where}: {commas[0]} may be {commas[0].replace(',', '.')} or thousands; write it with a point"
        )
    return [cell.replace(",", ".") for cell in column]


def _renamed(given: Mapping[str, Any], rename: Mapping[str, str], where: str) -> dict[str, str]:
    texts: dict[str, str] = {}
    for name, value in given.items():
        ours = rename.get(name, name)
        if ours in texts:
            raise StudyError(f"{where}: {ours} is given twice, the second time as {name!r}; leave one out or rename it")
        # where a cell of a column is empty, pandas writes the whole numbers of others as 1.0
        texts[ours] = re.sub(r"(?<=[0-9])\.0*$", "", str(value)) if ours == "replica" else str(value)
    return texts


def _values(texts: Mapping[str, str], where: str) -> dict[str, Any]:
    try:
        return {name: to_value(name, text) for name, text in texts.items()}
    except ValueError as error:
        raise StudyError(f"{where}: {error}") from None


def _check_distinct(sources: Sequence[Source]) -> None:
    places: dict[tuple[str, str, float, int], Source] = {}
    paths: dict[Path, Source] = {}
    for source in sources:
        place = (source.system, source.run, source.temperature, source.replica)
        words = f"system {source.system}, {source.run}, temperature {source.temperature}, replica {source.replica}"
        if source.path in paths:
            raise TrajectoryError(
                f"{source.path}: taken twice, the second time as {words}; each row needs its own file"
            )
        if place in places:
            raise TrajectoryError(
                f"{places[place].path} and {source.path} are both {words}; {_as_one(places[place], source)}let "
                f"{KEY}.path name one of them, or put {{system}}, {{run}}, {{temperature}} or {{replica}} where they differ"
            )
        places[place] = paths[source.path] = source


def _as_one(first: Source, other: Source) -> str:
    """Say how two files are read as one run, where their names differ in one number."""
    parts, others = (re.split(r"([0-9]+)", source.path.name) for source in (first, other))
    differ = [k for k, (one, two) in enumerate(zip(parts, others, strict=False)) if one != two]
    if first.steps or first.path.parent != other.path.parent or len(parts) != len(others) or len(differ) != 1:
        return ""
    if not differ[0] % 2:
        return ""
    name = "".join(STEP if k in differ else part for k, part in enumerate(parts))
    return f"if they are frames of one run, write {STEP} for the number that differs: {name}; if not, "


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none"
