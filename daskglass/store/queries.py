"""Queries: the same run of several systems as one Dataset, selected by labels and aligned."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from daskglass.errors import StoreError
from daskglass.physics.labels import distinct, same
from daskglass.physics.particles import species_names
from daskglass.store.blocks import open_store, open_tree

MISSING_CODE = -1
AT_ONCE = 2**26  # bytes of a selection that is read at once

Labels = NDArray[Any]


def query(
    store: str | os.PathLike[str] | xr.DataTree,
    system: str | Sequence[str] | None = None,
    run: str = "production",
    variables: str | Sequence[str] | None = None,
    **selection: Any,
) -> xr.Dataset:
    """Return one Dataset with a `system` dimension, of the same run of several systems.

    Systems are joined along every dimension: labels of any of them are there, and where a system lacks one, numbers are
    NaN and codes are -1; likewise all of a system that holds nothing of the selection, and the particles that a smaller
    system does not have. A dimension without labels gets its numbers, so that particles keep theirs. A coordinate that
    differs between systems, such as `species`, or the `temperature` nearest to a number, is given per system; one they
    share is not repeated. Species codes count along the names of all systems.

    Parameters
    ----------
    store : str, os.PathLike or xarray.DataTree
        Folder of the store, or a tree from `open_store`.
    system : str or sequence of str, optional
        Name or names, in this order; all by default, in alphabetical order.
    run : str, optional
        Group under the system, such as `production`, `training` or `ensemble`.
    variables : str or sequence of str, optional
        Names of variables; all by default. `species` and `box` become data variables where they are asked for by name.
    **selection : number, slice or list
        What to keep along each dimension, by its labels.
        A number keeps the nearest label where labels are real numbers, the same label where they are whole ones.
        A slice keeps the values between its ends, in either order, both included, either left open.
        A list keeps those labels, within 1e-9 of their size. `species="A"` keeps the particles of a species.

    Returns
    -------
    xarray.Dataset
        Variables over (system, …), lazy, with the units and dimensions that the store gives them.

    Raises
    ------
    StoreError
        If a system, run, variable or dimension does not exist, or nothing in any system matches; the message lists what
        exists.

    Examples
    --------
    >>> hop = xr.DataArray([[0.1, 0.2], [0.3, 0.4]], dims=("temperature", "particle"), name="hop")
    >>> groups = {
    ...     "ka_0.0/production": hop.assign_coords(temperature=[0.6, 0.5]).to_dataset(),
    ...     "ka_0.2/production": hop.assign_coords(temperature=[0.9, 0.8]).to_dataset(),
    ... }
    >>> tree = xr.DataTree.from_dict(groups)
    >>> found = dg.query(tree, temperature=slice(0.5, 0.8), variables="hop")
    >>> print(found.temperature.values)
    [0.8 0.6 0.5]
    >>> print(found.hop.sel(particle=0).values)
    [[nan 0.1 0.3]
     [0.3 nan nan]]
    """
    tree = store if isinstance(store, xr.DataTree) else open_store(store)
    return _together(*_chosen(tree, system, run, variables, selection), run)


def query_in_memory(
    store: Path,
    system: str | Sequence[str] | None = None,
    run: str = "production",
    variables: str | Sequence[str] | None = None,
    **selection: Any,
) -> xr.Dataset:
    """`query`, read at once where it is small: Dask takes longer to import than most answers to give."""
    wanted, parts = _chosen(open_tree(store, run=run), system, run, variables, selection)
    if sum(part.nbytes for part in parts.values()) > AT_ONCE:
        return query(store, system, run, variables, **selection)
    return _together(wanted, parts, run)


def variables_of(store: Path, system: Sequence[str] | None, run: str) -> list[str]:
    """Names of the variables that a run of some systems, or of all, has."""
    tree = open_tree(store, run=run)
    parts = [_group(tree, name, run, None) for name in system or sorted(tree.children)]
    return sorted({str(name) for part in parts for name in part.data_vars})


def _chosen(
    tree: xr.DataTree,
    system: str | Sequence[str] | None,
    run: str,
    variables: str | Sequence[str] | None,
    selection: Mapping[str, Any],
) -> tuple[list[str], dict[str, xr.Dataset]]:
    """Names of the systems asked for, and what is selected of those that have any of it."""
    wanted = list(dict.fromkeys([system] if isinstance(system, str) else system or sorted(tree.children)))
    names = [variables] if isinstance(variables, str) else variables
    parts = {name: _indexed(_group(tree, name, run, names)) for name in wanted}
    # times of some runs differ by temperature and replica: those are selected first
    for key in sorted(selection, key=lambda key: key == "time"):
        parts = _selected(parts, run, key, selection[key])
    return wanted, parts


def _together(wanted: Sequence[str], parts: Mapping[str, xr.Dataset], run: str) -> xr.Dataset:
    found = _joined(parts, run)
    if len(parts) < len(wanted):
        found = found.reindex(system=wanted, fill_value=_fill(found))
    return found.assign_coords(system=np.array(wanted))


def reduced(found: xr.Dataset, how: str, dims: Sequence[str]) -> xr.Dataset:
    """Reduce a Dataset over named dimensions at once; NaN, and -1 among codes, are skipped.

    Parameters
    ----------
    how : one of `mean`, `std` (of the values at hand: n in the denominator), `min`, `max`, `sum`, `count`

    Raises
    ------
    StoreError
        If a dimension is not there, or a variable does not hold numbers.
    """
    for dim in dims:
        if dim not in found.dims:
            raise StoreError(f"cannot take the {how} over {dim!r}: the dimensions are {_names(found.dims)}")
    for name, variable in found.data_vars.items():
        if variable.dtype.kind not in "biuf":
            raise StoreError(f"{name} does not contain numbers: cannot take its {how}")
    values = found.map(lambda values: values if values.dtype.kind == "f" else values.where(values != MISSING_CODE))
    with xr.set_options(keep_attrs=True):
        if how == "std":
            result = ((values - values.mean(dims)) ** 2).mean(dims) ** 0.5
        else:
            # a sum without values is unknown, not 0
            result = getattr(values, how)(dims, **({"min_count": 1} if how == "sum" else {}))
    for variable in result.data_vars.values():
        variable.attrs["cell_methods"] = f"{' '.join(f'{dim}:' for dim in dims)} {how}"
        if how == "count":
            variable.attrs["units"] = "1"
    return result


def dimensions(dataset: xr.Dataset) -> list[str]:
    """Dimensions from the slowest to the fastest, in the order of the variable with most dimensions."""
    variables = sorted(dataset.data_vars.values(), key=lambda variable: -variable.ndim)
    return [
        str(dim) for dim in dict.fromkeys([*(dim for variable in variables for dim in variable.dims), *dataset.dims])
    ]


def in_short(labels: Labels, most: int = 6) -> str:
    """Few labels as a list; of many, the ends and the number."""
    given = [f"{label:.6g}" if isinstance(label, float) else str(label) for label in labels.tolist()]
    return ", ".join(given) if len(given) <= most else f"{given[0]} … {given[-1]} ({len(given)})"


def _names(there: Iterable[Hashable]) -> str:
    return ", ".join(sorted(map(str, there))) or "none"


def _group(tree: xr.DataTree, system: str, run: str, variables: Sequence[str] | None) -> xr.Dataset:
    if system not in tree.children:
        raise StoreError(f"no system {system!r} in the store; its systems are {_names(tree.children)}")
    if run not in tree[system].children:
        raise StoreError(f"no run {run!r} in {system}; its runs are {_names(tree[system].children)}")
    dataset = tree[system][run].to_dataset()
    if variables is None:
        return dataset
    for name in variables:
        if name not in dataset.variables:
            raise StoreError(
                f"no variable {name!r} in {system}/{run}; its variables are {_names(dataset.data_vars)}; its coordinates "
                f"{_names(dataset.coords)}"
            )
    kept = dataset[list(variables)]
    return kept.reset_coords([name for name in variables if name in kept.coords and name not in kept.dims])


def _indexed(dataset: xr.Dataset) -> xr.Dataset:
    """Number dimensions without labels, and index times that became one-dimensional by selecting a row."""
    bare = {dim: np.arange(size) for dim, size in dataset.sizes.items() if dim not in dataset.variables}
    plain = [
        dim for dim in dataset.dims if dim not in dataset.indexes and dataset[dim].dims == (dim,) and dim not in bare
    ]
    return dataset.assign_coords(bare | {dim: _labelled(dataset, dim, dataset[dim].values) for dim in plain})


def _labelled(dataset: xr.Dataset, dim: Hashable, labels: Labels) -> tuple[Any, ...]:
    return (dim, labels, dataset[dim].attrs)


# --- selecting -----------------------------------------------------------------------------------------------------


def _selected(parts: Mapping[str, xr.Dataset], run: str, key: str, value: Any) -> dict[str, xr.Dataset]:
    """Keep what matches along one dimension, and the systems where anything matches."""
    labels = {name: _labels(part, key, f"{name}/{run}") for name, part in parts.items()}
    alone = not isinstance(value, slice) and np.ndim(value) == 0
    wanted = [value] if alone or isinstance(value, slice) else list(value)
    found = {name: [_positions(given, one, alone) for one in wanted] for name, given in labels.items()}
    for k, one in enumerate(wanted):
        if not any(positions[k].size for positions in found.values()):
            there = "; ".join(f"{name} has {in_short(_distinct(given), 30)}" for name, given in labels.items())
            raise StoreError(f"no data at {key}={_written(one)} in {run}: {there}")
    dim, drop = ("particle", False) if key == "species" else (key, alone)
    kept = {}
    for name, part in parts.items():
        positions = _distinct(np.concatenate([np.empty(0, np.intp), *found[name]]))
        if positions.size:
            kept[name] = _indexed(part.isel({dim: int(positions[0]) if drop else positions}))
    if not kept:
        raise StoreError(f"no data at {key}={value!r} in {run}: an empty list selects nothing")
    return kept


def _labels(part: xr.Dataset, key: str, where: str) -> Labels:
    """Labels along a dimension; for `species`, the species name of each particle."""
    if key == "species":
        if "species" not in part.variables or "particle" not in part["species"].dims:
            raise StoreError(
                f"cannot select species in {where}: no variable has particles; the dimensions are {_names(part.dims)}"
            )
        # code -1, no particle, reads the last name: none
        return np.array([*species_names(part["species"]), ""])[part["species"].values]
    if key not in part.dims:
        raise StoreError(f"no dimension {key!r} in {where}; its dimensions are {_names(part.dims)}")
    if part[key].ndim > 1:
        others = " and ".join(str(dim) for dim in part[key].dims if dim != key)
        raise StoreError(f"{key} in {where} depends on {others}", remedy=f"select one {others} first")
    return np.asarray(part[key].values)


def _positions(labels: Labels, wanted: Any, alone: bool) -> NDArray[np.intp]:
    """Positions of the labels in a range, nearest to a single number, or equal to a listed one."""
    real = np.issubdtype(labels.dtype, np.floating)
    if not isinstance(wanted, slice) and not real:
        return np.flatnonzero(labels == wanted)
    if not np.issubdtype(labels.dtype, np.number) or (isinstance(wanted, slice) and wanted.step is not None):
        raise StoreError(f"{_written(wanted)}: a range needs numeric labels, and has two ends and no step")
    numbers = labels.astype(np.float64)
    try:
        if isinstance(wanted, slice):
            low, high = _ends(wanted)
            inside = (numbers >= low) & (numbers <= high)
            return np.flatnonzero(inside | same(numbers, low) | same(numbers, high))
        number = float(wanted)
    except (TypeError, ValueError) as error:
        raise StoreError(f"{_written(wanted)}: not a number, a range, or a list of numbers") from error
    if not alone:
        return np.flatnonzero(same(numbers, number))
    distance = np.abs(numbers - number)
    return np.array([np.argmin(distance)]) if distance.size and np.isfinite(distance).all() else np.empty(0, np.intp)


def _ends(wanted: slice) -> tuple[float, float]:
    """Lower and upper end of a range given in either order; with an open end, the first is the lower."""
    if wanted.start is None or wanted.stop is None:
        return (
            -np.inf if wanted.start is None else float(wanted.start),
            np.inf if wanted.stop is None else float(wanted.stop),
        )
    first, second = float(wanted.start), float(wanted.stop)
    return min(first, second), max(first, second)


def _distinct(labels: Labels) -> Labels:
    """Unique labels in the order of their first appearance."""
    _, first = np.unique(labels, return_index=True)
    return labels[np.sort(first)]


def _written(wanted: Any) -> str:
    if not isinstance(wanted, slice):
        return repr(wanted.item() if isinstance(wanted, np.generic) else wanted)
    return ":".join("" if end is None else str(end) for end in (wanted.start, wanted.stop))


# --- joining -------------------------------------------------------------------------------------------------------


def _joined(parts: Mapping[str, xr.Dataset], run: str) -> xr.Dataset:
    """Join systems along a new dimension `system`, after all other dimensions have equal labels."""
    aligned = _data_alike(_of_one_code(list(parts.values())))
    for dim in dict.fromkeys(dim for part in aligned for dim in part.dims):
        if any(dim in part.dims and dim not in part.indexes for part in aligned):
            sizes = {name: part.sizes[dim] for name, part in zip(parts, aligned, strict=True)}
            if len(set(sizes.values())) > 1:
                raise StoreError(
                    f"{dim} in {run} varies within systems, and its length between them ({sizes})",
                    remedy=f"select one system, or one {' and one '.join(str(d) for d in aligned[0][dim].dims if d != dim)}",
                )
        else:
            aligned = _reindexed(aligned, str(dim))
    named = [part.expand_dims(system=[name]) for name, part in zip(parts, aligned, strict=True)]
    joined = xr.concat(
        named, "system", data_vars="all", coords="different", compat="equals", join="exact",
        combine_attrs="drop_conflicts", fill_value=_fill(*named),
    )  # fmt: skip
    orders = {
        name: max((part[name].dims for part in aligned if name in part.variables), key=len)
        for name in joined.variables
        if name not in joined.dims
    }
    return joined.assign({name: joined[name].transpose(..., *order) for name, order in orders.items()})


def _reindexed(parts: Sequence[xr.Dataset], dim: str) -> list[xr.Dataset]:
    indexes = [part[dim].values if dim in part.dims else None for part in parts]
    labelled = [labels for labels in indexes if labels is not None]
    if all(np.array_equal(labels, labelled[0]) for labels in labelled):
        return list(parts)
    union = _union(labelled)
    return [
        part
        if labels is None
        else part.assign_coords({dim: _labelled(part, dim, _snapped(labels, union))}).reindex(
            {dim: union}, fill_value=_fill(part)
        )
        for part, labels in zip(parts, indexes, strict=True)
    ]


def _union(indexes: Sequence[Labels]) -> Labels:
    """All labels once, with numbers rising, or falling if they fall in all systems."""
    labels = np.concatenate(indexes)
    if not np.issubdtype(labels.dtype, np.number):
        return _distinct(labels)
    real = np.issubdtype(labels.dtype, np.floating)
    labels = np.array(distinct(labels)) if real else np.unique(labels)
    falling = all(given[0] > given[-1] or given.size == 1 for given in indexes)
    return labels[::-1] if falling and any(given.size > 1 for given in indexes) else labels


def _snapped(labels: Labels, union: Labels) -> Labels:
    """Give real numbers that differ only by rounding the same value in all systems."""
    if not np.issubdtype(labels.dtype, np.floating):
        return labels
    return union[pd.Index(union).get_indexer(pd.Index(labels), method="nearest")]


def _of_one_code(parts: Sequence[xr.Dataset]) -> list[xr.Dataset]:
    """Recode species so that a code has the same name in all systems."""
    of_names = [species_names(part["species"]) if "species" in part.variables else [] for part in parts]
    union = list(dict.fromkeys(name for names in of_names for name in names))
    recoded = []
    for part, names in zip(parts, of_names, strict=True):
        if names and names != union[: len(names)]:
            codes = np.array([*(union.index(name) for name in names), MISSING_CODE], np.int8)
            part = part.assign({"species": part["species"].copy(data=codes[part["species"].values])})
        if names:
            part = part.assign({"species": part["species"].assign_attrs(names=union)})
        recoded.append(part)
    return recoded


def _data_alike(parts: Sequence[xr.Dataset]) -> list[xr.Dataset]:
    """Turn coordinates into data variables if they are data variables in another system."""
    data = {name for part in parts for name in part.data_vars}
    return [part.reset_coords([name for name in part.coords if name in data]) for part in parts]


def _fill(*parts: xr.Dataset) -> dict[Any, Any]:
    """Fill values for missing data: -1 for codes and counts, empty text, NaN otherwise."""
    types = {name: variable.dtype.kind for part in parts for name, variable in part.variables.items()}
    values = {"i": MISSING_CODE, "T": "", "U": "", "O": ""}
    return {name: values.get(kind, np.nan) for name, kind in types.items()}
