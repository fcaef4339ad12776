"""Whatever arrays a public function is given: the numbers of brute force, or an error that says what is wrong.

`DASKGLASS_EXAMPLES` asks for more examples. What is drawn from is in `tests/physics/arrays`.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import daskglass as dg
from daskglass.errors import DaskglassError
from tests.physics.arrays.data import everything
from tests.physics.arrays.distortions import HARMFUL, HARMLESS, distorted, with_gaps
from tests.physics.arrays.functions import FUNCTIONS, WITHOUT_ARRAYS

# shrinking takes minutes; an example is small enough to read
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
SETTINGS = settings(
    max_examples=int(os.environ.get("DASKGLASS_EXAMPLES", "12")),
    deadline=None,
    phases=PHASES,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
SORTED = ("mu", "r", "lag", "temperature", "replica", "time", "example")  # axes along which functions sort by label


def rows(arrays, core):
    """Every combination of leading labels, with the plain arrays that belong to it."""
    known: dict[str, pd.Index] = {}
    same = {}
    for name, array in arrays.items():
        for dim in array.dims:
            if dim in array.indexes and not known.setdefault(dim, array.indexes[dim]).equals(array.indexes[dim]):
                nearest = "nearest" if array.indexes[dim].dtype.kind == "f" else None
                array = array.sel({dim: known[dim]}, method=nearest)
        same[name] = array
    sizes = {dim: size for array in same.values() for dim, size in array.sizes.items()}
    for name, array in same.items():
        same[name] = array.expand_dims({dim: sizes[dim] for dim in core[name] if dim not in array.dims})
    lead = {}
    for name, array in same.items():
        for dim in array.dims:
            if dim not in core[name]:
                assert lead.setdefault(dim, array.sizes[dim]) == array.sizes[dim]
    for index in itertools.product(*(range(size) for size in lead.values())):
        where = dict(zip(lead, index, strict=True))
        yield (
            where,
            {
                name: array.isel({dim: k for dim, k in where.items() if dim in array.dims})
                .transpose(*core[name])
                .values.astype(float)
                for name, array in same.items()
            },
        )


def given_to(function):
    whole = everything()
    return {name: whole[name] for name in function.given or function.core}


def outcome(function, arrays):
    """Result in memory, or the error that was raised on purpose; whatever else is raised ends the test."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return function.call(**arrays).compute()
        except DaskglassError as error:
            return error


def assert_equals_brute_force(function, arrays, result):
    flat = {}
    for name, array in arrays.items():
        flat |= variables_of(function, name, array)
    core = {name: flat[name].dims if dims is None else dims for name, dims in function.core.items()}
    for name, array in flat.items():
        flat[name] = array.compute().sortby([dim for dim in SORTED if dim in array.dims and dim in array.indexes])
    if "neighbor" in flat.get("density", result).dims and "g" in flat:
        # of each species, which brute force does not know
        return
    found = {key: next(array[key] for array in flat.values() if key in array.coords).values for key in function.labels}
    leading = [dim for dim in SORTED if dim in result.dims and dim in result.indexes and dim not in function.out]
    result = result.sortby(leading)
    for where, plain in rows(flat, core):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = function.reference(**plain, **found)
        row = result.isel({dim: k for dim, k in where.items() if dim in result.dims}).transpose(*function.out).values
        np.testing.assert_allclose(row, expected, rtol=function.rtol, atol=function.rtol, equal_nan=True)


def variables_of(function, name, array):
    """An array, or the variables of a table, by name."""
    if isinstance(array, xr.Dataset):
        return {key: array[key] for key in function.core if key in array}
    return {name: xr.DataArray(array)}


@pytest.mark.parametrize("name", FUNCTIONS)
@SETTINGS
@given(data=st.data())
def test_what_is_the_same_data_gives_the_same_numbers(name, data):
    function = FUNCTIONS[name]
    arrays, harmless = given_to(function), HARMLESS
    if "position" in arrays:
        arrays, absent = with_gaps(data.draw, arrays)
        # which particle is absent is said of a system, and by label
        harmless = tuple(what for what in HARMLESS if not absent or what not in ("one_system", "unlabelled"))
    for key in arrays:
        for what in data.draw(st.lists(st.sampled_from(harmless), max_size=3), label=key):
            dims = [dim for dim in arrays[key].sizes if dim not in function.fixed]
            dim = data.draw(st.sampled_from(dims)) if dims else None
            arrays[key] = distorted(data.draw, arrays[key], what, dim)
    result = outcome(function, arrays)
    assert not isinstance(result, Exception), result
    assert_equals_brute_force(function, arrays, result)


@pytest.mark.parametrize("name", FUNCTIONS)
@SETTINGS
@given(data=st.data())
def test_any_array_gives_the_numbers_of_brute_force_or_an_error(name, data):
    function = FUNCTIONS[name]
    arrays = given_to(function)
    for key in arrays:
        for what in data.draw(st.lists(st.sampled_from(HARMLESS + 2 * HARMFUL), max_size=2), label=key):
            # distances between whole numbers lie on the edges of bins
            if not hasattr(arrays[key], "sizes") or (what, name) == ("whole", "radial_distribution"):
                continue
            dims = list(arrays[key].sizes)
            dim = data.draw(st.sampled_from(dims)) if dims else None
            arrays[key] = distorted(data.draw, arrays[key], what, dim)
    result = outcome(function, arrays)
    if isinstance(result, DaskglassError):
        return
    assert_equals_brute_force(function, arrays, result)


def test_every_public_function_is_drawn():
    public = {name for name in dg.__all__ if callable(getattr(dg, name))}
    assert {name.partition(".")[0] for name in FUNCTIONS} | WITHOUT_ARRAYS == public
    methods = {
        f"{kind.__name__}.{name}"
        for kind in (dg.Softness, dg.LinearPredictor)
        for name in vars(kind)
        if not name.startswith("_") and callable(getattr(kind, name))
    }
    assert {name for name in FUNCTIONS if "." in name} == methods


@pytest.mark.long
def test_no_array_reaches_memory_beyond_its_own():
    """The claims above, and those of single errors, with kernels that check every index."""
    files = [__file__, str(Path(__file__).with_name("test_array_errors.py"))]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "0", "-q", "-m", "not long", *files],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "NUMBA_BOUNDSCHECK": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
