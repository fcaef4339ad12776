"""Whatever arrays a public function is given: the numbers of brute force, or an error that says what is wrong.

`DASKGLASS_EXAMPLES` asks for more examples of the random ones.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.signal
import xarray as xr
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import daskglass as dg
from daskglass import barriers
from daskglass.barriers import stratum_edges, value_histogram
from daskglass.errors import DaskglassError, DataError
from tests import references

# shrinking takes minutes; an example is small enough to read
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
EXAMPLES = int(os.environ.get("DASKGLASS_EXAMPLES", "12"))
BOX = np.array([7.3, 7.6, 8.0])
N, FRAMES, SYSTEMS = 24, 13, 2
MU = np.round(np.arange(0.5, 2.51, 0.25), 10)
WIDTH = 0.2
R_MAX, BIN = 3.0, 0.25
EDGES = np.array([-1.0, -0.2, 0.3, 1.0])
LAGS = [5.0, 1.0, 3.0]
LAG = np.array([0.0, *1.4 ** np.arange(13)])


def system_arrays(seed=0):
    """Arrays over (system, …), labelled, as `query` returns them."""
    rng = np.random.default_rng(seed)
    labels = {"system": ["p", "q"], "time": np.arange(FRAMES) * 1.0, "particle": np.arange(N), "xyz": ["x", "y", "z"]}
    walk = np.cumsum(rng.normal(0, 0.15, (SYSTEMS, FRAMES, N, 3)), axis=1) + rng.random((SYSTEMS, 1, N, 3)) * BOX

    def of(values, *dims, **attrs):
        return xr.DataArray(values, dims=dims, coords={dim: labels[dim] for dim in dims if dim in labels}, attrs=attrs)

    frames = ("system", "time", "particle")
    hop = np.abs(rng.normal(0.15, 0.15, (SYSTEMS, FRAMES, N)))
    hop[:, :2], hop[:, -2:] = np.nan, np.nan
    G = rng.gamma(4, 0.5, (SYSTEMS, N, 2, MU.size))
    g = rng.gamma(4, 0.25, (SYSTEMS, 2, 12))
    lag = LAG
    neighbor = {"neighbor": ["A", "B"]}
    return {
        "position": of(walk, *frames, "xyz"),
        "species": of((rng.random((SYSTEMS, N)) < 0.4).astype(np.int8), "system", "particle", names=["A", "B"]),
        "box": of(BOX + rng.random((SYSTEMS, FRAMES, 3)) * 0.2, "system", "time", "xyz"),
        "hop_values": of(hop, *frames),
        "values": of(rng.normal(0, 0.5, (SYSTEMS, FRAMES, N)), *frames),
        "G": of(G, "system", "particle", "neighbor", "mu", width=WIDTH).assign_coords({**neighbor, "mu": MU}),
        "g": of(g, "system", "neighbor", "r").assign_coords(
            {**neighbor, "r": (np.arange(12) + 0.5) * 0.25, "fraction": ("neighbor", [0.75, 0.25])}
        ),
        "density": of(np.array([1.2, 1.1]), "system"),
        "scattering": of(np.exp(-lag / np.array([[9.0], [20.0]])), "system", "lag").assign_coords(lag=lag),
        "msd": of(6 * lag * np.array([[0.2], [0.3]]) + 0.1, "system", "lag").assign_coords(lag=lag),
    }


# --- brute force ---------------------------------------------------------------------------------------------------


def rows(arrays, core):
    """Every combination of leading labels, with the plain arrays that belong to it."""
    known: dict[str, pd.Index] = {}
    same = {}
    for name, array in arrays.items():
        for dim in array.dims:
            if dim in array.indexes and not known.setdefault(dim, array.indexes[dim]).equals(array.indexes[dim]):
                array = array.sel({dim: known[dim]})
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


def structure(position, species, box):
    G = np.full((len(species), 2, MU.size), np.nan)
    if not np.isnan(position).all():
        there, A = species >= 0, species == 0
        G[A] = references.structure_functions(
            position[there], species[there], "AB", box, MU, WIDTH, 5.0, np.flatnonzero(A[there])
        )
    return G


def radial(position, species, box):
    edges = np.arange(13) * BIN
    shell = 4 / 3 * np.pi * (edges[1:] ** 3 - edges[:-1] ** 3)
    there = species >= 0
    position, species = position[:, there], species[there]
    A, pairs, centers = species == 0, np.zeros((2, 12)), 0
    for x, L in zip(position, box, strict=True):
        if np.isnan(x).all():
            continue
        r = references.distances(x, L, A)
        for K in range(2):
            pairs[K] += np.prod(L) * np.histogram(r[:, species == K][np.isfinite(r[:, species == K])], edges)[0]
        centers += A.sum()
    with np.errstate(all="ignore"):
        return pairs / (centers * shell * np.array([[(species == 0).sum()], [(species == 1).sum()]]))


def labels(hop_values, species):
    found = np.full(hop_values.shape, -1)
    for i in np.flatnonzero(species == 0):
        series = hop_values[:, i]
        quiet, _ = scipy.signal.find_peaks(-series, height=np.nextafter(-0.05, np.inf), distance=4)
        moving, _ = scipy.signal.find_peaks(series, height=np.nextafter(0.2, np.inf), distance=2)
        found[quiet, i], found[moving, i] = 0, 1
    return found


def over_pairs(of_squared):
    def reference(position, species):
        there = species >= 0
        x = references.without_drift(position[:, there])[:, species[there] == 0]
        result = []
        for lag in map(int, LAGS):
            r2 = ((x[lag:] - x[:-lag]) ** 2).sum(axis=-1)
            there = ~np.isnan(r2).any(axis=1)
            result.append(of_squared(r2[there]).mean() if there.any() and r2.size else np.nan)
        return np.array(result)

    return reference


def hops(position):
    there = ~np.isnan(position).all(axis=(0, 2))
    hop = np.full(position.shape[:2], np.nan)
    hop[:, there] = references.hop_indicator(position[:, there], 2)
    return hop


def affine(position, box):
    return position * (box[0] / box)[:, None]


def counts(hop, values):
    found = np.zeros((2, 3), int)
    for p, x in zip(hop.ravel(), values.ravel(), strict=True):
        if not (np.isnan(p) or np.isnan(x)) and EDGES[0] <= x <= EDGES[-1]:
            k = min(np.searchsorted(EDGES, x, side="right") - 1, 2)
            found[:, k] += 1, p > 0.2
    return found


def probability(hop, values):
    samples, events = counts(hop, values)
    with np.errstate(all="ignore"):
        return events / samples


def recall(softness, hop):
    known = ~np.isnan(softness) & ~np.isnan(hop)
    moving = known & (hop > 0.2)
    with np.errstate(all="ignore"):
        return np.divide((moving & (softness > 0)).sum(), moving.sum())


def entropy(g, density):
    r, rho = (np.arange(12) + 0.5) * 0.25, density * np.array([0.75, 0.25])
    integrand = np.where(g > 0, g * np.log(np.where(g > 0, g, 1)), 0) - g + 1
    return -2 * np.pi * (rho * (integrand * r**2).sum(axis=1) * 0.25).sum()


def crossing(scattering):
    lag = LAG[1:][np.isfinite(scattering[1:])]
    F = scattering[1:][np.isfinite(scattering[1:])]
    below = np.flatnonzero(np.exp(-1) >= F)
    if below.size == 0 or below[0] == 0:
        return np.nan
    k = below[0]
    share = (F[k - 1] - np.exp(-1)) / (F[k - 1] - F[k])
    return np.exp(np.log(lag[k - 1]) + share * np.log(lag[k] / lag[k - 1]))


def slope(msd):
    lag = LAG
    known = np.isfinite(msd) & (msd > 1) & (lag > 0)
    if not np.isfinite(msd).all():
        # where neighbours are missing, no part may be seen to be diffusive
        return None
    line = np.polyfit(LAG[known], msd[known], 1)
    # of a straight line alone, whose slope does not depend on weights
    return line[0] / 6 if np.allclose(np.polyval(line, LAG[known]), msd[known], rtol=1e-5) else None


@dataclass(frozen=True)
class Function:
    """A public function, the arrays it takes, their core dimensions, and the same thing by brute force."""

    call: Callable[..., Any]
    core: dict[str, tuple[str, ...]]
    out: tuple[str, ...]
    reference: Callable[..., Any]
    rtol: float = 1e-4


PARTICLES, PARTICLE = ("particle", "xyz"), ("particle",)
SERIES = ("time", *PARTICLES)
CENTERS = {"position": PARTICLES, "species": PARTICLE, "box": ("xyz",)}
MOTION = {"position": SERIES, "species": PARTICLE}
FRAME = ("time", "particle")
EDGE = xr.DataArray(EDGES, dims="edge")
FUNCTIONS = {
    "structure_functions": Function(
        lambda **a: dg.structure_functions(**a, mu=MU, width=WIDTH), CENTERS, ("particle", "neighbor", "mu"), structure
    ),
    "radial_distribution": Function(
        lambda **a: dg.radial_distribution(**a, r_max=R_MAX, bin_width=BIN),
        {"position": SERIES, "species": PARTICLE, "box": ("time", "xyz")},
        ("neighbor", "r"),
        radial,
    ),
    "hop_indicator": Function(
        lambda **a: dg.hop_indicator(**a, window=4.0),
        {"position": SERIES},
        FRAME,
        hops,
        1e-3,
    ),
    "rearrangement_labels": Function(
        lambda **a: dg.rearrangement_labels(**a, soft_separation=2.0, hard_separation=4.0),
        {"hop_values": FRAME, "species": PARTICLE},
        FRAME,
        labels,
    ),
    "scattering_function": Function(
        lambda **a: dg.scattering_function(**a, q=3.0, lags=LAGS),
        MOTION,
        ("lag",),
        over_pairs(lambda r2: np.sinc(3.0 * np.sqrt(r2) / np.pi)),
    ),
    "mean_squared_displacement": Function(
        lambda **a: dg.mean_squared_displacement(**a, lags=LAGS), MOTION, ("lag",), over_pairs(lambda r2: r2)
    ),
    "without_affine_motion": Function(
        lambda **a: dg.without_affine_motion(**a), {"position": SERIES, "box": ("time", "xyz")}, SERIES, affine
    ),
    "rearrangement_probability": Function(
        lambda hop_values, values: dg.rearrangement_probability(hop_values, values, EDGE).probability,
        {"hop_values": FRAME, "values": FRAME},
        ("stratum",),
        lambda hop_values, values: probability(hop_values, values),
    ),
    "recall_precision": Function(
        lambda hop_values, values: dg.recall_precision(values, hop_values).recall,
        {"values": FRAME, "hop_values": FRAME},
        (),
        lambda hop_values, values: recall(values, hop_values),
    ),
    "excess_entropy": Function(
        lambda **a: dg.excess_entropy(**a), {"g": ("neighbor", "r"), "density": ()}, (), entropy
    ),
    "local_excess_entropy": Function(
        lambda **a: dg.local_excess_entropy(**a),
        {"G": ("neighbor", "mu")},
        (),
        lambda G: references.local_entropy(G[None], MU, WIDTH)[0],
        1e-3,
    ),
    "relaxation_time": Function(lambda **a: dg.relaxation_time(**a), {"scattering": ("lag",)}, (), crossing),
    "diffusivity": Function(lambda **a: dg.diffusivity(**a), {"msd": ("lag",)}, (), slope),
}  # fmt: skip


# --- what is done to arrays ----------------------------------------------------------------------------------------

HARMLESS = (
    "transpose",
    "single",
    "big_endian",
    "read_only",
    "strided",
    "other_order",
    "chunk",
    "unlabelled",
    "one_system",
)
HARMFUL = ("half", "whole", "shorter", "longer", "nan", "inf", "text", "objects", "complex", "numpy", "no_dim", "other_labels",
           "no_labels", "empty", "code", "list", "strange_dim", "twice")  # fmt: skip
ORDERED = ("time",)
AXES = ("mu", "r", "lag")


def strided(values):
    """The same values, neither in C nor in Fortran order."""
    wide = np.repeat(values, 2, axis=-1) if values.ndim else values
    return wide[..., ::2] if values.ndim else wide


def distorted(draw, array, what, dim):
    """Array after one thing is done to it, along one of its dimensions where it takes one."""
    k = draw(st.integers(0, max(array.sizes[dim] - 1, 0))) if dim else 0
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
        case "other_order" if dim and dim not in ORDERED and dim in array.indexes:
            return array.isel({dim: draw(st.permutations(range(array.sizes[dim])))})
        case "unlabelled" if dim in ("system", "particle", "xyz") and dim in array.coords:
            return array.drop_vars(dim)
        case "no_labels" if dim in array.coords:
            return array.drop_vars(dim)
        case "one_system" if "system" in array.dims:
            return array.isel(system=0, drop=True)
        case "chunk" if dim:
            return array.chunk(
                {each: draw(st.integers(1, array.sizes[each])) for each in array.dims if array.sizes[each]}
            )
        case "shorter" if dim:
            return array.isel({dim: slice(k)})
        case "longer" if dim and array.sizes[dim]:
            return array.isel({dim: [*range(array.sizes[dim]), k]}).drop_vars(dim, errors="ignore")
        case "twice" if dim and array.sizes[dim]:
            return array.isel({dim: [*range(array.sizes[dim] - 1), 0]})
        case "nan" | "inf" if floating and array.size:
            values = array.values.copy()
            values[np.unravel_index(draw(st.integers(0, array.size - 1)), array.shape)] = float(what)
            return array.copy(data=values)
        case "text":
            return array.astype(str)
        case "objects":
            return array.astype(object)
        case "complex":
            return array.astype(complex)
        case "numpy":
            return array.values
        case "list":
            return array.values.tolist()
        case "no_dim" if dim and array.sizes[dim]:
            return array.isel({dim: k}, drop=True)
        case "strange_dim":
            strange = draw(st.sampled_from(["mu", "neighbor", "lag", "replica", "time", "particle"]))
            return array if strange in array.dims else array.expand_dims({strange: 2})
        case "other_labels" if dim and dim in array.indexes and array.indexes[dim].dtype.kind in "if":
            return array.assign_coords({dim: array[dim] + 1})
        case "empty" if dim:
            return array.isel({dim: slice(0)})
        case "code" if array.dtype.kind == "i" and array.size:
            values = array.values.copy()
            bad = draw(st.sampled_from([-1, 2, 100, -100]))
            values[np.unravel_index(draw(st.integers(0, array.size - 1)), array.shape)] = bad
            return array.copy(data=values)
    return array


def with_gaps(draw, arrays):
    """Leave frames, and a particle of one system throughout, out of the positions as `query` does."""
    position = arrays["position"].copy(deep=True)
    system = draw(st.integers(0, SYSTEMS - 1))
    position.values[system, draw(st.lists(st.integers(0, FRAMES - 1), max_size=3))] = np.nan
    absent = draw(st.booleans())
    if absent:
        particle = draw(st.integers(0, N - 1))
        position.values[system, :, particle] = np.nan
        if "species" in arrays:
            species = arrays["species"].copy(deep=True)
            species.values[system, particle] = -1
            arrays = arrays | {"species": species}
    return arrays | {"position": position}, absent


def outcome(function, arrays):
    """Result in memory, or the error that was raised on purpose; whatever else is raised ends the test."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return function.call(**arrays).compute()
        except DaskglassError as error:
            return error


