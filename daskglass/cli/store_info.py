"""Overview of a store: coordinates, variables with their sizes, and source files."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from rich.console import Group, RenderableType
from rich.text import Text

from daskglass.cli.fitted import Fitted
from daskglass.physics.particles import species_names
from daskglass.store.blocks import open_tree
from daskglass.store.queries import dimensions, in_short

MOST_SOURCES = 12  # files listed per run
HEAD = ("variable", "type", "units", "size", "on disk", "ratio", "chunks")
TABLE = (0, 1, 2, 3, 6)


def describe_store(path: Path) -> Iterator[RenderableType]:
    """Yield the overview of a store, group by group.

    Sizes on disk and numbers of chunks come from the file system; only coordinates are read.

    Raises
    ------
    StoreError
        If there is no store at `path`.
    """
    tree = open_tree(path)
    for _, system in sorted(tree.children.items()):
        yield _system(system)
        for _, run in sorted(system.children.items()):
            if run.data_vars:
                yield _run(path / run.path.strip("/"), run)
    yield Text(
        "\nEvery written chunk (or shard) has a file, even if all its values are NaN, as near the ends of a run, where no "
        "window fits. In stores of daskglass 0.1.0, chunks with only NaN or -1 may have no file."
    )


def size_text(count: float) -> str:
    """Number of bytes with a suitable unit."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def files_below(path: Path) -> tuple[int, int]:
    """Number of files at or below a path, and their bytes."""
    if not path.is_dir():
        return (1, path.stat().st_size) if path.exists() else (0, 0)
    files = [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]
    return len(files), sum(os.stat(file).st_size for file in files)


def _system(system: xr.DataTree) -> RenderableType:
    attrs = system.attrs
    shown: dict[str, str] = {key: f"{attrs[key]:.6g}" for key in ("delta", "density", "timestep") if key in attrs}
    if "study" in attrs:
        shown["study"] = json.loads(attrs["study"])["study"]
    if "versions" in attrs:
        shown["made with"] = ", ".join(f"{name} {number}" for name, number in json.loads(attrs["versions"]).items())
    return Group(_title(system.path), _grid([(f"  {key}", value) for key, value in shown.items()]))


def _run(folder: Path, node: xr.DataTree) -> RenderableType:
    run = node.to_dataset()
    rows = {str(name): _variable(variable, folder / str(name)) for name, variable in run.data_vars.items()}
    # the files of tables are mostly headers: their sizes mean nothing
    shown = range(len(HEAD)) if any(row[-1][-2:] != "/1" for row in rows.values()) else TABLE
    variables = sorted(run.data_vars.values(), key=lambda each: (-each.ndim, _layout(each), str(each.name)))
    table: list[tuple[str, ...] | Text] = []
    for layout, group in groupby(variables, key=_layout):
        table += [Text(layout, style="dim"), *(tuple(rows[str(each.name)][k] for k in shown) for each in group)]
    numbers = range(HEAD.index("size"), len(HEAD))
    parts: list[RenderableType] = [
        _title(node.path),
        _grid(_coordinates(run)),
        Text(),
        Fitted([HEAD[k] for k in shown], table, numbers, lines=False),
    ]
    if "sources" in run.attrs:
        parts += [Text(), *_sources(json.loads(run.attrs["sources"]))]
    return Group(*parts)


def _title(path: str) -> Text:
    return Text(f"\n{path}", style="bold")


def _grid(rows: Sequence[tuple[str, ...]]) -> Fitted:
    return Fitted((), rows, lines=False)


def _layout(variable: xr.DataArray) -> str:
    """Dimensions of a variable, its chunk, and its shard, if any."""
    text = " × ".join(f"{dim} {size}" for dim, size in variable.sizes.items()) or "single values"
    for key, word in (("chunks", "chunk"), ("shards", "shard")):
        part = variable.encoding.get(key)
        if part and part != variable.shape:
            text += f", {word} {'×'.join(map(str, part))}"
    return text


def _variable(variable: xr.DataArray, folder: Path) -> tuple[str, ...]:
    stored, on_disk = files_below(folder / "c")
    unit = variable.encoding.get("shards") or variable.encoding.get("chunks") or ()
    expected = math.prod(-(-size // each) for size, each in zip(variable.shape, unit, strict=True))
    ratio = f"{variable.nbytes * stored / expected / on_disk:.2g}" if on_disk else ""
    return (
        f"  {variable.name}", str(variable.dtype), _units(variable), size_text(variable.nbytes), size_text(on_disk),
        ratio, f"{stored}/{expected}",
    )  # fmt: skip


def _units(variable: xr.DataArray) -> str:
    units = str(variable.attrs.get("units", "1"))
    return "" if units == "1" else units


def _coordinates(run: xr.Dataset) -> list[tuple[str, ...]]:
    names = [*dimensions(run), *(str(name) for name in run.coords if name not in run.dims)]
    return [
        (f"  {name}", _values(run[name]), _units(run[name]))
        if name in run.coords
        else (f"  {name}", str(run.sizes[name]), "")
        for name in names
    ]


def _values(coord: xr.DataArray) -> str:
    values = coord.values
    if coord.name == "species":
        return ", ".join(f"{np.sum(values == code)} {name}" for code, name in enumerate(species_names(coord)))
    if coord.ndim <= 1:
        return in_short(np.atleast_1d(values))
    over = " × ".join(f"{dim} {size}" for dim, size in coord.sizes.items())
    return f"{np.nanmin(values):.6g} … {np.nanmax(values):.6g} over {over}"


def _sources(sources: list[dict[str, Any]]) -> Iterator[RenderableType]:
    """Table of files, with the beginning of each hash."""
    rows = []
    for source in sources[:MOST_SOURCES]:
        given = {key: str(value) for key, value in source.items()}
        temperature, replica, frames, modified, sha256, path = (
            given.get(key, "") for key in ("temperature", "replica", "frames", "modified", "sha256", "path")
        )
        size = size_text(source["size"]) if "size" in source else ""
        rows.append((f"  {temperature}", replica, frames, size, modified[:10], sha256[:8], path))
    left = len(sources) - MOST_SOURCES
    yield Fitted(("  T", "replica", "frames", "size", "modified", "sha256", "source"), rows, lines=False)
    if left > 0:
        yield Text(f"  and {left} more, in the attribute `sources` of the group")
