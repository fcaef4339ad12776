"""Text dumps of LAMMPS, plain or compressed: https://docs.lammps.org/dump.html."""

from __future__ import annotations

import csv
import io
import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from daskglass.errors import TrajectoryError
from daskglass.trajectories import DamagedLaterError, Scan, Snapshot
from daskglass.trajectories.compression import opened

GSD_MAGIC = bytes.fromhex("df65df65df65df65")
BUFFER = 1 << 17
LONGEST_LINE = 1 << 16
SHORTEST_FIELD, LONGEST_FIELD = 2, 256  # bytes with the space after it, on average in a frame
WRAPPED, UNWRAPPED = (("x", "y", "z"), ("xs", "ys", "zs")), (("xu", "yu", "zu"), ("xsu", "ysu", "zsu"))
SCALED = {"xs", "xsu"}
IMAGES = ("ix", "iy", "iz")
READ = {"id", *IMAGES, *(name for triple in WRAPPED + UNWRAPPED for name in triple)}
REST = "(rest)"  # of a line with more fields than columns
REAL = re.compile(rb"[+-]?(\d+\.?\d*([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?|inf|nan|infinity)", re.IGNORECASE)
INTEGER = re.compile(rb"[+-]?\d{1,18}")
NOT_A_NUMBER = ["nan", "-nan", "NaN", "-NaN", "NAN", "-NAN"]
NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
# exact parsing is the default from pandas 3.1 on, which deprecates the option
EXACT: dict[str, Any] = (
    {} if tuple(map(int, pd.__version__.split(".")[:2])) >= (3, 1) else {"float_precision": "round_trip"}
)
LINES = {"TIMESTEP": 1, "NUMBER OF ATOMS": 1, "BOX BOUNDS": 3, "UNITS": 1, "TIME": 1}
LJ = "lj"  # units: lengths in σ, times in τ
MOST_TYPES = 127
MOST_SHOWN = 5


@dataclass(frozen=True)
class _Header:
    """Header of a frame: `low`, `high` are corners of the box, `columns` those of its atoms; `time` may be NaN."""

    step: int
    time: float
    atoms: int
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    columns: tuple[str, ...]


def scan(path: Path) -> Scan:
    """Read everything but positions; see `daskglass.trajectories.Format`.

    The text is read once, a buffer at a time; only the atoms of frame 0 are parsed.

    Raises
    ------
    TrajectoryError
        If the file is missing, unreadable, damaged, cut short, without frames, or not a dump of atoms; if its box is not
        orthorhombic and periodic; if ids, types or coordinates are not among its columns, or an id is repeated; if the
        number of atoms or the columns change. It is a `DamagedLaterError` if complete frames precede the fault.
    """
    first: _Header | None = None
    steps, times, edges, offsets = array("q"), array("d"), array("d"), array("q")
    text = b""  # of the atoms of frame 0
    damage: TrajectoryError | None = None
    with opened(path, BUFFER) as file:
        while True:
            frame = len(steps)
            try:
                if not _goes_on(file):
                    break
                offset = file.tell()
                header = _header(path, frame, file)
                first = first or header
                _check_alike(path, frame, first, header)
                lines = _lines(path, frame, file, header)
                if frame:
                    for _ in lines:
                        pass
                else:
                    text = b"".join(lines)
            except TrajectoryError as error:
                if not frame:
                    raise
                damage = error
                break
            steps.append(header.step)
            times.append(header.time)
            edges.extend(_edges(header))
            offsets.append(offset)
    if first is None:
        raise TrajectoryError("has no frames", file=path)
    snapshot = _snapshot(path, 0, first, text)
    whole = Scan(
        steps=np.array(steps, np.int64),
        boxes=np.array(edges, np.float64).reshape(-1, 3),
        types=snapshot.types,
        typeid=snapshot.typeid,
        images=snapshot.image is not None,
        offsets=tuple(offsets),
        elements=snapshot.elements,
        columns=first.columns,
        times=np.array(times, np.float64),
    )
    if damage is not None:
        raise DamagedLaterError(damage, whole) from damage
    return whole


