"""Structure functions and radial distribution functions against brute force, closed forms and symmetries."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import daskglass as dg
from daskglass.errors import DataError
from daskglass.kernels.structure import SUPPORT, gaussian_expansion
from daskglass.physics.structure import MU, WIDTH, normalize_pairs, pair_counts
from tests import references
from tests.conftest import mixture, particles

NARROW = (0.8, 1.0, 1.2)  # radii that fit into boxes of 3.4 σ
CUT = 4e-6  # what may be missing of one neighbour's term


def functions(run, **options):
    return dg.structure_functions(run.position, run.species, run.box, **options)


def radial(run, r_max=3.0, **options):
    return dg.radial_distribution(run.position, run.species, run.box, r_max, **options)


def expected_functions(run, frame, mu=MU, width=WIDTH, support=np.inf, centers=slice(None)):
    names = run.species.attrs["names"]
    return references.structure_functions(
        run.position.values[frame], run.species.values, names, run.box.values, mu, width, support, centers
    )


def in_time(frame):
    return frame.assign(position=frame.position.expand_dims(time=[0.0]))


def expected_radial(run, r_max=3.0, bins=150, centers=None):
    """Average over frames, each with the same number of centres."""
    species = run.species.values
    chosen = np.broadcast_to(species == 0 if centers is None else centers, run.position.shape[:-1])
    return np.mean(
        [
            references.radial_distribution(
                run.position.values[t], species, len(run.species.attrs["names"]), run.box.values,
                np.linspace(0, r_max, bins + 1), chosen[t],
            )
            for t in range(run.sizes["time"])
        ],
        axis=0,
    )  # fmt: skip


# --- brute force ---------------------------------------------------------------------------------------------------


def test_structure_functions_of_a_real_frame_are_those_of_brute_force(frame):
    run = in_time(frame)
    few = np.random.default_rng(0).choice(np.flatnonzero(frame.species.values == 0), 300, replace=False)
    # `atol`: of the expansion of a Gaussian, which may lack forty times as much
    G = functions(frame).values[few]
    np.testing.assert_allclose(G, expected_functions(run, 0, support=SUPPORT, centers=few), rtol=1e-5, atol=1e-7)


def test_no_neighbour_is_missing_by_more_than_the_tail_of_its_gaussian(small):
    A = small.species.values == 0
    G = functions(small).values
    for t in range(3):
        full = expected_functions(small, t)
        # one neighbour's tail each, of at most 60 in the shells five widths away
        np.testing.assert_allclose(G[t][A], full[A], rtol=1e-5, atol=60 * CUT)


@given(
    box=st.tuples(*[st.floats(3.4, 9.0)] * 3),
    count=st.integers(1, 60),
    seed=st.integers(0, 2**16),
)
def test_structure_functions_are_right_in_any_small_orthorhombic_box(box, count, seed):
    rng = np.random.default_rng(seed)
    run = particles(rng.normal(0, 10, (1, count, 3)), rng.integers(0, 2, count).astype(np.int8), box)
    G = functions(run, mu=NARROW, centers=xr.DataArray(np.ones(count, bool), dims="particle")).values[0]
    np.testing.assert_allclose(G, expected_functions(run, 0, NARROW, WIDTH, SUPPORT), rtol=1e-5, atol=1e-7)


@given(
    first=st.floats(0.3, 1.2),
    step=st.floats(0.02, 0.6),
    count=st.integers(1, 6),
    width=st.floats(0.02, 0.3),
    seed=st.integers(0, 99),
)
def test_structure_functions_are_right_on_any_grid_of_radii(first, step, count, width, seed):
    mu = first + step * np.arange(count)
    edge = 2 * (mu[-1] + SUPPORT * width) + 1e-3
    rng = np.random.default_rng(seed)
    run = particles(rng.uniform(0, edge, (1, 40, 3)), rng.integers(0, 2, 40).astype(np.int8), [edge] * 3)
    G = functions(run, mu=mu, width=width, centers=xr.DataArray(np.ones(40, bool), dims="particle")).values[0]
    np.testing.assert_allclose(G, expected_functions(run, 0, mu, width, SUPPORT), rtol=1e-5, atol=1e-5)


@given(step=st.floats(0.01, 0.6), width=st.floats(0.02, 0.3))
def test_the_expansion_meets_its_gaussian_to_a_ten_millionth_of_the_peak(step, width):
    length, C = gaussian_expansion(step, width)
    assert length <= width * (1 + 1e-12)
    delta = np.linspace(-0.5, 0.5, 41)
    x = (np.arange(len(C))[:, None] - len(C) // 2 + 0.5 + delta) * length / width
    assert -x.min() >= SUPPORT - 1e-9 <= x.max()
    np.testing.assert_allclose(C @ delta ** np.arange(C.shape[1])[:, None], np.exp(-0.5 * x**2), atol=1.5e-7)


def test_structure_functions_hold_in_the_smallest_box_allowed():
    run = mixture(1, box=(7.0, 7.0, 7.0), frames=1)
    A = run.species.values == 0
    np.testing.assert_allclose(
        functions(run).values[0][A], expected_functions(run, 0, support=SUPPORT)[A], rtol=1e-5, atol=1e-7
    )


def test_pair_counts_of_a_real_frame_are_those_of_brute_force(frame):
    run = in_time(frame)
    few = np.random.default_rng(0).permutation(4096) < 400
    g = radial(run, 5.0, centers=xr.DataArray(few, dims="particle"))
    np.testing.assert_allclose(g.values, expected_radial(run, 5.0, 250, few), rtol=1e-6)


@given(box=st.tuples(*[st.floats(2.0, 9.0)] * 3), count=st.integers(2, 80), seed=st.integers(0, 2**16))
def test_radial_distribution_is_right_in_any_small_orthorhombic_box(box, count, seed):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 2, count).astype(np.int8)
    codes[:2] = 0, 1
    run = particles(rng.normal(0, 10, (2, count, 3)), codes, box)
    # bins wide enough that no distance sits on an edge by rounding
    g = radial(run, 1.0, bin_width=0.1).values
    np.testing.assert_allclose(g, expected_radial(run, 1.0, 10), rtol=1e-6)


@given(
    box=st.tuples(*[st.floats(2.0, 9.0)] * 3), count=st.integers(4, 80), of_both=st.booleans(), seed=st.integers(0, 99)
)
def test_pairs_are_right_for_groups_of_one_or_both_species(box, count, of_both, seed):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 2, count).astype(np.int8)
    codes[:4] = 0, 0, 1, 1
    run = particles(rng.normal(0, 10, (1, count, 3)), codes, box)
    group = rng.integers(-1, 2, count)
    group[:2] = 0, 1
    if not of_both:
        group[codes == 1] = -1
    counted = pair_counts(run.position, run.species, run.box, xr.DataArray(group, dims="particle"), 2, 1.0, 0.1)
    g = normalize_pairs(counted, run.species)
    for k in range(2):
        np.testing.assert_allclose(g.sel(group=k).values, expected_radial(run, 1.0, 10, group == k), rtol=1e-6)


def test_radial_distribution_around_chosen_centers_is_right(small):
    rng = np.random.default_rng(5)
    chosen = np.stack([rng.permutation(small.sizes["particle"]) < 40 for _ in range(3)])
    g = radial(small, centers=xr.DataArray(chosen, dims=("time", "particle")))
    np.testing.assert_allclose(g.values, expected_radial(small, centers=chosen), rtol=1e-6)


# --- closed forms --------------------------------------------------------------------------------------------------


def test_ideal_gas_has_g_of_one_within_its_noise():
    rng = np.random.default_rng(0)
    run = particles(rng.uniform(0, 9, (20, 1000, 3)), np.zeros(1000, np.int8), [9.0] * 3, names=["A"])
    g = radial(run, 4.4, bin_width=0.4).isel(neighbor=0)
    edges = np.linspace(0, 4.4, 12)
    expected_pairs = 20 * 1000 * 999 / 9**3 * 4 / 3 * np.pi * np.diff(edges**3)
    # each pair is counted from both ends: independent pairs are half as many
    noise = np.sqrt(2 / expected_pairs)
    assert (np.abs(g.values / (1 - 1 / 1000) - 1) < 4 * noise).all()


def fcc(cells, constant):
    basis = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    corners = np.stack(np.meshgrid(*[np.arange(cells)] * 3, indexing="ij"), axis=-1).reshape(-1, 1, 3)
    return ((corners + basis) * constant).reshape(-1, 3)


def test_structure_functions_of_an_fcc_crystal_follow_from_its_shells():
    constant, cells = 1.6, 5
    run = particles(fcc(cells, constant), np.zeros(4 * cells**3, np.int8), [cells * constant] * 3, names=["A"])
    G = functions(run).isel(neighbor=0)
    # number of neighbours in successive shells at a √(k/2)
    shells = {1: 12, 2: 6, 3: 24, 4: 12, 5: 24, 6: 8, 7: 48, 8: 6, 9: 36}
    mu = np.array(MU)
    expected = sum(n * np.exp(-((constant * np.sqrt(k / 2) - mu) ** 2) / (2 * WIDTH**2)) for k, n in shells.items())
    np.testing.assert_allclose(G.values, np.broadcast_to(expected, G.shape), rtol=1e-4, atol=60 * CUT)


def test_radial_distribution_of_an_fcc_crystal_counts_twelve_nearest_neighbours():
    constant, cells = 1.6, 5
    run = particles(fcc(cells, constant), np.zeros(4 * cells**3, np.int8), [cells * constant] * 3, names=["A"])
    g = radial(run, 1.4, bin_width=0.02).isel(neighbor=0)
    density = 4 / constant**3
    shell = 4 / 3 * np.pi * ((g.r + 0.01) ** 3 - (g.r - 0.01) ** 3)
    assert float((g * density * shell).sum()) == pytest.approx(12)


def test_two_particles_see_each_other_across_the_boundary():
    run = particles([[0.05, 4, 4], [6.95, 4, 4]], np.zeros(2, np.int8), [7.0, 8.0, 9.0], names=["A"])
    G = functions(run, mu=(0.1, 0.2), width=0.05).values
    np.testing.assert_allclose(G[:, 0, 0], 1.0, rtol=1e-6)


def test_a_particle_a_hair_below_zero_is_still_in_the_box():
    # its wrapped coordinate rounds up to the edge of the box
    x = [[-1e-18, -1e-18, -1e-18], [1.03, 0, 0], [7.0, 7.9, 0]]
    run = particles([x], np.zeros(3, np.int8), [8.0] * 3, names=["A"])
    np.testing.assert_allclose(
        functions(run).values[0], expected_functions(run, 0, support=SUPPORT), rtol=1e-5, atol=1e-7
    )


# --- symmetries ----------------------------------------------------------------------------------------------------


def test_structure_functions_do_not_change_under_translation(small):
    moved = small.assign(position=small.position.astype(float) + np.array([1.3, -0.7, 2.9]))
    original = small.assign(position=small.position.astype(float))
    np.testing.assert_allclose(functions(moved).values, functions(original).values, rtol=1e-5, atol=60 * CUT)


def test_structure_functions_do_not_change_when_particles_are_wrapped_into_the_box(small):
    unwrapped = small.assign(position=small.position.astype(float))
    wrapped = unwrapped.assign(position=unwrapped.position % small.box)
    np.testing.assert_allclose(functions(wrapped).values, functions(unwrapped).values, rtol=1e-5, atol=60 * CUT)


def test_structure_functions_follow_a_permutation_of_the_particles(small):
    order = np.random.default_rng(1).permutation(small.sizes["particle"])
    np.testing.assert_allclose(
        functions(small.isel(particle=order)).values, functions(small).values[:, order], rtol=1e-6, atol=1e-12
    )


def test_structure_functions_do_not_change_under_rotation_by_a_right_angle(small):
    turned = small.assign(position=small.position[..., [1, 0, 2]] * [-1, 1, 1], box=small.box[[1, 0, 2]])
    np.testing.assert_allclose(functions(turned).values, functions(small).values, rtol=1e-5, atol=60 * CUT)


def test_radial_distribution_does_not_change_under_wrapping_permutation_and_rotation(small):
    small = small.assign(position=small.position.astype(float))
    order = np.random.default_rng(1).permutation(small.sizes["particle"])
    turned = small.assign(position=(small.position % small.box)[..., [1, 0, 2]] * [-1, 1, 1], box=small.box[[1, 0, 2]])
    np.testing.assert_allclose(
        radial(turned.isel(particle=order), bin_width=0.1), radial(small, bin_width=0.1), rtol=1e-6
    )


def test_far_from_the_origin_only_the_storage_of_positions_costs_accuracy(small):
    far = small.assign(position=(small.position.astype(float) + 1000.0).astype(np.float32))
    A = small.species.values == 0
    # of the positions as they are stored, results are as good as anywhere
    for t in range(3):
        reference = expected_functions(far, t, support=SUPPORT)
        np.testing.assert_allclose(functions(far).values[t][A], reference[A], rtol=1e-5, atol=2 * CUT)
    # their storage moves each coordinate by up to 3e-5 σ, hence each term by √12 · 3e-5 / Δμ · e^{-1/2} at most
    near = functions(small).values[:, A]
    assert np.nanmax(np.abs(functions(far).values[:, A] - near)) < 60 * np.sqrt(12) * 3.1e-5 / WIDTH * np.exp(-0.5)


# --- laziness and dimensions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("frames", [1, 2, 7])
def test_structure_functions_are_lazy_and_equal_to_the_bit_for_any_chunks(frames):
    run = mixture(3, box=(7.1, 7.3, 7.2), frames=7)
    lazy = functions(run.chunk(time=frames))
    assert lazy.chunks is not None
    np.testing.assert_array_equal(lazy.values, functions(run).values)


@pytest.mark.parametrize("frames", [1, 3, 7])
def test_radial_distribution_is_lazy_and_the_same_for_any_chunks(frames):
    run = mixture(3, box=(7.1, 7.3, 7.2), frames=7)
    lazy = radial(run.chunk(time=frames))
    assert lazy.chunks is not None
    np.testing.assert_allclose(lazy.values, radial(run).values, rtol=1e-6)


def test_lazy_positions_go_with_eager_centers_and_a_box_over_time(small):
    chosen = xr.DataArray(np.random.default_rng(0).random(small.position.shape[:-1]) < 0.3, dims=("time", "particle"))
    box = small.box.expand_dims(time=small.time)
    lazy = dg.structure_functions(small.chunk(time=1).position, small.species, box, centers=chosen)
    np.testing.assert_array_equal(lazy.values, functions(small, centers=chosen).values)


def test_leading_dimensions_broadcast_as_a_loop_would(small):
    run = small.assign(position=xr.concat([small.position, small.position + 0.01], "replica"))
    run = run.assign(box=xr.concat([small.box, small.box * 1.01], "replica"))
    for function in (functions, radial):
        together = function(run)
        for replica in range(2):
            alone = function(run.isel(replica=replica))
            np.testing.assert_array_equal(together.isel(replica=replica).values, alone.values)


def test_a_box_that_varies_in_time_counts_frame_by_frame(small):
    scale = xr.DataArray([1.0, 1.02, 1.05], dims="time", coords={"time": small.time})
    run = small.assign(box=small.box * scale, position=small.position * scale)
    G = functions(run)
    for t in range(3):
        np.testing.assert_array_equal(G.isel(time=t).values, functions(run.isel(time=t)).values)


def test_radial_distribution_averages_frames_of_different_volume_at_their_own_densities():
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 1, (10, 500, 3))
    edges = np.linspace(7, 9, 10)
    run = particles(x * edges[:, None, None], np.zeros(500, np.int8), names=["A"])
    run["box"] = (("time", "xyz"), np.repeat(edges[:, None], 3, axis=1))
    alone = [radial(run.isel(time=[t]), 3.0, bin_width=0.5).values for t in range(10)]
    np.testing.assert_allclose(radial(run, 3.0, bin_width=0.5).values, np.mean(alone, axis=0), rtol=1e-12)


def test_no_frames_give_no_structure_functions(small):
    empty = small.assign(box=small.box.expand_dims(time=small.time)).isel(time=slice(0))
    assert functions(empty).shape == (0, small.sizes["particle"], 2, 27)


def test_features_are_ordered_by_species_then_radius(small):
    G = functions(small)
    assert G.dims[-3:] == ("particle", "neighbor", "mu")
    np.testing.assert_array_equal(G.mu.values, [round(0.4 + 0.1 * k, 1) for k in range(27)])
    assert list(G.neighbor.values) == ["A", "B"]


# --- species -------------------------------------------------------------------------------------------------------


def test_what_is_no_center_is_nan_and_what_is_one_is_not(small):
    missing = functions(small).isnull()
    np.testing.assert_array_equal(missing.all(("neighbor", "mu")).values, np.broadcast_to(small.species != 0, (3, 504)))
    np.testing.assert_array_equal(missing.all(("neighbor", "mu")).values, missing.any(("neighbor", "mu")).values)


def test_three_species_are_three_kinds_of_neighbours():
    run = mixture(2, frames=1, species=3)
    A = run.species.values == 0
    np.testing.assert_allclose(
        functions(run).values[0][A], expected_functions(run, 0, support=SUPPORT)[A], rtol=1e-5, atol=1e-7
    )
    np.testing.assert_allclose(radial(run, bin_width=0.1).values, expected_radial(run, bins=30), rtol=1e-6)


def test_one_species_is_enough():
    run = mixture(2, frames=1, species=1)
    np.testing.assert_allclose(
        functions(run).values[0], expected_functions(run, 0, support=SUPPORT), rtol=1e-5, atol=1e-7
    )


def test_codes_may_name_species_in_any_order(small):
    swapped = small.assign(species=("particle", 1 - small.species.values, {"names": ["B", "A"]}))
    G = functions(swapped, centers="A").sel(neighbor=["A", "B"])
    np.testing.assert_allclose(G.values, functions(small).values, rtol=1e-6)


def test_centers_by_name_are_the_particles_of_that_species(small):
    by_name = functions(small, centers="B")
    by_choice = functions(small, centers=small.species == 1)
    np.testing.assert_array_equal(by_name.values, by_choice.values)


def test_centers_may_differ_from_frame_to_frame(small):
    chosen = np.random.default_rng(0).random(small.position.shape[:-1]) < 0.2
    G = functions(small, centers=xr.DataArray(chosen, dims=("time", "particle")))
    everyone = functions(small, centers=xr.DataArray(np.ones_like(chosen), dims=("time", "particle")))
    np.testing.assert_array_equal(G.values, everyone.where(xr.DataArray(chosen, dims=("time", "particle"))).values)


# --- bad input -----------------------------------------------------------------------------------------------------


def test_a_position_that_is_not_finite_is_refused_by_frame_and_particle(small):
    run = small.copy(deep=True)
    run.position[2, 7, 1] = np.nan
    with pytest.raises(DataError, match=r"frame \(2,\), particle 7: position is not finite"):
        functions(run)
    with pytest.raises(DataError, match=r"frame \(2,\), particle 7"):
        radial(run)


def test_a_box_too_small_for_structure_functions_is_refused(small):
    with pytest.raises(DataError, match=r"box edge 6\.9000 σ is too short for distances up to 3\.5"):
        functions(small.assign(box=("xyz", [6.9, 9.0, 9.0])))


def test_a_box_too_small_for_the_radial_distribution_is_refused(small):
    with pytest.raises(DataError, match=r"box edge 7\.2000 σ is too short for distances up to 5\.0"):
        radial(small, 5.0)


@pytest.mark.parametrize("edge", [-8.0, 0.0, np.nan, np.inf])
def test_a_box_without_a_size_is_refused(small, edge):
    with pytest.raises(DataError, match=r"box (edges must be positive|is not finite)"):
        functions(small.assign(box=("xyz", [edge, 9.0, 9.0])))


def test_a_box_must_have_three_edges(small):
    with pytest.raises(DataError, match="three edge lengths over dimension xyz"):
        functions(small.assign(box=((), 8.0)))


@pytest.mark.parametrize("mu", [(0.4, 0.5, 0.7), (0.5, 0.4), (0.5, 0.5)])
def test_radii_that_do_not_rise_in_equal_steps_are_refused(small, mu):
    with pytest.raises(DataError, match="mu must rise in equal steps"):
        functions(small, mu=mu)


@pytest.mark.parametrize("mu", [(), (-0.1, 0.1), (np.nan, 1.0), ((0.1, 0.2),)])
def test_radii_must_be_positive_numbers(small, mu):
    with pytest.raises(DataError, match="mu must be a list of positive radii"):
        functions(small, mu=mu)


def test_a_width_must_be_positive(small):
    with pytest.raises(DataError, match="width must be positive; got 0"):
        functions(small, width=0.0)


def test_species_without_names_are_refused(small):
    with pytest.raises(DataError, match="species carries no names"):
        functions(small.assign(species=small.species.drop_attrs()))


def test_an_unknown_center_species_is_refused(small):
    with pytest.raises(DataError, match=r"no species 'C': there are \['A', 'B'\]"):
        functions(small, centers="C")


def test_centers_must_be_boolean(small):
    with pytest.raises(DataError, match="boolean array over particle"):
        functions(small, centers=small.species)


@pytest.mark.parametrize("code", [2, -1])
@pytest.mark.parametrize("function", [functions, radial])
def test_a_species_code_without_a_name_is_refused_by_particle(small, code, function):
    run = small.copy(deep=True)
    run.species[11] = code
    with pytest.raises(DataError, match=f"particle 11: species code {code} has no name"):
        function(run)


@pytest.mark.parametrize(("r_max", "bin_width"), [(3.0, 0.07), (0.0, 0.02), (-1.0, -0.1), (1.0, 0.0)])
def test_an_upper_limit_that_is_no_whole_number_of_bins_is_refused(small, r_max, bin_width):
    with pytest.raises(DataError, match="r_max must be a whole number of bin widths"):
        radial(small, r_max, bin_width=bin_width)


def test_the_fraction_of_each_species_comes_with_the_radial_distribution(small):
    run = small.isel(time=0)
    g = dg.radial_distribution(run.position, run.species, run.box, r_max=3.0)
    np.testing.assert_allclose(g["fraction"], np.bincount(run.species) / run.species.size, rtol=1e-12)


@pytest.mark.parametrize("edge", [1e8, 1e30])
def test_a_box_of_any_size_has_a_number_of_cells_that_can_be_counted(edge):
    run = particles([[0.0, 0, 0], [1.0, 0, 0], [0.0, 1.1, 0]], np.zeros(3, np.int8), [edge] * 3, names=["A"])
    G = dg.structure_functions(run.position.astype("f4"), run.species, run.box, mu=[1.0, 1.1], width=0.1)
    np.testing.assert_allclose(G.isel(particle=0, neighbor=0), [1 + np.exp(-0.5), 1 + np.exp(-0.5)], rtol=1e-5)
