"""Where trajectories are, and what they belong to, from the files themselves: format, pattern of the names, tables."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from daskglass.errors import StudyError, TrajectoryError
from daskglass.registry import READERS, listed
from daskglass.study.paths import expand_path
from daskglass.trajectories import get_format
from daskglass.trajectories.compression import opened
from daskglass.trajectories.guess import MOST_SHOWN, Guess, guess_pattern, label_of
from daskglass.trajectories.mapping import read_table
from daskglass.trajectories.patterns import COUNTED, Field, find_matches, nearest, parse_pattern
from daskglass.trajectories.several_files import file_of
from daskglass.trajectories.signac import project_rows
from daskglass.trajectories.wildcards import name_one

LONGEST_MAGIC = max(len(reader.magic) for reader in READERS.values())
TABLES = ".csv"
MARK = "\0"  # in no path
LABELS_OF_RUNS = ("system", "temperature", "replica")
LABELS = (*LABELS_OF_RUNS, "configuration", "lag")


@dataclass(frozen=True)
class Located:
    """Files of one format, and where their labels come from: the keys of `source.trajectories`.

    Attributes
    ----------
    format, path, table, rename : as in a study file; `table` is empty without one
    files : of which the names were read
    labels : that the names or a table give
    notes : what was seen that is not used
    unknown : what is not known, and what to do about it
    systems : the first file of each system that names tell apart
    """

    format: str
    path: str
    files: tuple[str, ...]
    labels: frozenset[str]
    table: str = ""
    rename: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    systems: Mapping[str, str] = field(default_factory=dict)


def locate(data: str) -> Located:
    """Find out what files there are, and what their names mean.

    Parameters
    ----------
    data : a folder, also of a signac project; a file; names with `*`; or a pattern with fields such as {temperature}

    Raises
    ------
    StudyError
        If the path cannot be used.
    TrajectoryError
        If there is no file of a known format, or there are several formats or kinds of names.
    """
    pieces = parse_pattern(data)
    fields = {piece.name for piece in pieces if isinstance(piece, Field)}
    if fields:
        matches = find_matches(pieces)
        if not matches:
            raise TrajectoryError(
                f"no file matches {data}; {nearest(pieces)}",
                remedy="beside fields, write a field such as {job} for *" * ("*" in data),
            )
        named = {str(file_of(match.path, match.step)) if match.step else str(match.path): match for match in matches}
        form, files, notes = _of_one_format(data, sorted(named))
        systems = {named[file].values["system"]: file for file in reversed(files)} if "system" in fields else {}
        return Located(form, data, files, frozenset(fields), notes=notes, systems=systems)
    place = expand_path(data)
    if os.path.isdir(os.path.join(place, ".signac")):
        return _of_project(place.rstrip("/") or place)
    form, files, notes = _of_one_format(data, _files(place))
    for table in _tables(place, files):
        try:
            if (found := _joined(table, form, files, notes)) is not None:
                return found
            notes = (
                *notes,
                f"{table} is not used: it has no column with the name or folder of every file, each in one line",
            )
        except StudyError as error:
            notes = (*notes, f"a table that is not used: {error}")
    guess = _guess(form, files)
    return Located(form, guess.pattern, files, guess.fields, notes=notes, unknown=guess.unknown, systems=guess.systems)


def format_of(path: str) -> str | None:
    """Format of a file by its first bytes, unpacked; None if it is none of ours, or cannot be read."""
    try:
        with opened(Path(path), LONGEST_MAGIC) as file:
            head = file.read(LONGEST_MAGIC)
    except TrajectoryError:
        return None
    return next((name for name, reader in READERS.items() if reader.magic and head.startswith(reader.magic)), None)


def _files(place: str) -> list[str]:
    """Files below a folder, or that match a name with wildcards."""
    if not os.path.isdir(place):
        named = [place] if os.path.exists(place) else glob.glob(place, recursive=True)
        return sorted(path for path in named if os.path.isfile(path))
    found, seen = [], set()
    for folder, folders, names in os.walk(place, followlinks=True):
        # links may lead back; stores hold many files, and none of them is a trajectory
        seen.add(os.path.realpath(folder))
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and not name.endswith(".zarr")
            and os.path.realpath(os.path.join(folder, name)) not in seen
        )
        found += [os.path.join(folder, name) for name in sorted(names) if not name.startswith(".")]
    return [path.removeprefix("./") for path in found if os.path.isfile(path)]


def _of_one_format(data: str, files: Sequence[str]) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """The one format of some files, those that have it, and what the others are."""
    if not files and os.path.isdir(data):
        raise TrajectoryError(
            f"{data}: no files in this folder or below", remedy="name the folder that holds the trajectories"
        )
    if not files:
        raise TrajectoryError(
            f"no file matches {data}",
            remedy='give a folder, or names such as "data/*/traj.gsd", in quotes, so that the shell leaves the * to daskglass',
        )
    formats = {path: format_of(path) for path in files}
    counts = Counter(form for form in formats.values() if form is not None)
    if not counts:
        known = "; ".join(reader.about for reader in READERS.values() if reader.magic)
        raise TrajectoryError(
            f"{data}: no trajectory among {len(files):,} files, such as {files[0]}; what is read: {known}; and only files that "
            "may be read"
        )
    if len(counts) > 1:
        kinds = {form: [path for path, of in formats.items() if of == form] for form in counts}
        examples = (f"{form} ({paths[0]})" for form, paths in kinds.items())
        raise TrajectoryError(
            f"{data}: files of {len(counts)} formats: {listed(examples, 'and')}", remedy=name_one(list(kinds.values()))
        )
    [form] = counts
    others = [path for path, of in formats.items() if of is None and not path.endswith(TABLES)]
    more = f" and {len(others) - MOST_SHOWN:,} more" * (len(others) > MOST_SHOWN)
    notes = [f"no trajectories, or damaged, and left out: {', '.join(others[:MOST_SHOWN])}{more}"] if others else []
    return form, tuple(path for path, of in formats.items() if of == form), tuple(notes)


def _guess(form: str, files: Sequence[str], names: Sequence[str] = ()) -> Guess:
    """Guess the pattern of files, by other names if they have some."""
    names = names or files
    if READERS[form].ensembles:
        return guess_pattern(names, "configuration")
    file_called = dict(zip(names, files, strict=True))
    return guess_pattern(names, "replica", lambda name, step: _begins_at(form, file_called[name], step))


def _begins_at(form: str, path: str, step: int) -> bool:
    """Whether the first frame of a file is at a time step."""
    try:
        return int(get_format(form).scan(Path(path)).steps[0]) == step
    except TrajectoryError:
        return False


# --- labels from tables ----------------------------------------------------------------------------------------------


def _tables(place: str, files: Sequence[str]) -> list[Path]:
    """Tables beside files, in the folder that has all of them, or in the one that was given."""
    common = os.path.commonpath([os.path.dirname(path) or "." for path in map(os.path.normpath, files)])
    folders = dict.fromkeys([place if os.path.isdir(place) else common, common])
    return [table for folder in folders for table in sorted(Path(folder).glob(f"*{TABLES}"))]


def _joined(table: Path, form: str, files: Sequence[str], notes: Sequence[str]) -> Located | None:
    """Files whose names are in a column of a table, with its labels; None if they are in none."""
    rows = read_table(table)
    for column in rows[0]:
        cells = {row[column] for row in rows}
        marked = [_marked(path, cells) for path in files]
        if len(cells) < len(rows) or not all(marked):
            continue
        guess = _guess(form, files, marked)
        rename, unknown = renaming(rows, {column}, LABELS if READERS[form].ensembles else LABELS_OF_RUNS)
        return Located(
            form, guess.pattern.replace(MARK, f"{{{column}}}"), tuple(files), guess.fields | _renamed(rows, rename), str(table),
            rename, tuple(notes), (*guess.unknown, *unknown),
        )  # fmt: skip
    return None


def _marked(path: str, cells: set[str]) -> str:
    """Path with a mark for the cell that is the end of it, one of its folders, or its name up to a point; empty if none is."""
    for before, after in (("/", "$"), ("/", "/"), ("/", r"\.")):
        found = [cell for cell in cells if cell and re.search(f"{before}{re.escape(cell)}(?={after})", f"/{path}")]
        if found:
            cell = max(found, key=len)
            return re.sub(f"{before}{re.escape(cell)}(?={after})", f"/{MARK}", f"/{path}", count=1)[1:]
    return ""


def renaming(
    rows: Sequence[Mapping[str, str]], besides: set[str], labels: Sequence[str]
) -> tuple[dict[str, str], list[str]]:
    """Our names for columns or keys of a state point, and what may be meant by two of them."""
    candidates: dict[str, list[str]] = {}
    for name in rows[0]:
        label = label_of(name)
        fits = label not in COUNTED or all(row.get(name, "").isdecimal() for row in rows)
        if label in labels and name not in besides and fits:
            candidates.setdefault(label, []).append(name)
    rename = {names[0]: label for label, names in candidates.items() if len(names) == 1 and names[0] != label}
    unknown = [
        f"the {label}: {listed(names)} may be it; name it by `rename: {{{names[0]}: {label}}}`"
        for label, names in candidates.items()
        if len(names) > 1 and label not in names
    ]
    return rename, unknown


def _renamed(rows: Sequence[Mapping[str, str]], rename: Mapping[str, str]) -> frozenset[str]:
    return frozenset(rename.get(name, name) for name in rows[0])


# --- signac ----------------------------------------------------------------------------------------------------------


def _of_project(root: str) -> Located:
    """Files of the jobs of a signac project, with the labels of their state points."""
    escaped = root.replace("{", "{{").replace("}", "}}")
    _, rows = project_rows(f"{escaped}/*")
    form, files, notes = _of_one_format(root, _files(f"{root}/workspace"))
    if form != "gsd":
        raise TrajectoryError(f"{root}: the signac project has files of format {form}; those of gsd are read")
    inside = [path.removeprefix(f"{root}/workspace/").partition("/")[2] for path in files]
    guess = guess_pattern(inside)
    rename, unknown = renaming(rows, {"job.id"}, LABELS_OF_RUNS)
    labels = guess.fields | _renamed(rows, rename)
    return Located(
        "signac", f"{escaped}/{guess.pattern}", files, labels, rename=rename, notes=notes,
        unknown=(*guess.unknown, *unknown),
    )  # fmt: skip