def frames(path: Path, start: int, stop: int, offsets: Sequence[int] = ()) -> Iterator[Snapshot]:
    """Read frames `start` to `stop`, one at a time; `offsets` are those of the scan.

    A plain file is read from frame `start` on; a compressed one is decompressed up to there. Without `offsets` the frames
    before are read and skipped.

    Positions come from the first of these columns: x y z, xs ys zs, xu yu zu, xsu ysu zsu; without ix iy iz, unwrapped
    ones are preferred. If images are known, atoms outside the box are wrapped, so that all columns give the same position
    and image.

    Raises
    ------
    TrajectoryError
        As `scan` does, and if `stop` is beyond the last frame.
    """
    if offsets and len(offsets) < stop:
        raise TrajectoryError(f"has {len(offsets)} frames, expected {stop}", file=path)
    with opened(path, BUFFER) as file:
        if offsets:
            file.seek(offsets[start])
        for frame in range(start if offsets else 0, stop):
            if not _goes_on(file):
                raise TrajectoryError(f"has {frame} frames, expected {stop}", file=path)
            header = _header(path, frame, file)
            lines = _lines(path, frame, file, header)
            if frame < start:
                for _ in lines:
                    pass
            else:
                yield _snapshot(path, frame, header, b"".join(lines))


def _refuse(path: Path, frame: int, what: str, remedy: str = "") -> NoReturn:
    raise TrajectoryError(what, file=path, frame=frame, remedy=remedy)


def _header(path: Path, frame: int, file: io.BufferedReader[Any]) -> _Header:
    sections: dict[str, tuple[str, list[bytes]]] = {}
    while True:
        title = _line(path, frame, file)
        if not title.startswith(b"ITEM: "):
            if not frame and not sections:
                gsd = title.startswith(GSD_MAGIC)
                raise TrajectoryError(
                    f"not a text dump of LAMMPS: it {'is a GSD file' if gsd else f'begins with {title[:40]!r}'}",
                    file=path,
                    remedy="set format: gsd" if gsd else "",
                )
            _refuse(
                path,
                frame,
                f"expected a line 'ITEM: …', found {title[:40]!r}: damaged, or the frame before is cut short",
            )
        text = title[6:].decode("ascii", "replace")
        if text.split()[:1] == ["ATOMS"]:
            columns = tuple(text.split()[1:])
            break
        name = next((name for name in LINES if text.startswith(name)), None)
        if name is None or name in sections:
            _refuse(path, frame, f"section {text[:40]!r} is {'repeated' if name else 'not part of a dump of atoms'}")
        sections[name] = text[len(name) :], [_line(path, frame, file) for _ in range(LINES[name])]
    for name in ("TIMESTEP", "NUMBER OF ATOMS", "BOX BOUNDS"):
        if name not in sections:
            _refuse(path, frame, f"has no section {name}")
    units = sections["UNITS"][1][0].decode("ascii", "replace") if "UNITS" in sections else LJ
    if units != LJ:
        _refuse(
            path,
            frame,
            f"UNITS are {units[:40]!r}, expected {LJ!r}",
            "write lengths in σ and times in τ of the first species",
        )
    step = _count(path, frame, "TIMESTEP", sections["TIMESTEP"][1][0])
    time = sections["TIME"][1][0] if "TIME" in sections else b"nan"
    if not REAL.fullmatch(time):
        _refuse(path, frame, f"TIME is {time[:40]!r}, not a number")
    atoms = _count(path, frame, "NUMBER OF ATOMS", sections["NUMBER OF ATOMS"][1][0])
    if not atoms:
        _refuse(path, frame, "has no atoms")
    low, high = _bounds(path, frame, *sections["BOX BOUNDS"])
    _check_columns(path, frame, columns)
    return _Header(step, float(time), atoms, low, high, columns)


def _line(path: Path, frame: int, file: BinaryIO) -> bytes:
    line = file.readline(LONGEST_LINE)
    if not line.endswith(b"\n"):
        if frame == 0 and not line.startswith(b"ITEM: "):
            raise TrajectoryError("not a text dump of LAMMPS, or cut short within its first frame", file=path)
        _refuse(path, frame, "cut short")
    return line.strip()


def _count(path: Path, frame: int, name: str, line: bytes) -> int:
    if not line.isdigit() or len(line) > 18:
        _refuse(path, frame, f"{name} is {line[:40]!r}, not a whole number")
    return int(line)


