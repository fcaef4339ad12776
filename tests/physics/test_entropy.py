"""Pair excess entropy, of liquids and of single particles, against brute force and closed forms."""

import numpy as np
import pytest
import xarray as xr

import daskglass as dg
from daskglass.errors import DataError
from daskglass.kernels.entropy import LEAST, logarithms
from daskglass.physics.structure import MU, WIDTH
from tests import references
from tests.conftest import mixture, particles


def functions(run, **options):
    return dg.structure_functions(run.position, run.species, run.box, **options)


def radial(g, fraction, step=0.02):
    """g(r) (neighbor, r) on the middles of bins, with the fractions of the species."""
    g = np.atleast_2d(g)
    r = (np.arange(g.shape[1]) + 0.5) * step
    return xr.DataArray(
        g, dims=("neighbor", "r"), coords={"r": r, "fraction": ("neighbor", np.asarray(fraction, float))}
    )


# --- of a liquid ---------------------------------------------------------------------------------------------------


def test_excess_entropy_of_a_real_frame_is_the_sum_written_out(frame):
    g = dg.radial_distribution(frame.position, frame.species, frame.box)
    expected, r = 0.0, g.r.values
    for K, density in enumerate(1.2 * np.array([3277, 819]) / 4096):
        terms = [x * np.log(x) - x + 1 if x > 0 else 1.0 for x in g.values[K]]
        expected += -2 * np.pi * density * (terms * r**2).sum() * 0.02
    assert float(dg.excess_entropy(g, 1.2)) == pytest.approx(expected, rel=1e-9)


def test_uncorrelated_particles_have_no_excess_entropy():
    assert float(dg.excess_entropy(radial(np.ones((2, 250)), [0.8, 0.2]), 1.2)) == 0


def test_ideal_gas_has_the_excess_entropy_of_its_counting_noise_alone():
    rng = np.random.default_rng(0)
    run = particles(rng.uniform(0, 9, (20, 1000, 3)), np.zeros(1000, np.int8), [9.0] * 3, names=["A"])
    g = dg.radial_distribution(run.position, run.species, run.box, 4.4, bin_width=0.1)
    # g ln g − g + 1 ≈ (g − 1)²/2, and every bin of variance 2/pairs adds as much as any other: −44 / (2 · centres)
    noise = -44 / (2 * 20 * 1000)
    assert abs(float(dg.excess_entropy(g, 1000 / 9**3)) - noise) < abs(noise)


@pytest.mark.parametrize("fraction", [[1.0], [0.8, 0.2], [0.5, 0.3, 0.2]])
def test_an_empty_core_counts_in_the_limit_and_not_when_omitted(fraction):
    core, density = np.array([1.0, 0.8, 0.6])[: len(fraction)], 1.2
    r = (np.arange(250) + 0.5) * 0.02
    g = radial(np.where(r < core[:, None], 0.0, 1.0), fraction)
    expected = -2 * np.pi / 3 * density * (np.array(fraction) * core**3).sum()
    # the middles of the bins make the integral of r² smaller by 1/(4 bins²)
    assert float(dg.excess_entropy(g, density, core="limit")) == pytest.approx(expected, rel=1e-3)
    assert float(dg.excess_entropy(g, density, core="omit")) == 0


def test_rare_pairs_inside_the_core_do_not_bring_it_back_when_omitted():
    g = np.where(np.arange(250) < 50, 0.0, 1.0)
    rare = g.copy()
    rare[45] = 2e-5
    omitted = [float(dg.excess_entropy(radial(x, [1.0]), 1.2, core="omit")) for x in (g, rare)]
    assert omitted[0] == omitted[1]


@pytest.mark.parametrize(("g_45", "core_bins"), [(2.9e-5, 50), (3.1e-5, 49)])
def test_the_core_is_where_g_is_below_3e_5(g_45, core_bins):
    step, r = 0.02, (np.arange(250) + 0.5) * 0.02
    g = np.where(np.arange(250) < 50, 0.0, 1.0)
    g[45] = g_45
    limit, omitted = (float(dg.excess_entropy(radial(g, [1.0]), 1.2, core=core)) for core in ("limit", "omit"))
    empty = np.flatnonzero(g < 1)[:50] if core_bins == 50 else np.delete(np.arange(50), 45)
    assert empty.size == core_bins
    integrand = np.where(g > 0, g * np.log(np.where(g > 0, g, 1)), 0) - g + 1
    assert omitted - limit == pytest.approx(2 * np.pi * 1.2 * (integrand * r**2)[empty].sum() * step, rel=1e-9)


def test_densities_of_the_species_may_be_given_instead_of_fractions(frame):
    g = dg.radial_distribution(frame.position, frame.species, frame.box)
    rho = xr.DataArray(1.2 * np.array([3277, 819]) / 4096, dims="neighbor", coords={"neighbor": ["A", "B"]})
    s2 = dg.excess_entropy(g.drop_vars("fraction"), rho)
    assert float(s2) == pytest.approx(float(dg.excess_entropy(g, 1.2)), rel=1e-12)


def test_a_species_that_is_absent_adds_nothing():
    run = mixture(4, species=1)
    g = dg.radial_distribution(run.position, run.species, run.box, 3.0)
    with_B = run.assign(species=run.species.assign_attrs(names=["A", "B"]))
    g_with_B = dg.radial_distribution(with_B.position, with_B.species, with_B.box, 3.0)
    assert float(dg.excess_entropy(g_with_B, 1.0)) == pytest.approx(float(dg.excess_entropy(g, 1.0)), rel=1e-12)


