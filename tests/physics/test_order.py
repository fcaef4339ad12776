"""Bond-orientational order against brute force without spherical harmonics, known crystals, and rotations."""

import itertools

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

import daskglass as dg
from daskglass.errors import DataError
from tests import references
from tests.conftest import particles

SHELLS = np.round(np.arange(0.9, 2.51, 0.2), 10)


def order(run, degree=6, distances=SHELLS, width=0.1):
    return dg.bond_order(run.position, run.species, run.box, degree, distances, width)


def crystal(basis, constant=1.6, cells=5):
    corners = np.array(list(itertools.product(range(cells), repeat=3)))[:, None]
    sites = ((corners + np.array(basis)) * constant).reshape(-1, 3)
    return particles(sites, np.zeros(len(sites), np.int8), [cells * constant] * 3, names=["A"])


def cluster(bonds, box=20.0):
    """A particle in the middle of a large box, and others around it."""
    x = np.concatenate([np.zeros((1, 3)), bonds]) + box / 2
    return particles(x, np.zeros(len(x), np.int8), [box] * 3, names=["A"])


# --- brute force ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("degree", [0, 1, 2, 3, 4, 6, 9, 12])
def test_the_order_of_every_shell_is_that_of_brute_force(small, degree):
    found = order(small, degree)
    for t in range(2):
        expected = references.bond_order(small.position.values[t], small.box.values, degree, SHELLS, 0.1)
        np.testing.assert_allclose(found[t], expected, rtol=1e-6, atol=1e-6)


def test_the_order_of_a_real_frame_is_that_of_brute_force(frame):
    few = frame.sel(particle=np.flatnonzero((frame.position % frame.box < 7.6).all("xyz")))
    run = few.assign(box=("xyz", [100.0] * 3), position=few.position % frame.box)
    expected = references.bond_order(run.position.values, run.box.values, 6, SHELLS, 0.1)
    np.testing.assert_allclose(order(run), expected, rtol=1e-6, atol=1e-6)


def test_shells_may_be_of_any_width_and_in_any_order(small):
    distances = [2.0, 0.7, 1.1]
    for width in (0.02, 0.3):
        expected = references.bond_order(small.position.values[0], small.box.values, 5, distances, width)
        found = order(small.isel(time=0), 5, distances, width)
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
        assert list(found.distance.values) == distances


def test_high_degrees_stay_numbers():
    rng = np.random.default_rng(0)
    bonds = np.concatenate([rng.normal(size=(20, 3)), [[0, 0, 1.0], [0, 0, -1.0], [1e-9, 0, 1.0], [1.0, 0, 0]]])
    run = cluster(bonds / np.linalg.norm(bonds, axis=1, keepdims=True))
    for degree in (20, 50, 100):
        expected = references.bond_order(run.position.values, run.box.values, degree, [1.0], 0.1)
        np.testing.assert_allclose(order(run, degree, [1.0])[0], expected[0], rtol=1e-6, atol=1e-6)


# --- closed forms --------------------------------------------------------------------------------------------------

FCC = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]
GOLDEN = (1 + np.sqrt(5)) / 2
ICOSAHEDRON = np.array([
    np.roll([0, a, b * GOLDEN], k) for a in (-1, 1) for b in (-1, 1) for k in range(3)
]) / np.sqrt(1 + GOLDEN**2)  # fmt: skip


@pytest.mark.parametrize(
    ("basis", "nearest", "Q_4", "Q_6"),
    [
        (FCC, np.sqrt(0.5), 0.19094, 0.57452),
        ([[0, 0, 0]], 1.0, 0.76376, 0.35355),
        # eight nearest neighbours alone
        ([[0, 0, 0], [0.5, 0.5, 0.5]], np.sqrt(0.75), 0.50918, 0.62854),
    ],
    ids=["fcc", "simple cubic", "bcc"],
)
def test_the_nearest_shells_of_crystals_have_the_order_in_the_books(basis, nearest, Q_4, Q_6):
    # so narrow that no other shell has a share
    run, d = crystal(basis), 1.6 * nearest
    for degree, expected in ((4, Q_4), (6, Q_6)):
        np.testing.assert_allclose(order(run, degree, [d], 0.02), expected, atol=6e-6)


def test_an_icosahedron_has_the_order_in_the_books():
    run = cluster(ICOSAHEDRON)
    for degree, expected in ((2, 0.0), (4, 0.0), (6, 0.66332), (8, 0.0), (10, 0.36295)):
        assert float(order(run, degree, [1.0])[0, 0]) == pytest.approx(expected, abs=6e-6)


@pytest.mark.parametrize("degree", [1, 2, 5, 6])
def test_one_bond_is_in_perfect_order_and_two_opposite_ones_in_even_degrees(degree):
    bond = np.array([0.3, -0.5, 0.8])
    bond /= np.linalg.norm(bond)
    one, two = (order(cluster(bonds), degree, [1.0])[0, 0] for bonds in ([bond], [bond, -bond]))
    assert float(one) == pytest.approx(1, abs=1e-6)
    assert float(two) == pytest.approx(1 - degree % 2, abs=1e-6)


