"""Energies and forces of many particles: those of all their pairs by brute force, and what physics asks of them."""

import itertools

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import daskglass as dg
from daskglass.errors import DataError, StudyError
from daskglass.kernels.cells import sort_into_cells
from daskglass.kernels.forces import forces
from daskglass.kernels.neighbors import list_neighbors
from daskglass.kernels.slots import by_particle, by_slot
from daskglass.physics.energies import pair_energy, pair_force, potential_of
from daskglass.physics.systems import Mixture, Pair, kob_andersen
from tests import references

THREE_SPECIES = Mixture(
    species=("Cu", "Zr", "X1"),
    fractions=(0.5, 0.3, 0.2),
    pairs={
        "CuCu": Pair(epsilon=1.0, sigma=1.0),
        "CuZr": Pair(epsilon=1.3, sigma=0.9),
        "CuX1": Pair(epsilon=0.7, sigma=1.1),
        "ZrZr": Pair(epsilon=0.4, sigma=0.85),
        "ZrX1": Pair(epsilon=2.0, sigma=1.2),
        "X1X1": Pair(epsilon=0.9, sigma=1.3),
    },
    delta=0.15,
    cutoff=2.2,
    density=1.0,
)
ONE_SPECIES = Mixture(species=("A",), fractions=(1.0,), pairs={"AA": Pair(epsilon=1.0, sigma=1.0)}, density=1.0)
BY_FORCE = [mixture.model_copy(update={"cutoff_shift": "force"}) for mixture in (kob_andersen(0.0), THREE_SPECIES)]
MIXTURES = {
    "delta 0": kob_andersen(0.0),
    "0.2": kob_andersen(0.2),
    "0.4": kob_andersen(0.4),
    "three species": THREE_SPECIES,
    "one": ONE_SPECIES,
    "shifted by its force": BY_FORCE[0],
    "three, shifted by its force": BY_FORCE[1],
}
each_mixture = pytest.mark.parametrize("mixture", MIXTURES.values(), ids=MIXTURES.keys())


def liquid(mixture, n=400, seed=0):
    """Particles on a lattice, shaken, in an orthorhombic box, unwrapped; their codes; the box."""
    rng = np.random.default_rng(seed)
    sites = np.array(list(itertools.product(range(8), repeat=3)))[rng.permutation(512)[:n]]
    box = np.array([7.2, 7.5, 8.1])
    x = (sites + rng.uniform(-0.15, 0.15, (n, 3))) * box / 8 + rng.integers(-3, 4, (n, 3)) * box
    return x, rng.permutation(np.repeat(np.arange(len(mixture.species)), mixture.counts(n))), box


def labelled(mixture, x, codes, box):
    position = xr.DataArray(x, dims=("particle", "xyz"))
    species = xr.DataArray(codes, dims="particle", attrs={"names": list(mixture.species)})
    return position, species, xr.DataArray(box, dims="xyz")


def forces_of(mixture, x, codes, box, skin=0.2, moved=0.0):
    """Forces on particles that have moved since their neighbours were listed."""
    potential = potential_of(mixture)
    cells = sort_into_cells(x, codes, len(mixture.species), box, potential.cutoff.max() + skin)
    ordered = by_slot(cells, x + moved)
    F, result = np.zeros_like(ordered), np.empty_like(x)
    forces(ordered, cells, box, list_neighbors(cells, box, potential.cutoff + skin), potential, F)
    by_particle(cells, F, result)
    return result


@each_mixture
def test_energies_are_those_of_all_pairs_by_brute_force(mixture):
    x, codes, box = liquid(mixture)
    E = dg.local_energy(*labelled(mixture, x, codes, box), mixture)
    by_hand = references.local_energy(x, codes, box, mixture)
    np.testing.assert_allclose(E, by_hand, rtol=1e-10, atol=1e-10 * np.abs(by_hand).max())


@each_mixture
def test_forces_are_those_of_all_pairs_by_brute_force(mixture):
    x, codes, box = liquid(mixture)
    by_hand = references.forces(x, codes, box, mixture)
    np.testing.assert_allclose(forces_of(mixture, x, codes, box), by_hand, rtol=0, atol=1e-10 * np.abs(by_hand).max())


@each_mixture
def test_lists_hold_until_a_particle_has_moved_half_the_skin(mixture):
    x, codes, box = liquid(mixture)
    direction = np.random.default_rng(1).normal(size=x.shape)
    moved = 0.0999 * direction / np.linalg.norm(direction, axis=1, keepdims=True)
    by_hand = references.forces(x + moved, codes, box, mixture)
    found = forces_of(mixture, x, codes, box, skin=0.2, moved=moved)
    np.testing.assert_allclose(found, by_hand, rtol=0, atol=1e-10 * np.abs(by_hand).max())


