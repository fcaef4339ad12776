"""Local density and averages over neighbourhoods against brute force, closed forms and symmetries."""

import numpy as np
import pytest
import xarray as xr

import daskglass as dg
from daskglass.errors import DataError
from daskglass.kernels.neighborhood import exp_minus
from tests import references
from tests.conftest import mixture, particles


def density(run, **options):
    return dg.local_density(run.position, run.species, run.box, **{"cutoff": 3.5, **options})


def average(run, x, **options):
    return dg.neighborhood_average(x, run.position, run.box, **options)


def of_particles(run, *more, seed=0, dtype=np.float64):
    """Random quantity over the frames and particles of a run, and other dimensions of these lengths."""
    lead = run.position.shape[:-1]
    values = np.random.default_rng(seed).normal(2, 1, (*lead, *more)).astype(dtype)
    return xr.DataArray(values, dims=(*run.position.dims[:-1], *(f"feature_{k}" for k in range(len(more)))))


def chain(spacing=1.5):
    return particles([[spacing * k, 0, 0] for k in range(3)], np.array([0, 1, 0], np.int8), [10.0] * 3)


# --- brute force ---------------------------------------------------------------------------------------------------


def test_the_density_of_a_real_frame_is_that_of_brute_force(frame):
    rho = dg.local_density(frame.position, frame.species, frame.box)
    expected = references.local_density(frame.position.values, frame.box.values, 4.5)
    np.testing.assert_allclose(rho, expected, rtol=1e-12)
    assert rho.attrs["cutoff"] == 4.5


