"""Check of a GSD file's index before the GSD library opens the file.

The library trusts header and index except for a few entries: a damaged file can make it crash, or silently replace the
data of a frame by those of frame 0.
"""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from daskglass.engines import ENERGY, PRESSURE
from daskglass.errors import TrajectoryError

TIMESTEP = "log/Simulation/timestep"
LOGGED = {"potential_energy": f"log/{ENERGY}", "pressure": f"log/{PRESSURE}"}
MAGIC = 0x65DF65DF65DF65DF
HEADER = np.dtype(
    [
        ("magic", "<u8"),
        ("index_location", "<u8"),
        ("index_entries", "<u8"),
        ("names_location", "<u8"),
        ("names_entries", "<u8"),
        ("schema_version", "<u4"),
        ("layer_version", "<u4"),
        ("application", "S64"),
        ("schema", "S64"),
        ("reserved", "V80"),
    ]
)
ENTRY = np.dtype(
    [
        ("frame", "<u8"),
        ("rows", "<u8"),
        ("location", "<i8"),
        ("columns", "<u4"),
        ("name", "<u2"),
        ("type", "u1"),
        ("flags", "u1"),
    ]
)
NAME_BYTES = 64
ITEM_BYTES = np.array([0, 1, 2, 4, 8, 1, 2, 4, 8, 4, 8, 1])  # by type; 0 is none
UINT8, UINT32, UINT64, INT8, INT32, FLOAT, DOUBLE = 1, 3, 4, 5, 7, 9, 10
NUMBERS = tuple(range(UINT8, DOUBLE + 1))

# chunks that the reader uses: allowed types and number of columns; None is any
CHUNKS: dict[str, tuple[tuple[int, ...], int | None]] = {
    "configuration/step": ((UINT64,), 1),
    "configuration/dimensions": ((UINT8,), 1),
    "configuration/box": ((FLOAT, DOUBLE), 1),
    "particles/N": ((UINT32,), 1),
    "particles/types": ((INT8, UINT8), None),  # of gsd.hoomd, of HOOMD-blue
    "particles/typeid": ((UINT32,), 1),
    "particles/position": ((FLOAT, DOUBLE), 3),
    "particles/image": ((INT32,), 3),
    **dict.fromkeys((TIMESTEP, *LOGGED.values()), (NUMBERS, 1)),
}
UNREAD = {
    f"particles/{name}"
    for name in (
        *("mass", "charge", "diameter", "body", "moment_inertia", "orientation", "velocity", "angmom"),
        *("slength", "type_shapes"),
    )
}


def checked_names(path: Path) -> frozenset[str]:
    """Check header and index of a GSD file; return the names of the chunks in its frames.

    Parameters
    ----------
    path : the file

    Raises
    ------
    TrajectoryError
        If the file cannot be opened, is not a GSD file of HOOMD's schema, or its index contradicts itself, the schema
        or the size of the file.
    """
    if not path.is_file():
        raise TrajectoryError("not a file" if path.exists() else "no such file", file=path)
    try:
        with path.open("rb") as file:
            return _checked_names(path, file)
    except OSError as error:
        raise TrajectoryError(f"cannot be read: {error.strerror}", file=path) from error


def damaged(path: Path, what: str, frame: int | None = None) -> TrajectoryError:
    """Error of a damaged file, or of a frame in it."""
    problem = f"GSD file damaged or cut short: {what}"
    return TrajectoryError(problem, file=path, frame=frame, remedy="copy it again from its source")


