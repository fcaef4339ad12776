"""What is done to arrays and tables before a function gets them: to its numbers, all the same, or not."""

from __future__ import annotations

import numpy as np
import xarray as xr
from hypothesis import strategies as st

HARMLESS = (
    "transpose",
    "single",
    "big_endian",
    "read_only",
    "strided",
    "other_order",
    "last_digit",
    "gaps",
    "chunk",
    "unlabelled",
    "one_system",
)
HARMFUL = ("half", "whole", "shorter", "longer", "nan", "inf", "text", "objects", "complex", "numpy", "no_dim", "other_labels",
           "no_labels", "empty", "code", "list", "strange_dim", "twice", "bad_label", "units", "no_attrs", "selected", "stacked",
           "without")  # fmt: skip
OF_VALUES = ("transpose", "single", "half", "whole", "big_endian", "read_only", "strided", "gaps", "chunk", "nan", "inf", "text",
             "objects", "complex", "code", "units")  # fmt: skip
NAMES_ONLY = ("system", "particle", "xyz", "replica", "example", "stratum")  # labels that no function needs
GAPS = {"time", "particle", "lag", "temperature", "stratum"}  # where values may be missing, but for positions


def strided(values):
    """The same values, neither in C nor in Fortran order."""
    wide = np.repeat(values, 2, axis=-1) if values.ndim else values
    return wide[..., ::2] if values.ndim else wide


def changed(array, where, value):
    """Array with another value at some places."""
    values = array.values.copy()
    values[where] = value
    return array.copy(data=values)


def distorted(draw, array, what, dim):
    """Array or table after one thing is done to it, along one of its dimensions where it takes one."""
    if isinstance(array, xr.Dataset):
        if what in OF_VALUES and "row" in array.dims:
            # to assign to what is stacked splits its labels
            return array
        if what in OF_VALUES:
            name = draw(st.sampled_from(sorted(array.data_vars)))
            dims = array[name].dims
            return array.assign(
                {name: distorted(draw, array[name], what, draw(st.sampled_from(dims)) if dims else None)}
            )
        match what:
            case "numpy":
                return array.to_array()
            case "list":
                return dict(array)
            case "without":
                return array.drop_vars(draw(st.sampled_from(sorted(array.data_vars))))
    return of_values(draw, array, what, dim) if what in OF_VALUES else of_labels(draw, array, what, dim)


def of_values(draw, array, what, dim):
    """Array of other values, or of the same ones laid out otherwise."""
    k = draw(st.integers(0, max(array.size - 1, 0)))
    place = np.unravel_index(k, array.shape) if array.size else ()
    floating = array.dtype.kind == "f"
    match what:
        case "transpose":
            return array.transpose(*draw(st.permutations(array.dims)))
        case "single":
            return array.astype({"f": np.float32, "i": np.int32}.get(array.dtype.kind, array.dtype))
        case "half":
            return array.astype(np.float16) if floating else array.astype(float)
        case "whole":
            return array.astype(np.int64) if floating and np.isfinite(array).all() else array
        case "big_endian":
            return array.astype(array.dtype.newbyteorder(">"))
        case "read_only":
            values = array.values.copy()
            values.flags.writeable = False
            return array.copy(data=values)
        case "strided":
            return array.copy(data=strided(array.values))
        case "chunk" if dim:
            return array.chunk(
                {each: draw(st.integers(1, array.sizes[each])) for each in array.dims if array.sizes[each]}
            )
        case "gaps" if (
            floating and array.size and GAPS & set(array.dims) and not {"xyz", "example", "feature"} & set(array.dims)
        ):
            return changed(array, place, np.nan)
        case "nan" | "inf" if floating and array.size:
            return changed(array, place, float(what))
        case "text":
            return array.astype(str)
        case "objects":
            return array.astype(object)
        case "complex":
            return array.astype(complex)
        case "units":
            return array.assign_attrs(units=draw(st.sampled_from(["Å", "nm**2", "ps", "sigma"])))
        case "code" if array.dtype.kind == "i" and array.size:
            return changed(array, place, draw(st.sampled_from([-1, 2, 100, -100])))
    return array


def of_labels(draw, array, what, dim):
    """Array or table of other labels, dimensions or lengths."""
    k = draw(st.integers(0, max(array.sizes[dim] - 1, 0))) if dim else 0
    numbers = bool(dim) and dim in array.indexes and array.indexes[dim].dtype.kind in "if"
    # frames of positions are in order; what was counted in them need not be
    series = dim == "time" and "stratum" not in array.dims
    match what:
        case "other_order" if dim and not series and dim in array.indexes:
            return array.isel({dim: draw(st.permutations(range(array.sizes[dim])))})
        case "last_digit" if numbers and array.indexes[dim].dtype.kind == "f":
            return array.assign_coords({dim: array[dim].values * (1 + 2**-52)})
        case "unlabelled" if dim in NAMES_ONLY and dim in array.coords:
            return array.drop_vars(dim)
        case "no_labels" if dim in array.coords:
            return array.drop_vars(dim)
        case "one_system" if "system" in array.dims:
            return array.isel(system=0, drop=True)
        case "selected" if dim and array.sizes[dim]:
            return array.isel({dim: k})
        case "stacked" if dim and "system" in array.dims and dim != "system" and {"system", dim} <= set(array.indexes):
            return array.stack(row=("system", dim))
        case "shorter" if dim:
            return array.isel({dim: slice(k)})
        case "longer" if dim and array.sizes[dim]:
            return array.isel({dim: [*range(array.sizes[dim]), k]}).drop_vars(dim, errors="ignore")
        case "twice" if dim and array.sizes[dim]:
            return array.isel({dim: [*range(array.sizes[dim] - 1), 0]})
        case "no_dim" if dim and array.sizes[dim]:
            return array.isel({dim: k}, drop=True)
        case "other_labels" if numbers:
            return array.assign_coords({dim: array[dim] + 1})
        case "bad_label" if numbers and array.sizes[dim]:
            labels = array[dim].values.astype(float)
            labels[k] = draw(st.sampled_from([np.nan, np.inf, -1.0, 0.0]))
            return array.assign_coords({dim: labels})
        case "strange_dim":
            strange = draw(st.sampled_from(["mu", "neighbor", "lag", "replica", "time", "particle"]))
            return array if strange in array.dims else array.expand_dims({strange: 2})
        case "empty" if dim:
            return array.isel({dim: slice(0)})
        case "no_attrs":
            return array.drop_attrs()
        case "numpy":
            return array.values
        case "list":
            return array.values.tolist()
    return array


def with_gaps(draw, arrays):
    """Leave frames, and a particle of one system throughout, out of the positions as `query` does."""
    position = arrays["position"].copy(deep=True)
    system = draw(st.integers(0, position.sizes["system"] - 1))
    frames = st.integers(0, position.sizes["time"] - 1)
    position.values[system, draw(st.lists(frames, max_size=3))] = np.nan
    absent = draw(st.booleans())
    if absent:
        particle = draw(st.integers(0, position.sizes["particle"] - 1))
        position.values[system, :, particle] = np.nan
        if "species" in arrays:
            arrays = arrays | {"species": changed(arrays["species"], (system, particle), -1)}
        if "x" in arrays:
            arrays = arrays | {"x": changed(arrays["x"], np.s_[system, :, particle], np.nan)}
    return arrays | {"position": position}, absent
