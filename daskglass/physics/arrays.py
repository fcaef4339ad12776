"""The gate of the science API: arrays of named dimensions, aligned labels and native numbers, and nothing else.

Compiled loops read memory without asking, and xarray drops labels that do not match where it adds. So every public function
takes its arrays from here, and hands its loops what `apply` hands on: of one shape, native, one row behind the other.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, DTypeLike, NDArray

from daskglass.errors import DataError
from daskglass.physics.labels import same

Kind = Literal["real", "code", "species", "bool"]
Labelled = TypeVar("Labelled", xr.DataArray, xr.Dataset)

EDGES = 3  # of a box, and coordinates of a position
EXAMPLES = {
    "species": 'dims="particle", attrs={"names": ["A", "B"]}',
    "box": 'dims="xyz"',
    "position": 'dims=("time", "particle", "xyz"), coords={"time": times}',
}


def array(value: Any, name: str, dims: Sequence[str] = (), kind: Kind = "real") -> xr.DataArray:
    """Check that an argument is an array over `dims`, and others; cast it to a native type that kernels know.

    Real numbers become float32 (also from float16) or float64, codes int64 (but species, which are checked first); lazily
    where the array is. Of them, NaN is what is missing; infinity is refused.

    Raises
    ------
    DataError
        If it is no `xarray.DataArray`, lacks a dimension, holds no such numbers, or says that they are in laboratory units.
    """
    if isinstance(value, xr.Dataset):
        raise DataError(f"{name} is a whole Dataset: give one of its variables {sorted(map(str, value.data_vars))}")
    if not isinstance(value, xr.DataArray):
        axes = ", ".join(f'"{dim}"' for dim in dims)
        how = EXAMPLES.get(name, f"dims=({axes},)" if dims else "dims=(…)")
        raise DataError(
            f"{name} is a {type(value).__module__}.{type(value).__name__}, without names of dimensions. Give it some:\n"
            f"    import xarray as xr\n    {name} = xr.DataArray({name}, {how})"
        )
    if lacking := [dim for dim in dims if dim not in value.dims]:
        raise DataError(f"{name} lacks the dimension {' and '.join(lacking)}; it has {dict(value.sizes)}")
    if empty := [dim for dim in dims if value.sizes[dim] == 0]:
        raise DataError(f"{name} is empty along {' and '.join(empty)}; it has {dict(value.sizes)}")
    if "xyz" in dims and value.sizes["xyz"] != EDGES:
        raise DataError(f"{name} must hold three numbers over dimension xyz; got {dict(value.sizes)}")
    wanted = _native(value.dtype, kind)
    if wanted is None:
        raise DataError(f"{name} must hold {NUMBERS[kind]}; got {value.dtype}")
    check_units(value, name)
    return _finite(value, name, wanted) if wanted.kind == "f" else cast(value, wanted)


NUMBERS = {"real": "real numbers", "code": "whole numbers", "species": "whole numbers", "bool": "True or False"}


def cast(value: xr.DataArray, dtype: DTypeLike) -> xr.DataArray:
    """Array of another type, with all its labels and attributes; ten times as fast as `DataArray.astype`."""
    return value if value.dtype == dtype else value.copy(data=value.data.astype(dtype))


def _finite(value: xr.DataArray, name: str, dtype: np.dtype[Any]) -> xr.DataArray:
    """Array of a type, its values finite or NaN: looked at when they are computed."""
    data = value.data
    if value.chunks is not None:
        import dask.array as da

        meta = np.empty((0,) * data.ndim, dtype)
        return value.copy(data=da.map_blocks(_finite_block, data, dtype, name, value.dims, dtype=dtype, meta=meta))
    return value.copy(data=_finite_block(data, dtype, name, value.dims))


def _finite_block(values: NDArray[Any], to: np.dtype[Any], name: str, dims: tuple[Any, ...]) -> NDArray[np.floating]:
    values = values.astype(to, copy=False)
    # without a copy of it, as isinf would make
    if values.size and np.isinf([np.fmin.reduce(values, axis=None), np.fmax.reduce(values, axis=None)]).any():
        where = ", ".join(f"{dim} {k}" for dim, k in zip(dims, np.argwhere(np.isinf(values))[0], strict=True))
        raise DataError(f"{name} is not finite{' at ' * bool(where)}{where}")
    return values


LABORATORY = {"Å", "\u212b", "angstrom", "angstroms", "nm", "pm", "fs", "ps", "ns", "K", "kelvin", "kJ", "kcal", "eV"}


def check_units(value: xr.DataArray, name: str) -> None:
    """Refuse numbers that say they are in laboratory units: all equations are in reduced ones.

    Raises
    ------
    DataError
        Naming the unit.
    """
    units = value.attrs.get("units")
    if isinstance(units, str) and LABORATORY & set(re.split(r"[\W\d]+", units.replace("Angstrom", "angstrom"))):
        raise DataError(
            f"{name} is in {units}: divide by σ, τ and ε of your mixture first, and leave this `units` out "
            f'(del {name}.attrs["units"])'
        )


def _native(dtype: np.dtype[Any], kind: Kind) -> np.dtype[Any] | None:
    if kind == "bool":
        return dtype if dtype.kind == "b" else None
    if kind in ("code", "species"):
        return (np.dtype(np.int64) if kind == "code" else dtype) if dtype.kind in "biu" else None
    if dtype.kind not in "iuf":
        return None
    return np.dtype(np.float32 if dtype.kind == "f" and dtype.itemsize <= 4 else np.float64)


def array_or_number(value: Any, name: str) -> xr.DataArray:
    """Array of any dimensions, or one number for all of them; NaN where it is missing. See `array`."""
    if isinstance(value, xr.DataArray | xr.Dataset) or np.ndim(value) > 0:
        return array(value, name)
    missing = isinstance(value, float | np.floating) and np.isnan(value)
    return xr.DataArray(np.nan if missing else number(value, name, positive=False))


def table(value: Any, name: str, variables: Mapping[str, Sequence[str]]) -> xr.Dataset:
    """Check that an argument is a Dataset of `variables` over their dimensions, and others; cast them as `array` does.

    Raises
    ------
    DataError
        If it is no `xarray.Dataset`, or a variable or a dimension is missing.
    """
    if not isinstance(value, xr.Dataset):
        raise DataError(f"{name} must be an xarray.Dataset of {' and '.join(variables)}; got {type(value).__name__}")
    if lacking := [variable for variable in variables if variable not in value.variables]:
        raise DataError(f"{name} lacks {' and '.join(lacking)}; it has {sorted(map(str, value.variables))}")
    checked = {key: array(value[key], f"{name}.{key}", dims) for key, dims in variables.items()}
    # whole numbers stay whole
    return value.assign({key: each for key, each in checked.items() if value[key].dtype.kind == "f"})


def together(arrays: Mapping[str, xr.DataArray]) -> dict[str, xr.DataArray]:
    """Give arrays the same labels along every dimension they share: those of the first, which others are put in order by.

    Raises
    ------
    DataError
        If lengths or labels along a dimension differ, labels of one are parts of those of another (as `stack` makes them), or
        one array was selected where another was not; naming both arrays.
    """
    _check_selected(arrays)
    given: dict[Any, tuple[str, int, pd.Index | None]] = {}
    along: dict[Any, tuple[str, tuple[Any, ...]]] = {}
    result = {}
    for name, each in arrays.items():
        for label in each.indexes:
            first, dims = along.setdefault(label, (name, each[label].dims))
            if dims != each[label].dims:
                raise DataError(
                    f"{label} labels {dims[0]} of {first}, but {each[label].dims[0]} of {name}: unstack one of them"
                )
        for dim in each.dims:
            labels = _labels(each, dim)
            if dim not in given:
                given[dim] = name, each.sizes[dim], labels
                continue
            first, size, known = given[dim]
            if each.sizes[dim] != size:
                raise DataError(f"{dim} differs: {first} has {size}, {name} has {each.sizes[dim]}")
            if known is None or labels is None:
                given[dim] = (first, size, known) if labels is None else (name, size, labels)
            elif not known.equals(labels):
                # the last digit of a label is noise
                each = each.isel({dim: _order(dim, first, known, name, labels)}).assign_coords({dim: known})
        result[name] = each
    return result


SELECTED = ("system", "temperature", "replica", "time")


def _check_selected(arrays: Mapping[str, xr.DataArray]) -> None:
    """Refuse an array of one label, as `sel` returns it, beside one of others, which it would be used for."""
    for (one, first), (other, second) in itertools.permutations(arrays.items(), 2):
        for label in SELECTED:
            if label not in first.coords or first[label].ndim:
                continue
            if label in second.dims:
                found = second.indexes.get(label, pd.Index(["no label"]))
            elif label in second.coords and second[label].ndim == 0:
                found = pd.Index([second[label].item()])
            else:
                continue
            value = first[label].item()
            numbers = found.dtype.kind == "f" and isinstance(value, float | int)
            if not (same(found, value) if numbers else found == value).all():
                raise DataError(
                    f"{one} is of {label} {value}, {other} of {', '.join(map(str, found[:5]))}: select the same of both, or "
                    f'give {one}.drop_vars("{label}") where it holds for all'
                )


def _labels(each: xr.DataArray, dim: Any) -> pd.Index | None:
    if dim in each.indexes:
        return each.indexes[dim]
    # times that are the same for all rows once one of them is selected
    return pd.Index(each[dim].values) if dim in each.coords and each[dim].ndim == 1 else None


def _order(dim: Any, first: str, known: pd.Index, name: str, labels: pd.Index) -> NDArray[np.intp]:
    if known.dtype.kind == labels.dtype.kind == "f":
        order = np.argsort(labels)[np.argsort(np.argsort(known))]
        if same(known, labels[order]).all():
            return order
    lacking = known.difference(labels, sort=False)
    if lacking.size or not known.is_unique or not labels.is_unique:
        what = f"{name} has no label {lacking[0]}" if lacking.size else "labels repeat, so there is no one order"
        if lacking.size and known.dtype != labels.dtype:
            what += f" ({first} has {known.dtype}, {name} {labels.dtype})"
        raise DataError(
            f"labels of {dim} differ between {first} and {name}: {what}; select what both have, such as by xr.align"
        )
    return np.asarray(labels.get_indexer(known), np.intp)


def apply(
    function: Callable[..., Any],
    arrays: Mapping[str, xr.DataArray],
    core: Sequence[Sequence[str]],
    out: Sequence[Sequence[str]],
    dtypes: Sequence[DTypeLike],
    keep_attrs: bool | str = False,
    **sizes: int,
) -> Any:
    """Apply a function of numpy blocks to arrays over any leading dimensions: `xarray.apply_ufunc`, lazy where they are.

    The function gets arrays of the same leading shape, `core` dimensions last, in C order, read-only. Chunks are merged
    along `core`.

    Parameters
    ----------
    function : callable
        Function of one block of each array, to one array (or a tuple of them) over the leading dimensions and `out`.
    arrays : dict of str to xarray.DataArray
        Arrays, by the name errors give them.
    core : sequence of sequence of str
        Dimensions of each array that the function needs whole.
    out : sequence of sequence of str
        Dimensions of each result besides the leading ones.
    dtypes : sequence of dtype
        Type of each result.
    keep_attrs : bool or str, optional
        As for `xarray.apply_ufunc`.
    **sizes : int
        Lengths of the dimensions in `out` that are new.

    Returns
    -------
    xarray.DataArray or tuple of xarray.DataArray
        One for each of `out`.

    Raises
    ------
    DataError
        Where `together` does, or if an array has a dimension that belongs to another one or to the result.
    """
    inner = {dim for dims in core for dim in dims}
    made = {dim for dims in out for dim in dims}
    for (name, each), dims in zip(arrays.items(), core, strict=True):
        if strange := [dim for dim in each.dims if dim in (inner | made) and dim not in dims]:
            raise DataError(f"{name} must not vary along {' and '.join(map(str, strange))}; it has {dict(each.sizes)}")

    def block(*values: NDArray[Any]) -> Any:
        shapes = [(value.shape[: value.ndim - len(dims)], value.shape[value.ndim - len(dims) :])
                  for value, dims in zip(values, core, strict=True)]  # fmt: skip
        lead = np.broadcast_shapes(*(shape for shape, _ in shapes))
        return function(
            *(np.broadcast_to(np.ascontiguousarray(value).reshape(value.shape), lead + inside)
              for value, (_, inside) in zip(values, shapes, strict=True))
        )  # fmt: skip

    return xr.apply_ufunc(
        block,
        *together(arrays).values(),
        input_core_dims=[list(dims) for dims in core],
        output_core_dims=[list(dims) for dims in out],
        dask="parallelized",
        dask_gufunc_kwargs={"output_sizes": sizes, "allow_rechunk": True},
        output_dtypes=list(dtypes),
        keep_attrs=keep_attrs,
    )


# --- labels --------------------------------------------------------------------------------------------------------


def labels(value: xr.DataArray | xr.Dataset, dim: str, name: str) -> NDArray[np.float64]:
    """Labels along a dimension: numbers, all finite, each once, in any order.

    Raises
    ------
    DataError
        If they are anything else, or are not there.
    """
    if dim not in value.coords or value[dim].dims != (dim,):
        raise DataError(
            f"{name} needs a one-dimensional coordinate {dim}: assign_coords({dim}=…); where it differs between rows, "
            "select one of them first"
        )
    check_units(value[dim], dim)
    return distinct(value[dim].values, f"{dim} of {name}")


def distinct(values: ArrayLike, what: str) -> NDArray[np.float64]:
    """Numbers (k,), all finite, each once; see `labels`."""
    found = np.asarray(values)
    if found.ndim != 1 or found.size == 0 or found.dtype.kind not in "iuf":
        raise DataError(f"{what} must be a list of numbers; got {found.dtype} of shape {found.shape}")
    found = found.astype(np.float64)
    if not np.isfinite(found).all():
        raise DataError(f"{what}: number {int(np.argmin(np.isfinite(found)))} is not finite")
    each, count = np.unique(found, return_counts=True)
    if each.size < found.size:
        raise DataError(f"{what}: {each[np.argmax(count > 1)]:g} is given more than once")
    return found


def in_order(value: Labelled, dim: str, name: str) -> Labelled:
    """Put what is given in the rising order of its labels along `dim`; see `labels`."""
    found = labels(value, dim, name)
    return value if (np.diff(found) > 0).all() else value.isel({dim: np.argsort(found)})


def as_labelled(value: Labelled, dim: str) -> Labelled:
    """Put what is given in the order of its labels along `dim`, of any kind, where it has some: draws depend on it."""
    index = value.indexes.get(dim)
    return value if index is None or index.is_monotonic_increasing else value.isel({dim: np.asarray(index.argsort())})


def step(grid: NDArray[np.float64], what: str) -> float:
    """Distance between numbers that rise in equal steps.

    Raises
    ------
    DataError
        If they do not, or are fewer than two.
    """
    if grid.size < 2:
        raise DataError(f"{what}: at least two are needed to integrate over")
    steps = np.diff(grid)
    if not (steps > 0).all() or not np.allclose(steps, steps[0], rtol=1e-6, atol=1e-9 * grid[-1]):
        raise DataError(f"{what} must rise in equal steps; got {grid.tolist() if grid.size < 50 else steps}")
    return float((grid[-1] - grid[0]) / (grid.size - 1))


# --- single numbers ------------------------------------------------------------------------------------------------


def number(value: Any, name: str, positive: bool = True) -> float:
    """Return a finite number, greater than zero unless that does not matter.

    Raises
    ------
    DataError
        If it is anything else.
    """
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{name} must be a number; got {value!r}") from error
    # to Python alone these are numbers
    if isinstance(value, str | bytes | bool | np.bool_):
        raise DataError(f"{name} must be a number; got {value!r}")
    if not np.isfinite(found):
        raise DataError(f"{name} must be a finite number; got {value!r}")
    if positive and not found > 0:
        raise DataError(f"{name} must be positive; got {value!r}")
    return found


def whole(value: Any, name: str, least: int = 1, most: int = 2**53) -> int:
    """Return a whole number, from `least` to `most`.

    Raises
    ------
    DataError
        If it is anything else.
    """
    found = number(value, name, positive=False)
    if found != int(found) or not least <= found <= most:
        limits = f"{least} or more" if found < most else f"{most} at most"
        raise DataError(f"{name} must be a whole number, {limits}; got {value!r}")
    return int(value)