def _checked_names(path: Path, file: BinaryIO) -> frozenset[str]:
    size = os.fstat(file.fileno()).st_size
    head = file.read(HEADER.itemsize)
    if len(head) < HEADER.itemsize or np.frombuffer(head, HEADER)["magic"][0] != MAGIC:
        raise TrajectoryError("not a GSD file, or cut short within its header", file=path)
    header = np.frombuffer(head, HEADER)[0]
    layer, schema = int(header["layer_version"]) >> 16, int(header["schema_version"]) >> 16
    if header["schema"] != b"hoomd" or layer not in (1, 2) or schema not in (1, 2):
        raise TrajectoryError(
            f"GSD layer {layer}, schema {header['schema'].decode(errors='replace')!r} {schema}: supported are layers "
            "1 and 2 with schemas 'hoomd' 1 and 2",
            file=path,
        )
    index_bytes = int(header["index_entries"]) * ENTRY.itemsize
    names_bytes = int(header["names_entries"]) * NAME_BYTES
    index_start, names_start = int(header["index_location"]), int(header["names_location"])
    if max(index_start + index_bytes, names_start + names_bytes) > size or not index_bytes or not names_bytes:
        raise damaged(path, f"its index or list of names is beyond its {size} bytes")
    file.seek(names_start)
    names = _names(path, file.read(names_bytes))
    file.seek(index_start)
    # one more entry, to check that the index ends there
    block = file.read(index_bytes + ENTRY.itemsize)
    entries = np.frombuffer(block, ENTRY, count=len(block) // ENTRY.itemsize)
    index = _used(path, entries[: int(header["index_entries"])])
    wrong = ~_valid(index, size, len(names))
    if wrong.any():
        raise damaged(path, f"entry {int(np.argmax(wrong))} of its index is impossible")
    beyond = entries[int(header["index_entries"]) :]
    if len(index) == header["index_entries"] and len(beyond) and _valid(beyond, size, len(names))[0]:
        raise damaged(path, "its index is longer than in its header")
    _check_order(path, index, layer)
    _check_frames(path, index)
    blocks = [(0, HEADER.itemsize), (index_start, index_bytes), (names_start, names_bytes)]
    _check_places(path, index, blocks)
    _check_chunks(path, index, names)
    return frozenset(names[k] for k in np.unique(index["name"]))


def _names(path: Path, block: bytes) -> list[str]:
    try:
        names = [name.decode() for name in block.split(b"\0") if name]
    except UnicodeDecodeError as error:
        raise damaged(path, "a name in its list of names is not text") from error
    # other names belong to users, unless one byte separates them from a missing known name
    halves = [f"{first}\0{second}" for first, second in pairwise(names)]
    for known in sorted((CHUNKS.keys() | UNREAD) - set(names)):
        if name := next((name for name in (*names, *halves) if _one_letter_apart(name, known)), None):
            raise damaged(path, f"chunk {name!r} must be {known!r}")
    return names


def _one_letter_apart(first: str, second: str) -> bool:
    return len(first) == len(second) and sum(a != b for a, b in zip(first, second, strict=True)) == 1


def _used(path: Path, entries: NDArray[np.void]) -> NDArray[np.void]:
    used = entries["location"] != 0
    count = int(used.sum())
    if not used[:count].all():
        raise damaged(path, f"its index has a hole at entry {int(np.argmin(used))}")
    return entries[:count]


def _valid(index: NDArray[np.void], size: int, names: int) -> NDArray[np.bool_]:
    # floating point: products of damaged numbers overflow integers
    kind = np.minimum(index["type"], len(ITEM_BYTES) - 1)
    length = index["rows"].astype(np.float64) * index["columns"] * ITEM_BYTES[kind]
    return np.asarray(
        (kind == index["type"])
        & (kind > 0)
        & (index["flags"] == 0)
        & (index["name"] < names)
        & (index["frame"] < size)
        & (index["rows"] <= size)
        & (index["location"] >= HEADER.itemsize)
        & (index["location"] + length <= size)
    )


def _check_order(path: Path, index: NDArray[np.void], layer: int) -> None:
    # the second layer sorts by name within a frame, the first does not
    order = index["frame"].astype(np.int64) * 2**16
    if layer == 2:
        order += index["name"]
        order -= np.arange(len(order))
    behind = np.flatnonzero(np.diff(order) < 0)
    if len(behind):
        raise damaged(path, f"entries {behind[0]} and {behind[0] + 1} of its index are out of order")


def _check_frames(path: Path, index: NDArray[np.void]) -> None:
    # the library takes the number of frames from the last one: a few entries could claim any number
    frames = np.unique(index["frame"]).astype(np.int64)
    empty = np.flatnonzero(frames != np.arange(len(frames)))
    if len(empty):
        raise TrajectoryError(
            "is empty: damaged, or written without configuration.step",
            file=path,
            frame=int(empty[0]),
            remedy="set it in every frame",
        )


def _check_places(path: Path, index: NDArray[np.void], blocks: list[tuple[int, int]]) -> None:
    length = index["rows"].astype(np.int64) * index["columns"] * ITEM_BYTES[index["type"]]
    start = np.concatenate([index["location"], [location for location, _ in blocks]])
    stop = start + np.concatenate([length, [size for _, size in blocks]])
    order = np.lexsort((stop, start))
    over = stop[order][:-1] > start[order][1:]
    if over.any():
        raise damaged(path, f"two of its parts overlap at byte {start[order][1:][over][0]}")


def _check_chunks(path: Path, index: NDArray[np.void], names: list[str]) -> None:
    for code, name in enumerate(names):
        if name in CHUNKS:
            types, columns = CHUNKS[name]
            chunks = index[index["name"] == code]
            wrong = ~np.isin(chunks["type"], types) | (chunks["type"] != chunks["type"][:1])
            if columns is not None:
                wrong |= chunks["columns"] != columns
            if wrong.any():
                raise damaged(path, f"{name} has an impossible type or shape", frame=int(chunks["frame"][wrong][0]))