def test_a_neighbor_counts_by_the_gaussian_of_its_distance():
    # of bonds along x and y: Q_1 = √(g_x² + g_y²) / (g_x + g_y)
    run = cluster([[1.0, 0, 0], [0, 1.15, 0]])
    g = np.exp(-0.5 * ((np.array([1.0, 1.15]) - 1.05) / 0.1) ** 2)
    assert float(order(run, 1, [1.05])[0, 0]) == pytest.approx(np.hypot(*g) / g.sum(), rel=1e-6)


def test_a_neighbor_counts_up_to_five_widths():
    run = cluster([[1.499, 0, 0]])
    assert float(order(run, 6, [1.0])[0, 0]) == pytest.approx(1, abs=1e-6)
    assert order(cluster([[1.501, 0, 0]]), 6, [1.0]).isnull().all()


def test_degree_zero_has_no_directions(small):
    found = order(small, 0)
    np.testing.assert_allclose(found.where(found.notnull(), 1.0), 1.0, rtol=1e-6)


# --- symmetries ----------------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 9999), degree=st.sampled_from([1, 4, 6, 9]))
def test_a_rotation_by_any_angle_changes_nothing(seed, degree):
    rng = np.random.default_rng(seed)
    bonds = rng.uniform(-2, 2, (40, 3))
    turned = Rotation.random(random_state=seed).apply(bonds)
    found, expected = order(cluster(turned), degree), order(cluster(bonds), degree)
    # shells whose few neighbours lie at the limit of five widths
    shells = ~(found.isnull() | expected.isnull())
    assert shells.sum() > 100
    np.testing.assert_allclose(found.values[shells], expected.values[shells], rtol=0, atol=1e-6)


def test_nothing_changes_under_translation_and_wrapping(small):
    small = small.assign(position=small.position.astype(float))
    for position in (small.position + np.array([1.3, -0.7, 2.9]), small.position % small.box):
        np.testing.assert_allclose(order(small.assign(position=position)), order(small), atol=1e-6)


def test_the_order_follows_a_permutation_of_the_particles(small):
    other = np.random.default_rng(1).permutation(small.sizes["particle"])
    np.testing.assert_allclose(order(small.isel(particle=other)), order(small)[:, other], atol=1e-6)


# --- dimensions, laziness, what is missing -------------------------------------------------------------------------


@pytest.mark.parametrize("frames", [1, 2])
def test_the_order_is_lazy_and_equal_to_the_bit_for_any_chunks(small, frames):
    lazy = order(small.chunk(time=frames, particle=100))
    assert lazy.chunks is not None
    np.testing.assert_array_equal(lazy.values, order(small))


def test_the_result_says_what_it_is(small):
    found = order(small)
    assert found.dims == ("time", "particle", "distance")
    assert found.name == "bond_order"
    assert found.dtype == np.float32
    assert (found.attrs["degree"], found.attrs["width"]) == (6, 0.1)
    assert found.distance.attrs["units"] == "sigma"


def test_what_is_missing_is_nan_and_nobodys_neighbor(small):
    run = small.copy(deep=True)
    run.position[:, 11], run.species[11], run.position[1] = np.nan, -1, np.nan
    others = np.delete(np.arange(run.sizes["particle"]), 11)
    found = order(run)
    assert found[:, 11].isnull().all()
    assert found[1].isnull().all()
    np.testing.assert_array_equal(found[[0, 2]][:, others], order(small.isel(time=[0, 2], particle=others)))


def test_a_shell_without_neighbors_has_no_order():
    run = cluster([[1.0, 0, 0], [0, 1.0, 0]])
    found = order(run, 6, [1.0, 3.0])
    assert found.isel(distance=0).notnull().all()
    assert found.isel(distance=1).isnull().all()


def test_a_neighbor_at_the_same_place_lies_in_no_direction():
    run = cluster([[0.0, 0, 0], [0, 1.0, 0]])
    assert order(run, 6, [0.4], 0.1)[:2].isnull().all()
    assert order(run, 6, [1.0], 0.1)[:2].notnull().all()


# --- bad input -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("degree", [-1, 101, 1.5, "6", None, np.nan])
def test_a_degree_is_a_whole_number(small, degree):
    with pytest.raises(DataError, match="degree must be a"):
        order(small, degree)


@pytest.mark.parametrize("width", [0.0, -0.1, np.inf, "0.1"])
def test_a_width_is_a_positive_number(small, width):
    with pytest.raises(DataError, match="width must be"):
        order(small, width=width)


@pytest.mark.parametrize("distances", [[], 1.0, [[1.0]], [1.0, 1.0], [1.0, np.nan], ["1"], [0.0, 1.0], [-1.0]])
def test_distances_are_positive_numbers_each_once(small, distances):
    with pytest.raises(DataError, match="distances"):
        order(small, distances=distances)


def test_a_box_too_short_for_the_farthest_shell_is_refused(small):
    with pytest.raises(DataError, match=r"box edge 7\.2000 σ is too short for distances up to 3\.7000 σ"):
        order(small, distances=[3.2])


def test_a_position_that_is_not_finite_is_refused_by_frame_and_particle(small):
    run = small.copy(deep=True)
    run.position[2, 7, 1] = np.nan
    with pytest.raises(DataError, match=r"frame \(2,\), particle 7: position is not finite"):
        order(run)


def test_a_species_code_without_a_name_is_refused_by_particle(small):
    with pytest.raises(DataError, match="particle 0: species code 5 has no name"):
        order(small.assign(species=xr.full_like(small.species, 5)))