def _bounds(path: Path, frame: int, kind: str, lines: list[bytes]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    words = kind.split()
    tilted = words[:3] == ["xy", "xz", "yz"]
    if (words[3:] if tilted else words) != ["pp", "pp", "pp"]:
        _refuse(
            path,
            frame,
            f"BOX BOUNDS are {kind.strip()!r}, expected 'pp pp pp': an orthorhombic box, periodic in x, y and z",
        )
    rows = [line.split() for line in lines]
    if any(len(row) != 2 + tilted or not all(map(NUMBER.fullmatch, row)) for row in rows):
        _refuse(path, frame, f"BOX BOUNDS are {b', '.join(lines)[:200]!r}, expected three lines of numbers")
    bounds = np.array([[float(word) for word in row] for row in rows])
    if tilted and bounds[:, 2].any():
        _refuse(path, frame, f"the box is tilted by {bounds[:, 2].tolist()}; only orthorhombic boxes are supported")
    low, high = bounds[:, 0], bounds[:, 1]
    with np.errstate(over="ignore"):
        edges = (high - low).astype(np.float32)
    if not (np.isfinite(edges) & (edges > 0)).all():
        _refuse(path, frame, f"the box has edges {edges.tolist()}; they must be positive")
    return low, high


def _edges(header: _Header) -> NDArray[np.float64]:
    return (header.high - header.low).astype(np.float32).astype(np.float64)


def _check_columns(path: Path, frame: int, columns: Sequence[str]) -> None:
    if len(set(columns)) < len(columns):
        _refuse(path, frame, f"a column is repeated: {' '.join(columns)[:200]}")
    for triple in (*WRAPPED, *UNWRAPPED, IMAGES):
        if 0 < len(set(triple) & set(columns)) < 3:
            _refuse(path, frame, f"one of the columns {' '.join(triple)} is missing: {' '.join(columns)[:200]}")
    if "id" not in columns:
        _refuse(path, frame, "atoms have no column id", "write it with: dump … custom … id type x y z ix iy iz")
    if not {"type", "element"} & set(columns):
        _refuse(
            path,
            frame,
            "atoms have no column type or element",
            "write one with: dump … custom … id type x y z ix iy iz",
        )
    if not {"x", "xs", "xu", "xsu"} & set(columns):
        _refuse(path, frame, "atoms have no coordinates", "write them with: dump … custom … id type x y z ix iy iz")


def _check_alike(path: Path, frame: int, first: _Header, header: _Header) -> None:
    if header.atoms != first.atoms:
        _refuse(path, frame, f"{header.atoms} atoms, but {first.atoms} in frame 0")
    if header.columns != first.columns:
        _refuse(
            path, frame, f"columns {' '.join(header.columns)[:200]}, but {' '.join(first.columns)[:200]} in frame 0"
        )


def _goes_on(file: io.BufferedReader[Any]) -> bool:
    """Skip blank lines; return whether anything follows."""
    while block := file.peek():
        text = block.lstrip()
        file.read(len(block) - len(text))
        if text:
            return True
    return False


def _lines(path: Path, frame: int, file: io.BufferedReader[Any], header: _Header) -> Iterator[bytes]:
    """Read the lines of the atoms in pieces of the buffer's size; refuse lines too long or too short for atoms."""
    count, fields = header.atoms, header.atoms * len(header.columns)
    left, length, line = count, 0, 0
    while left:
        block = file.peek()
        if not block:
            _refuse(path, frame, f"cut short: {left} of its {count} atoms are missing, or the end of the last line")
        ends = block.count(b"\n")
        if ends >= left:
            size = int(np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n"))[left - 1]) + 1
            ends = left
        else:
            size = len(block)
        left -= ends
        length += size
        line = size - 1 - block.rfind(b"\n", 0, size) + (0 if ends else line)
        if line > LONGEST_LINE or length > LONGEST_LINE + LONGEST_FIELD * fields:
            _refuse(path, frame, f"line {count - left + 1} of its atoms, or all lines together, are too long for atoms")
        yield file.read(size)
    if length < SHORTEST_FIELD * fields:
        _refuse(path, frame, f"{length} bytes of atoms are too few for {count} lines of {len(header.columns)} fields")


# numbers that are too large are refused, or passed on as infinite, without warnings from numpy
@np.errstate(over="ignore", invalid="ignore")
def _snapshot(path: Path, frame: int, header: _Header, text: bytes) -> Snapshot:
    columns = header.columns
    images = set(IMAGES) <= set(columns)
    triples = WRAPPED + UNWRAPPED if images else UNWRAPPED + WRAPPED
    coordinates = next(triple for triple in triples if set(triple) <= set(columns))
    unwrapped = coordinates in UNWRAPPED
    labels = [name for name in ("type", "element") if name in columns]
    table = _table(path, frame, header, text, coordinates, IMAGES if images and not unwrapped else (), labels)
    ids = table["id"].to_numpy()
    rising = ids[1:] > ids[:-1]
    if not rising.all():
        table = table.take(np.argsort(ids, kind="stable"))
        ids = table["id"].to_numpy()
        same = ids[1:] == ids[:-1]
        if same.any():
            _refuse(path, frame, f"id {ids[1:][same][0]} is repeated")
    types, typeid = _types(path, frame, table[labels[0]])
    elements = _elements(path, frame, types, typeid, table["element"]) if len(labels) > 1 else ()
    edges = header.high - header.low
    x = table[list(coordinates)].to_numpy()
    if coordinates[0] in SCALED:
        x = header.low + x * edges
    image: NDArray[np.int32] | None = None
    if images or unwrapped:
        x, boxes = _wrap(x, header.low, edges)
        if not unwrapped:
            boxes += table[list(IMAGES)].to_numpy()
        far = np.abs(boxes) >= 2**31
        if far.any():
            _refuse(path, frame, f"the image of atom {ids[np.argmax(far.any(axis=1))]} is beyond 32 bits")
        image = boxes.astype(np.int32)
    position = (x - (header.low + header.high) / 2).astype(np.float32)
    return Snapshot(frame, header.step, _edges(header), position, image, types, typeid, ids, elements=elements)


def _table(
    path: Path,
    frame: int,
    header: _Header,
    text: bytes,
    coordinates: Sequence[str],
    images: Sequence[str],
    labels: Sequence[str],
) -> pd.DataFrame:
    # the last column detects lines with too few fields, one more column those with too many
    last = header.columns[-1]
    dtype = dict.fromkeys((last, REST, *labels), "category")
    dtype |= dict.fromkeys(("id", *images), "int64") | dict.fromkeys(coordinates, "float64")
    title = " ".join((*header.columns, REST, "\n")).encode()
    try:
        table = pd.read_csv(
            io.BytesIO(title + text),
            engine="c",
            sep=r"\s+",
            usecols=list(dtype),
            dtype=dtype,
            index_col=False,
            **EXACT,
            keep_default_na=False,
            na_values=dict.fromkeys(coordinates, NOT_A_NUMBER),
            quoting=csv.QUOTE_NONE,
        )
    except (ValueError, OverflowError) as error:
        _explain(path, frame, header, text, error)
    words = [name for name in dtype if dtype[name] == "category" and name != REST]
    if len(table) != header.atoms or (table[REST] != "").any() or (table[words] == "").to_numpy().any():
        _explain(path, frame, header, text, None)
    return table


def _explain(path: Path, frame: int, header: _Header, text: bytes, error: Exception | None) -> NoReturn:
    """Raise an error that names the wrong line."""
    for number, line in enumerate(text.split(b"\n")[: header.atoms], 1):
        fields = line.split()
        if len(fields) != len(header.columns):
            what = f"{len(fields)} fields instead of {len(header.columns)}: {line[:80]!r}"
            raise TrajectoryError(f"line {number} of its atoms has {what}", file=path, frame=frame) from error
        for name, field in zip(header.columns, fields, strict=True):
            number_of = INTEGER if name in ("id", *IMAGES) else REAL
            if name in READ and not number_of.fullmatch(field):
                what = f"{name} = {field[:40]!r}, expected a {'whole ' if number_of is INTEGER else ''}number"
                raise TrajectoryError(f"line {number} of its atoms has {what}", file=path, frame=frame) from error
    raise TrajectoryError(f"its atoms cannot be read: {error}", file=path, frame=frame) from error


def _types(path: Path, frame: int, column: pd.Series) -> tuple[tuple[str, ...], NDArray[np.int8]]:
    """Types in the order of their numbers, or in alphabetical order."""
    names = [str(name) for name in column.cat.categories]
    if len(names) > MOST_TYPES:
        _refuse(path, frame, f"{len(names)} types of atoms; the limit is {MOST_TYPES}")
    types = sorted(names, key=lambda name: (int(name), "") if name.isdecimal() else (0, name))
    code = np.array([types.index(name) for name in names], np.int8)
    return tuple(types), code[column.cat.codes.to_numpy()]


def _elements(
    path: Path, frame: int, types: Sequence[str], typeid: NDArray[np.int8], column: pd.Series
) -> tuple[str, ...]:
    """Element of each type; empty if all types have one element, as LAMMPS writes without names of elements."""
    names, codes = column.cat.categories, column.cat.codes.to_numpy()
    if len(names) == 1 < len(types):
        return ()
    pairs = np.unique(np.stack([typeid, codes], axis=1), axis=0)
    if not len(pairs) == len(types) == len(names):
        found = ", ".join(f"type {types[code]} is {names[element]}" for code, element in pairs[:MOST_SHOWN])
        _refuse(
            path,
            frame,
            f"the columns type and element disagree: {found}",
            "write only one of them, or one element for each type",
        )
    return tuple(str(names[element]) for _, element in pairs)


def _wrap(
    x: NDArray[np.float64], low: NDArray[np.float64], edges: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Wrap positions into the box; return them, and the number of boxes that each was moved by."""
    boxes = np.floor((x - low) / edges)
    boxes[~np.isfinite(boxes)] = 0.0
    return x - boxes * edges, boxes