def test_excess_entropy_around_no_center_is_unknown(small):
    none = xr.zeros_like(small.species, dtype=bool)
    g = dg.radial_distribution(small.position, small.species, small.box, 3.0, centers=none)
    assert np.isnan(dg.excess_entropy(g, 1.0))


def test_excess_entropy_of_replicas_is_that_of_each(small):
    run = xr.concat([small.position, small.position * 0.99], "replica")
    g = dg.radial_distribution(run, small.species, small.box, 3.0)
    s2 = dg.excess_entropy(g, 1.0)
    np.testing.assert_array_equal(s2.values, [float(dg.excess_entropy(g[k], 1.0)) for k in range(2)])


def test_excess_entropy_of_lazy_frames_is_lazy_and_the_same(small):
    g = dg.radial_distribution(small.position, small.species, small.box, 3.0)
    lazy = dg.radial_distribution(small.chunk(time=1).position, small.species, small.box, 3.0)
    s2 = dg.excess_entropy(lazy, 1.0)
    assert s2.chunks is not None
    assert float(s2) == pytest.approx(float(dg.excess_entropy(g, 1.0)), rel=1e-6)


def test_an_unknown_core_is_refused():
    with pytest.raises(DataError, match='core must be "limit" or "omit"; got \'empty\''):
        dg.excess_entropy(radial(np.ones(50), [1.0]), 1.2, core="empty")


def test_a_radial_distribution_without_fractions_is_refused():
    with pytest.raises(DataError, match="g carries no coordinate `fraction`"):
        dg.excess_entropy(radial(np.ones(50), [1.0]).drop_vars("fraction"), 1.2)


# --- of one particle -----------------------------------------------------------------------------------------------


def test_local_entropy_of_a_real_frame_is_the_sum_written_out(frame):
    G = functions(frame)
    A = np.flatnonzero(frame.species.values == 0)[:200]
    expected = references.local_entropy(G.values[A].astype(np.float64), np.array(MU), WIDTH)
    np.testing.assert_allclose(dg.local_excess_entropy(G).values[A], expected, rtol=1e-6)


def test_logarithms_by_vectors_are_those_of_the_library_to_1e_8():
    x = np.exp(np.random.default_rng(0).uniform(np.log(LEAST), 87, 100_000)).astype(np.float32)
    x[:6] = LEAST, 1, 2 / 3, 4 / 3, np.nextafter(np.float32(2 / 3), 0, dtype=np.float32), np.finfo(np.float32).max
    expected = np.log(x.astype(np.float64))
    found = np.empty(x.size)
    logarithms(x, x.view(np.int32), found)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize(("cutoff", "smoothing"), [(1.5, 0.1), (2.5, 2.0)])
def test_local_entropy_follows_its_cutoff(small, cutoff, smoothing):
    G = functions(small).isel(time=0)
    A = small.species.values == 0
    expected = references.local_entropy(G.values[A].astype(np.float64), np.array(MU), WIDTH, cutoff, smoothing)
    np.testing.assert_allclose(dg.local_excess_entropy(G, cutoff, smoothing).values[A], expected, rtol=1e-6)


def test_a_neighbourhood_without_one_species_has_the_local_entropy_of_the_others(small):
    G = functions(small)
    without = G.copy(deep=True)
    without[..., 1, :] = 0
    alone = dg.local_excess_entropy(G.isel(neighbor=[0]).assign_attrs(G.attrs))
    np.testing.assert_array_equal(dg.local_excess_entropy(without).values, alone.values)


def test_a_particle_without_neighbours_has_no_local_entropy():
    run = particles([[1.0, 1, 1]], np.zeros(1, np.int8), [8.0] * 3)
    assert float(dg.local_excess_entropy(functions(run)).item()) == 0


def test_local_entropy_is_proportional_to_the_density_around_the_particle():
    # ĝ is the same whatever the scale of G; ρ* and with it the entropy are proportional to it
    G = functions(mixture(5, frames=1))
    tripled = (G * 3).assign_attrs(G.attrs)
    np.testing.assert_allclose(dg.local_excess_entropy(tripled), 3 * dg.local_excess_entropy(G), rtol=1e-5)


def test_local_entropy_is_nan_on_what_is_no_center(small):
    s2 = dg.local_excess_entropy(functions(small))
    np.testing.assert_array_equal(s2.isnull(), np.broadcast_to(small.species != 0, s2.shape))


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_local_entropy_is_lazy_and_equal_to_the_bit_for_any_chunks(small, frames):
    lazy = dg.local_excess_entropy(functions(small.chunk(time=frames)))
    assert lazy.chunks is not None
    np.testing.assert_array_equal(lazy.values, dg.local_excess_entropy(functions(small)).values)


def test_structure_functions_without_a_width_are_refused(small):
    with pytest.raises(DataError, match=r'must carry attrs\["width"\]'):
        dg.local_excess_entropy(functions(small).drop_attrs())


def test_a_single_radius_is_refused(small):
    with pytest.raises(DataError, match="at least two radii are needed"):
        dg.local_excess_entropy(functions(small, mu=[1.0]))