@pytest.mark.parametrize("cutoff", [0.7, 2.1, 3.6])
def test_the_density_of_any_cut_off_is_that_of_brute_force(small, cutoff):
    for t in range(3):
        expected = references.local_density(small.position.values[t], small.box.values, cutoff)
        np.testing.assert_allclose(density(small, cutoff=cutoff)[t], expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("cutoff", [0.7, 2.1, 3.6])
def test_averages_of_any_shape_are_those_of_brute_force(small, cutoff, dtype):
    for more in ((), (1,), (2, 27), (3, 1, 2)):
        x = of_particles(small, *more, dtype=dtype)
        found = average(small, x, cutoff=cutoff)
        assert found.dtype == dtype
        assert found.dims == x.dims
        for t in range(3):
            expected = references.neighborhood_average(x.values[t], small.position.values[t], small.box.values, cutoff)
            limit = 3e-6 if dtype == np.float32 else 1e-12
            np.testing.assert_allclose(found[t], expected, rtol=limit, atol=limit)


def test_averages_of_a_real_frame_are_those_of_brute_force(frame):
    G = dg.structure_functions(frame.position, frame.species, frame.box, centers=frame.species >= 0)
    expected = references.neighborhood_average(G.values, frame.position.values, frame.box.values, 2.1)
    np.testing.assert_allclose(average(frame, G), expected, rtol=1e-5, atol=1e-6)


# --- closed forms --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("x", [0.0, 1e-300, 1e-9, 0.3, 1.0, 12.5, 31.0, 63.9])
def test_exponentials_are_those_of_numpy(x):
    assert exp_minus(x) == pytest.approx(np.exp(-x), rel=1e-13)


@pytest.mark.parametrize("x", [64.1, 1e5, np.inf])
def test_far_exponentials_vanish(x):
    assert 0 <= exp_minus(x) < 1e-27


def test_generations_of_a_chain_of_three_follow_by_hand():
    x, w = np.array([1.0, 2.0, 5.0]), np.exp(-1.5 / 2.1)
    found = xr.DataArray(x, dims="particle")
    for generation in range(1, 5):
        x = np.array([
            (x[0] + w * x[1]) / (1 + w),
            (x[1] + w * (x[0] + x[2])) / (1 + 2 * w),
            (x[2] + w * x[1]) / (1 + w),
        ])  # fmt: skip
        found = average(chain(), found)
        np.testing.assert_allclose(found, x, rtol=1e-13)
        assert found.attrs["generation"] == generation


def test_the_average_of_a_constant_is_the_constant(small):
    for dtype, rtol in ((np.float64, 1e-14), (np.float32, 1e-6)):
        x = xr.full_like(of_particles(small, 2, dtype=dtype), 3.7)
        np.testing.assert_allclose(average(small, x), x, rtol=rtol)


def test_a_particle_alone_has_no_density_and_is_its_own_average():
    run = chain(spacing=3.0)
    x = of_particles(run)
    np.testing.assert_array_equal(average(run, x), x)
    np.testing.assert_array_equal(density(run, cutoff=2.9), 0.0)


def test_a_neighbor_at_the_cut_off_is_none():
    run = chain(spacing=2.0)
    x = of_particles(run)
    np.testing.assert_array_equal(average(run, x, cutoff=2.0), x)
    assert (density(run, cutoff=2.0) == 0).all()
    assert (average(run, x, cutoff=2.0 + 1e-9) != x).all()


def test_neighbors_are_found_across_the_walls_of_the_box():
    run = particles([[0.2, 5, 5], [9.7, 5, 5]], np.zeros(2, np.int8), [10.0] * 3)
    np.testing.assert_allclose(density(run), np.exp(-0.25), rtol=1e-12)
    w = np.exp(-0.5 / 2.1)
    np.testing.assert_allclose(average(run, xr.DataArray([1.0, 0.0], dims="particle"))[0], 1 / (1 + w), rtol=1e-12)


def test_an_average_is_the_weighted_sum_that_the_density_counts(small):
    # of weights e^{−r/2} both
    x = of_particles(small)
    everyone = average(small, xr.ones_like(x), cutoff=2.0)
    one = xr.zeros_like(x)
    one[:, 7] = 1.0
    np.testing.assert_allclose(everyone, 1.0, rtol=1e-14)
    np.testing.assert_allclose(
        average(small, one, cutoff=2.0)[:, 7], 1 / (1 + density(small, cutoff=2.0)[:, 7]), rtol=1e-12
    )


# --- symmetries ----------------------------------------------------------------------------------------------------


@pytest.fixture
def moved(small):
    """Pairs of runs that are the same but for a shift, wrapping, a turn by a right angle."""
    small = small.assign(position=small.position.astype(float))
    shifted = small.assign(position=small.position + np.array([1.3, -0.7, 2.9]))
    wrapped = small.assign(position=small.position % small.box)
    turned = small.assign(position=small.position[..., [1, 0, 2]] * [-1, 1, 1], box=small.box[[1, 0, 2]])
    return small, (shifted, wrapped, turned)


def test_nothing_changes_under_translation_wrapping_and_rotation(moved):
    small, others = moved
    x = of_particles(small, 2)
    for other in others:
        np.testing.assert_allclose(density(other), density(small), rtol=1e-9)
        np.testing.assert_allclose(average(other, x), average(small, x), rtol=1e-9)


def test_results_follow_a_permutation_of_the_particles(small):
    order = np.random.default_rng(1).permutation(small.sizes["particle"])
    other, x = small.isel(particle=order), of_particles(small, 2)
    np.testing.assert_allclose(density(other), density(small)[:, order], rtol=1e-12)
    np.testing.assert_allclose(average(other, x[:, order]), average(small, x)[:, order], rtol=1e-12)


def test_species_do_not_matter_to_either(small):
    run = small.assign(species=("particle", 1 - small.species.values, small.species.attrs))
    np.testing.assert_array_equal(density(run), density(small))


# --- dimensions, laziness, labels ----------------------------------------------------------------------------------


@pytest.mark.parametrize("frames", [1, 2])
def test_both_are_lazy_and_equal_to_the_bit_for_any_chunks(small, frames):
    x = of_particles(small, 2, 3)
    lazy = small.chunk(time=frames, particle=100)
    for found, expected in (
        (density(lazy), density(small)),
        (average(lazy, x), average(small, x)),
        (average(small, x.chunk(time=frames, feature_0=1, particle=77)), average(small, x)),
    ):
        assert found.chunks is not None
        np.testing.assert_array_equal(found.values, expected)


def test_one_quantity_is_averaged_at_the_positions_of_every_frame(small):
    x = of_particles(small, 2).isel(time=0)
    found = average(small, x)
    assert found.dims == ("time", "particle", "feature_0")
    for t in range(3):
        np.testing.assert_array_equal(found[t], average(small.isel(time=t), x))


def test_quantities_of_other_leading_dimensions_are_averaged_one_by_one(small):
    run = small.isel(time=0)
    x = of_particles(small).rename(time="moment")
    found = average(run, x)
    for t in range(3):
        np.testing.assert_allclose(found.isel(moment=t), average(run, x.isel(moment=t)), rtol=1e-14)


def test_a_vector_is_averaged_component_by_component(small):
    x = of_particles(small, 3).rename(feature_0="xyz")
    found = average(small, x)
    assert found.dims == ("time", "particle", "xyz")
    np.testing.assert_allclose(found[..., 1], average(small, x[..., 1].rename("y")), rtol=1e-14)


def test_an_average_keeps_name_units_and_labels_of_what_is_averaged(small):
    G = dg.structure_functions(small.position, small.species, small.box, centers=small.species >= 0)
    found = average(small, average(small, G))
    assert found.name == "G"
    assert found.attrs == {**G.attrs, "generation": 2}
    xr.testing.assert_equal(found.mu, G.mu)
    assert list(found.neighbor.values) == ["A", "B"]


# --- what is missing -----------------------------------------------------------------------------------------------


def test_a_missing_frame_is_nan_alone(small):
    run, x = small.copy(deep=True), of_particles(small, 2)
    run.position[1] = np.nan
    for found, expected in ((density(run), density(small)), (average(run, x), average(small, x))):
        assert found[1].isnull().all()
        np.testing.assert_array_equal(found[[0, 2]], expected[[0, 2]])


def test_a_quantity_missing_from_a_whole_frame_is_nan_there_alone(small):
    x = of_particles(small, 2)
    expected = average(small, x)
    x[1, :, 0] = np.nan
    found = average(small, x)
    assert found[1, :, 0].isnull().all()
    np.testing.assert_array_equal(found[1, :, 1], expected[1, :, 1])
    np.testing.assert_array_equal(found[[0, 2]], expected[[0, 2]])


def test_a_particle_that_is_not_there_is_nobodys_neighbor(small):
    run, x = small.copy(deep=True), of_particles(small, 2)
    run.position[:, 11], run.species[11], x[:, 11] = np.nan, -1, np.nan
    others = np.delete(np.arange(run.sizes["particle"]), 11)
    alone = small.isel(particle=others)
    for found, expected in ((density(run), density(alone)), (average(run, x), average(alone, x[:, others]))):
        assert found[:, 11].isnull().all()
        np.testing.assert_array_equal(found[:, others], expected)


# --- bad input -----------------------------------------------------------------------------------------------------


def test_a_quantity_of_one_species_is_refused_with_the_way_out(small):
    G = dg.structure_functions(small.position, small.species, small.box)
    b = int(np.flatnonzero(small.species == 1)[0])
    with pytest.raises(DataError, match=rf"frame \(0,\), particle {b}: x is NaN, .*centers=species >= 0"):
        average(small, G)


def test_a_single_value_that_is_missing_is_refused_by_frame_and_particle(small):
    x = of_particles(small, 2)
    x[2, 7, 1] = np.nan
    with pytest.raises(DataError, match=r"frame \(2,\), particle 7: x is NaN"):
        average(small, x)
    with pytest.raises(DataError, match=r"^particle 7: x is NaN"):
        average(small.isel(time=2), x[2])


def test_a_value_without_a_position_is_refused(small):
    run, x = small.copy(deep=True), of_particles(small)
    run.position[2, 7] = np.nan
    with pytest.raises(DataError, match=r"frame \(2,\), particle 7: x has a value, but position is NaN"):
        average(run, x)


def test_a_position_that_is_not_finite_is_refused_by_frame_and_particle(small):
    run, x = small.copy(deep=True), of_particles(small)
    run.position[2, 7, 1] = np.nan
    for call in (lambda: density(run), lambda: average(run, x)):
        with pytest.raises(DataError, match=r"frame \(2,\), particle 7: position is not finite"):
            call()


def test_a_box_shorter_than_two_cut_offs_is_refused(small):
    with pytest.raises(DataError, match=r"box edge 7\.2000 σ is too short for distances up to 4\.5000 σ"):
        dg.local_density(small.position, small.species, small.box)
    with pytest.raises(DataError, match=r"too short for distances up to 3\.7"):
        average(small, of_particles(small), cutoff=3.7)


@pytest.mark.parametrize("cutoff", [0.0, -1.0, np.nan, np.inf, "2.1", None])
def test_a_cut_off_must_be_a_positive_number(small, cutoff):
    for call in (lambda: density(small, cutoff=cutoff), lambda: average(small, of_particles(small), cutoff=cutoff)):
        with pytest.raises(DataError, match="cutoff must be"):
            call()


def test_a_quantity_of_other_particles_is_refused(small):
    with pytest.raises(DataError, match="particle differs: x has 503, position has 504"):
        average(small, of_particles(small).isel(particle=slice(503)))


def test_a_species_code_without_a_name_is_refused_by_particle():
    run = mixture(0)
    run.species[11] = 2
    with pytest.raises(DataError, match="particle 11: species code 2 has no name"):
        density(run)