@each_mixture
def test_forces_are_the_gradient_of_the_energy_and_add_up_to_nothing(mixture):
    x, codes, box = liquid(mixture)
    F = forces_of(mixture, x, codes, box)
    assert np.abs(F.sum(axis=0)).max() < 1e-9 * np.abs(F).max()
    position, species, edges = labelled(mixture, x, codes, box)
    for particle, axis in ((0, 0), (7, 1), (200, 2)):
        shift = np.zeros_like(x)
        shift[particle, axis] = 1e-6
        above, below = (dg.local_energy(position + s, species, edges, mixture).sum().item() for s in (shift, -shift))
        # pairs that cross their cut-off: the force jumps there
        assert F[particle, axis] == pytest.approx((below - above) / 2e-6, rel=1e-4, abs=1e-4)


@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, 60), seed=st.integers(0, 999), skin=st.sampled_from([0.0, 0.05, 0.5]))
def test_no_pair_of_neighbors_is_lost_or_listed_twice_however_many_there_are(n, seed, skin):
    rng = np.random.default_rng(seed)
    box = rng.uniform(6.2, 9.0, 3)
    x, codes = rng.uniform(-10, 10, (n, 3)), rng.integers(0, 3, n)
    cutoff = potential_of(THREE_SPECIES).cutoff
    reach = cutoff / cutoff.max() * (3.0 - skin) + skin
    cells = sort_into_cells(x, codes, 3, box, reach.max())
    neighbors = list_neighbors(cells, box, reach)
    _, r = references.pair_separations(x, box)
    near = (r < reach[codes[:, None], codes])[cells.order][:, cells.order]
    for slot in range(n):
        for K in range(3):
            first, end = neighbors.start[K, slot : slot + 2]
            behind = np.flatnonzero(near[slot] & (codes[cells.order] == K))
            assert sorted(neighbors.slots[first:end]) == behind[behind > slot].tolist()
    assert neighbors.start[-1, -1] == np.triu(near).sum()


def test_a_potential_shifted_by_its_force_ends_without_a_jump_of_energy_or_force():
    mixture = BY_FORCE[0]
    for first, second in ("AA", "AB", "BB"):
        r_c = 2.5 * mixture.pair(first, second).sigma
        near = r_c - np.array([1e-3, 1e-4])
        # V = V''(r_c) (r − r_c)²/2 there
        energy, force = (function(mixture, first, second, near) for function in (pair_energy, pair_force))
        assert energy[0] / energy[1] == pytest.approx(100, rel=0.01)
        assert force[0] / force[1] == pytest.approx(10, rel=0.01)
        slope = (
            pair_energy(mixture, first, second, 1.1 - 1e-6) - pair_energy(mixture, first, second, 1.1 + 1e-6)
        ) / 2e-6
        assert float(pair_force(mixture, first, second, 1.1)) == pytest.approx(float(slope), rel=1e-6)


def test_the_energy_of_two_particles_is_halved_between_them():
    mixture = kob_andersen(0.2)
    x = np.array([[0.5, 5, 5], [9.6, 5, 5]])
    E = dg.local_energy(*labelled(mixture, x, np.array([0, 1]), np.full(3, 10.0)), mixture)
    np.testing.assert_allclose(E, pair_energy(mixture, "A", "B", 0.9) / 2, rtol=1e-12)


def test_species_are_known_by_name():
    mixture = kob_andersen(0.0)
    x, codes, box = liquid(mixture)
    position, species, edges = labelled(mixture, x, codes, box)
    swapped = xr.DataArray(1 - codes, dims="particle", attrs={"names": ["B", "A"]})
    E = dg.local_energy(position, species, edges, mixture)
    np.testing.assert_array_equal(dg.local_energy(position, swapped, edges, mixture), E)
    others = species.assign_attrs(names=["A", "C"])
    with pytest.raises(StudyError, match=r"the mixture has no species 'C': it has \['A', 'B'\]"):
        dg.local_energy(position, others, edges, mixture)


@pytest.mark.parametrize("apart", [0.0, 0.15])
def test_particles_closer_than_delta_are_named(apart):
    mixture = kob_andersen(0.2)
    x = np.array([[1.0, 1, 1], [5, 5, 5], [5 + apart, 5, 5]])
    with pytest.raises(DataError, match="particle 1 overlaps with another"):
        dg.local_energy(*labelled(mixture, x, np.zeros(3, int), np.full(3, 10.0)), mixture)


def test_a_box_shorter_than_two_cut_offs_is_refused():
    mixture = kob_andersen(0.0)
    x, codes, _ = liquid(mixture)
    with pytest.raises(DataError, match=r"too short for distances up to 2\.5"):
        dg.local_energy(*labelled(mixture, x, codes, np.full(3, 4.9)), mixture)


def test_what_is_no_mixture_is_refused():
    with pytest.raises(StudyError, match="the mixture must be a Mixture"):
        dg.local_energy(*labelled(kob_andersen(0.0), *liquid(kob_andersen(0.0))), "ka_0.0")