def assert_equals_brute_force(function, arrays, result):
    arrays = {name: xr.DataArray(array).compute() for name, array in arrays.items()}
    for name, array in arrays.items():
        axes = [dim for dim in AXES if dim in function.core[name]]
        arrays[name] = array = array.sortby(axes)
        for dim in axes:
            if not array[dim].identical(system_arrays()[name][dim]):
                # brute force knows these radii and lags alone
                return
    if "neighbor" in arrays.get("density", EDGE).dims or any(
        name in ("g", "G") and not array["neighbor"].identical(system_arrays()[name]["neighbor"])
        for name, array in arrays.items()
    ):
        # nor other species
        return
    for where, plain in rows(arrays, function.core):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = function.reference(**plain)
        if expected is None:
            continue
        found = result.isel({dim: k for dim, k in where.items() if dim in result.dims}).transpose(*function.out).values
        np.testing.assert_allclose(found, expected, rtol=function.rtol, atol=function.rtol, equal_nan=True)


SETTINGS = settings(
    max_examples=EXAMPLES,
    deadline=None,
    phases=PHASES,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.mark.parametrize("name", FUNCTIONS)
@SETTINGS
@given(data=st.data())
def test_what_is_the_same_data_gives_the_same_numbers(name, data):
    function = FUNCTIONS[name]
    whole = system_arrays()
    arrays = {key: whole[key] for key in function.core}
    harmless = HARMLESS
    if "position" in arrays:
        arrays, absent = with_gaps(data.draw, arrays)
        # which particle is absent is said of a system, and by label
        harmless = tuple(what for what in HARMLESS if not absent or what not in ("one_system", "unlabelled"))
    for key in arrays:
        for what in data.draw(st.lists(st.sampled_from(harmless), max_size=3), label=key):
            dims = [dim for dim in arrays[key].dims if not (key in ("G", "g") and dim == "neighbor")]
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
    whole = system_arrays()
    arrays = {key: whole[key] for key in function.core}
    for key in arrays:
        for what in data.draw(st.lists(st.sampled_from(HARMLESS + 2 * HARMFUL), max_size=2), label=key):
            # distances between whole numbers lie on the edges of bins
            if not isinstance(arrays[key], xr.DataArray) or (what, name) == ("whole", "radial_distribution"):
                continue
            dims = arrays[key].dims
            dim = data.draw(st.sampled_from(dims)) if dims else None
            arrays[key] = distorted(data.draw, arrays[key], what, dim)
    result = outcome(function, arrays)
    if isinstance(result, DaskglassError):
        return
    assert_equals_brute_force(function, arrays, result)


@pytest.mark.long
def test_no_array_reaches_memory_beyond_its_own():
    """The claims above, with kernels that check every index."""
    command = [sys.executable, "-m", "pytest", "-n", "0", "-q", "-m", "not long", __file__]
    done = subprocess.run(
        command,
        cwd=Path(__file__).parents[1],
        env={**os.environ, "NUMBA_BOUNDSCHECK": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


# --- words of errors -----------------------------------------------------------------------------------------------


def few():
    arrays = system_arrays()
    return arrays["position"], arrays["species"], arrays["box"]


@pytest.mark.parametrize("plain", [np.asarray, lambda x: x.values.tolist(), lambda x: pd.Series(x.values.ravel())])
def test_an_array_without_names_is_refused_with_the_lines_that_give_it_some(plain):
    position, species, box = few()
    with pytest.raises(
        DataError, match=r"import xarray as xr\n    species = xr\.DataArray\(species, dims=\"particle\""
    ):
        dg.structure_functions(position, plain(species), box)
    with pytest.raises(
        DataError, match=r"    position = xr\.DataArray\(position, dims=\(\"time\", \"particle\", \"xyz\"\)"
    ):
        dg.mean_squared_displacement(plain(position), species)


def test_a_dataset_is_refused_with_the_names_of_its_variables():
    position, species, _ = few()
    with pytest.raises(DataError, match=r"position is a whole Dataset: give one of its variables \['inherent'\]"):
        dg.mean_squared_displacement(position.to_dataset(name="inherent"), species)


def test_lengths_that_differ_are_named_with_their_arrays():
    position, species, box = few()
    with pytest.raises(DataError, match="particle differs: position has 24, species has 23"):
        dg.structure_functions(position, species.isel(particle=slice(23)), box)


def test_labels_that_differ_are_named_with_their_arrays():
    position, species, box = few()
    with pytest.raises(DataError, match=r"labels of time differ between position and box: box has no label 0\.0"):
        dg.structure_functions(position, species, box.assign_coords(time=box.time + 0.5))


def test_labels_are_not_dropped_where_arrays_are_added():
    D = xr.DataArray([1.0, 2.0], dims="temperature", coords={"temperature": [0.5, 0.6]})
    rho = xr.DataArray([1.2, 1.2], dims="temperature", coords={"temperature": [0.6, 0.7]})
    with pytest.raises(DataError, match="labels of temperature differ between D and density"):
        dg.reduced_diffusivity(D, rho, 0.5)


def test_dynamics_refuse_codes_without_a_name_as_structure_does():
    position, species, _ = few()
    species[0, 3] = 7
    with pytest.raises(DataError, match=r"particle 3: species code 7 has no name among \['A', 'B'\]"):
        dg.mean_squared_displacement(position, species)


def test_a_particle_with_a_position_but_no_species_is_refused():
    position, species, box = few()
    species[0, 3] = -1
    for function in (dg.mean_squared_displacement, lambda *a: dg.structure_functions(*a, box, MU, WIDTH)):
        with pytest.raises(DataError, match="particle 3: species code -1 has no name"):
            function(position, species)


def test_times_are_numbers_that_rise():
    position, species, _ = few()
    for wrong in (position.isel(time=slice(None, None, -1)), position.isel(time=[0, 2, 1])):
        with pytest.raises(DataError, match="times of frames must rise strictly"):
            dg.hop_indicator(wrong, 2.0)
    with pytest.raises(DataError, match="time must be numbers, in τ"):
        dg.mean_squared_displacement(position.assign_coords(time=pd.date_range("2020", periods=FRAMES)), species)


@pytest.mark.parametrize("wrong", [[0.0, 1.0, 1.0], [0.0, np.nan, 1.0], ["a", "b", "c"]])
def test_labels_that_are_not_numbers_each_once_are_refused(wrong):
    F = xr.DataArray([1.0, 0.5, 0.1], dims="lag", coords={"lag": wrong})
    for function in (dg.relaxation_time, dg.diffusivity):
        with pytest.raises(DataError, match="lag of"):
            function(F)
        with pytest.raises(DataError, match="needs a one-dimensional coordinate lag"):
            function(F.drop_vars("lag"))


def test_scattering_of_missing_frames_alone_is_unknown():
    position, species, _ = few()
    gone = position.isel(system=0) * np.nan
    assert dg.scattering_function(gone, species.isel(system=0), lags=LAGS).isnull().all()


def test_frames_that_are_missing_leave_the_average_of_those_that_exist():
    position, species, _ = few()
    position, species = position.isel(system=0), species.isel(system=0)
    for function in (dg.scattering_function, dg.mean_squared_displacement):
        kept = function(position.isel(time=slice(0, 9)), species, lags=LAGS)
        gone = function(position.where(position.time < 9), species, lags=LAGS)
        np.testing.assert_allclose(gone, kept, rtol=1e-12)


@pytest.mark.parametrize("value", [np.nan, np.inf, "x", None, [1.0]])
def test_single_numbers_are_finite_numbers(value):
    position, species, box = few()
    for call in (
        lambda: dg.hop_indicator(position, value),
        lambda: dg.scattering_function(position, species, q=value),
        lambda: dg.structure_functions(position, species, box, width=value),
        lambda: dg.radial_distribution(position, species, box, r_max=value),
        lambda: dg.rearrangement_labels(system_arrays()["hop_values"], species, soft=value),
        lambda: dg.recall_precision(system_arrays()["values"], system_arrays()["values"], value),
    ):
        with pytest.raises(DataError, match="must be"):
            call()


# --- tables --------------------------------------------------------------------------------------------------------


def counted():
    rng = np.random.default_rng(3)
    dims = ("temperature", "replica", "time", "stratum")
    T = np.array([0.5, 0.6, 0.7, 0.8])
    samples = np.full((4, 2, 6, 3), 4000)
    P = np.exp(np.array([4.0, 3.0, 2.0]) - np.array([4.0, 3.3, 2.6]) / T[:, None])
    events = rng.binomial(samples, np.broadcast_to(P[:, None, None], samples.shape))
    labels = {"temperature": T, "replica": [0, 1], "time": np.arange(6.0), "stratum": [0.0, 1.0, 2.0]}
    return xr.Dataset({"samples": (dims, samples), "events": (dims, events)}, labels)


def fits(counts):
    P = barriers.probability_of(counts)
    fit = dg.arrhenius(P)
    onset = dg.onset_temperature(fit)
    spread = dg.bootstrap(counts, 4, 0, 2)
    return xr.merge([fit, onset.reset_coords(drop=True), dg.collapse(fit, onset), spread], compat="override")


@pytest.mark.parametrize("change", [
    lambda counts: counts.isel(temperature=[2, 0, 3, 1]),
    lambda counts: counts.isel(time=[5, 3, 0, 1, 2, 4]),
    lambda counts: counts.transpose("stratum", "time", "temperature", "replica"),
    lambda counts: counts.astype(">f8"),
    lambda counts: counts.astype(np.float32),
    lambda counts: counts.chunk(temperature=1, time=2),
])  # fmt: skip
def test_barriers_do_not_depend_on_how_counts_are_laid_out(change):
    expected = fits(counted())
    found = fits(change(counted())).compute().sortby("temperature")
    for name, values in expected.items():
        np.testing.assert_allclose(found[name].transpose(*values.dims), values, rtol=1e-8)


@pytest.mark.parametrize("nothing", [-1, np.nan])
def test_counts_that_are_missing_count_nothing(nothing):
    counts = counted()
    gone = counts.where((counts.replica == 0) | (counts.temperature != 0.6), nothing)
    alone = counts.sel(replica=[0], temperature=[0.6])
    P = barriers.probability_of(gone).probability
    np.testing.assert_array_equal(P.sel(temperature=[0.6]), barriers.probability_of(alone).probability)
    none = barriers.probability_of(counts.where(counts.temperature != 0.6, nothing))
    assert none.probability.sel(temperature=0.6).isnull().all()
    kept = dg.arrhenius(barriers.probability_of(counts.sel(temperature=[0.5, 0.7, 0.8])))
    xr.testing.assert_allclose(dg.arrhenius(none), kept, rtol=1e-12)


@pytest.mark.parametrize("wrong", [[0.5, 0.6, 0.6, 0.7], [0.0, 0.5, 0.6, 0.7], [np.nan, 0.5, 0.6, 0.7], list("abcd")])
def test_temperatures_are_positive_numbers_each_once(wrong):
    P = barriers.probability_of(counted()).assign_coords(temperature=wrong)
    for function in (dg.arrhenius, dg.supercooled):
        with pytest.raises(DataError, match="temperature"):
            function(P)
        with pytest.raises(DataError, match="needs a one-dimensional coordinate temperature"):
            function(P.drop_vars("temperature"))


def test_a_table_without_a_variable_is_refused_by_its_name():
    P = barriers.probability_of(counted())
    with pytest.raises(DataError, match="P lacks probability"):
        dg.arrhenius(P.drop_vars("probability"))
    with pytest.raises(DataError, match=r"P must be an xarray\.Dataset of probability and events; got DataArray"):
        dg.arrhenius(P.probability)
    with pytest.raises(DataError, match="fit lacks activation_entropy"):
        dg.onset_temperature(dg.arrhenius(P).drop_vars("activation_entropy"))


@pytest.mark.parametrize("dtype", [np.float64, np.float16, ">f4", ">f8"])
def test_strata_do_not_depend_on_the_type_of_the_values(dtype):
    values = xr.DataArray(np.random.default_rng(0).normal(0, 2, 5000).astype(np.float16).astype(dtype), dims="particle")
    expected = stratum_edges(value_histogram(values.values.astype(float)), 5, (5.0, 95.0))
    np.testing.assert_array_equal(dg.strata(values), expected)
    np.testing.assert_array_equal(dg.strata(values.chunk(particle=777)), expected)


@pytest.mark.parametrize("percentiles", [(95.0, 5.0), (-1.0, 50.0), (5.0, 101.0), (np.nan, 95.0)])
def test_percentiles_rise_between_0_and_100(percentiles):
    with pytest.raises(DataError, match="percentiles"):
        dg.strata(xr.DataArray(np.arange(100.0), dims="particle"), percentiles=percentiles)


def test_bootstrapped_errors_are_those_of_a_sample():
    counts = counted()
    # of two resamples: the difference over √2
    units = np.random.default_rng(5).integers(6, size=(2, 4, 6))
    blocks = counts.coarsen(time=2).sum().stack(unit=("replica", "time")).transpose("temperature", "unit", "stratum")
    events, samples = blocks.events.values, blocks.samples.values
    P = [
        np.stack([events[T, chosen[T]].sum(axis=0) / samples[T, chosen[T]].sum(axis=0) for T in range(4)])
        for chosen in units
    ]
    found = dg.bootstrap(counts, 2, 5, 2).probability_err.transpose("temperature", "stratum")
    np.testing.assert_allclose(found, np.abs(P[0] - P[1]) / np.sqrt(2), rtol=1e-9)
