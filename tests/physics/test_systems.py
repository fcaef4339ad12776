"""The mixtures, their potential and their temperatures, as the definitions print them."""

import contextlib
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from daskglass.errors import DataError, StudyError
from daskglass.physics.energies import pair_energy, pair_force
from daskglass.physics.systems import BUILT_IN, Mixture, Pair, built_in, kob_andersen

PAIRS = [("A", "A"), ("A", "B"), ("B", "B")]
DELTAS = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
DENSITIES = {"ka_0.0": 1.20, "ka_0.1": 1.18, "ka_0.2": 1.16, "ka_0.3": 1.14, "ka_0.4": 1.12}
PRINTED = {
    "ka_0.0": "2.00 1.80 1.60 1.40 1.20 1.00 0.90 0.80 0.75 0.70 0.67 0.64 0.61 0.58 0.55 0.53 0.51 0.49 0.47 0.45",
    "ka_0.1": "2.51 2.26 2.01 1.76 1.51 1.25 1.13 1.00 0.94 0.88 0.84 0.80 0.77 0.73 0.69 0.67 0.64 0.61 0.59 0.56",
    "ka_0.2": "3.25 2.93 2.60 2.28 1.95 1.63 1.46 1.30 1.22 1.14 1.09 1.04 0.99 0.94 0.89 0.86 0.83 0.80 0.76 0.73",
    "ka_0.3": "4.39 3.95 3.51 3.08 2.64 2.20 1.98 1.76 1.65 1.54 1.47 1.41 1.34 1.27 1.21 1.16 1.12 1.08 1.03 0.99",
    "ka_0.4": "6.29 5.66 5.03 4.40 3.77 3.15 2.83 2.52 2.36 2.20 2.11 2.01 1.92 1.82 1.73 1.67 1.60 1.54 1.48 1.42",
}
MINIMUM = 2 ** (1 / 6)


def valid(**changes):
    """Arguments of a mixture of two species, with changes."""
    pairs = {"AA": Pair(epsilon=1, sigma=1), "AB": Pair(epsilon=1.5, sigma=0.8), "BB": Pair(epsilon=0.5, sigma=0.88)}
    return {"species": ("A", "B"), "fractions": (0.8, 0.2), "pairs": pairs, "density": 1.2} | changes


# --- tables --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PRINTED)
def test_temperatures_are_those_printed(name):
    _, temperatures = built_in(name)
    assert temperatures == tuple(float(T) for T in PRINTED[name].split())


@pytest.mark.parametrize("name", DENSITIES)
def test_densities_are_those_printed(name):
    mixture, _ = built_in(name)
    assert mixture.density == DENSITIES[name]


def test_built_in_systems_leave_out_the_one_that_crystallises():
    assert tuple(PRINTED) == BUILT_IN


def test_the_system_that_crystallises_comes_with_a_warning():
    with pytest.warns(UserWarning, match=r"ka_0\.5 is known to crystallise"):
        mixture, _ = built_in("ka_0.5")
    assert mixture.density == 1.10


@pytest.mark.parametrize("name", ["ka_0.6", "ka_0.05", "ka", "KA_0.0", "ka_0.0 "])
def test_an_unknown_system_is_refused_with_the_known_ones(name):
    with pytest.raises(StudyError, match=r"unknown system .* built-in ones are ka_0\.0, "):
        built_in(name)


@pytest.mark.parametrize(("pair", "epsilon", "sigma"), [("AA", 1.0, 1.0), ("AB", 1.5, 0.8), ("BB", 0.5, 0.88)])
def test_pairs_are_those_of_kob_and_andersen(pair, epsilon, sigma):
    given = kob_andersen(0.0).pair(*pair)
    assert (given.epsilon, given.sigma) == (epsilon, sigma)


# --- potential -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delta", DELTAS)
@pytest.mark.parametrize("pair", PAIRS)
def test_the_minimum_stays_in_place_and_depth_whatever_the_well_width(delta, pair):
    mixture = kob_andersen(delta)
    given = mixture.pair(*pair)
    r_min = MINIMUM * given.sigma
    assert float(pair_force(mixture, *pair, r_min)) == pytest.approx(0, abs=1e-11)
    near = pair_energy(mixture, *pair, r_min + np.linspace(-0.05, 0.05, 101))
    assert near.argmin() == 50
    # −ε before the shift: the shift is what the unshifted potential is at the cut-off
    size = given.sigma - delta / MINIMUM
    x = (size / (2.5 * given.sigma - delta)) ** 6
    assert float(pair_energy(mixture, *pair, r_min)) == pytest.approx(-given.epsilon - 4 * given.epsilon * (x**2 - x))


@pytest.mark.parametrize("delta", DELTAS)
@pytest.mark.parametrize("pair", PAIRS)
def test_energy_vanishes_continuously_at_the_cutoff_of_r(delta, pair):
    mixture = kob_andersen(delta)
    r_c = 2.5 * mixture.pair(*pair).sigma
    energy = pair_energy(mixture, *pair, r_c + np.array([-1e-6, 0.0, 1e-6, 1.0]))
    np.testing.assert_array_equal(energy[1:], 0.0)
    assert 0 > energy[0] > -1e-6


@pytest.mark.parametrize("delta", DELTAS)
@pytest.mark.parametrize("pair", PAIRS)
def test_force_is_minus_the_slope_of_the_energy(delta, pair):
    mixture = kob_andersen(delta)
    sigma = mixture.pair(*pair).sigma
    r = np.linspace(0.95 * sigma, 2.49 * sigma, 50)
    h = 1e-6
    slope = (pair_energy(mixture, *pair, r + h) - pair_energy(mixture, *pair, r - h)) / (2 * h)
    np.testing.assert_allclose(pair_force(mixture, *pair, r), -slope, rtol=1e-5, atol=1e-7)


def test_force_vanishes_beyond_the_cutoff():
    assert (pair_force(kob_andersen(0.2), "A", "A", [2.5, 2.6, 10.0]) == 0).all()


def test_without_a_shift_the_potential_is_that_of_lennard_jones():
    r = np.linspace(0.9, 2.4, 20)
    expected = 4 * (r**-12 - r**-6) - 4 * (2.5**-12 - 2.5**-6)
    np.testing.assert_allclose(pair_energy(kob_andersen(0.0), "A", "A", r), expected, rtol=1e-12)


def test_pairs_have_no_order():
    mixture = kob_andersen(0.3)
    assert pair_energy(mixture, "A", "B", 1.0) == pair_energy(mixture, "B", "A", 1.0)


def test_a_wider_shift_makes_a_narrower_well():
    r = MINIMUM + 0.1
    energies = [float(pair_energy(kob_andersen(delta), "A", "A", r)) for delta in DELTAS]
    assert all(b > a for a, b in itertools.pairwise(energies))


# --- mixtures ------------------------------------------------------------------------------------------------------


def test_numbers_of_particles_add_up_and_fill_the_box():
    mixture = kob_andersen(0.0)
    assert mixture.counts(4096) == (3277, 819)
    assert mixture.box_length(4096) ** 3 == pytest.approx(4096 / 1.2)


def test_the_longest_cutoff_is_that_of_the_largest_pair():
    assert kob_andersen(0.0).longest_cutoff == 2.5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"species": ("A", "A")}, "species must be distinct plain names"),
        ({"species": ("A", "1B")}, "species must be distinct plain names"),
        ({"fractions": (0.8, 0.1)}, "sum to 1"),
        ({"fractions": (1.0,)}, "one number per species"),
        ({"fractions": (1.2, -0.2)}, "greater than 0"),
        ({"pairs": {"AA": Pair(epsilon=1, sigma=1)}}, "pairs must be exactly"),
        ({"delta": 0.95}, "delta must stay below"),
        ({"delta": -0.1}, "greater than or equal to 0"),
        ({"cutoff": 1.0}, "cutoff must lie beyond the minimum"),
        ({"density": 0.0}, "greater than 0"),
        ({"density": float("inf")}, "finite number"),
        ({"colour": "blue"}, "Extra inputs are not permitted"),
    ],
)
def test_a_mixture_that_makes_no_sense_is_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        Mixture(**valid(**changes))


def test_a_pair_needs_a_depth_and_a_size():
    with pytest.raises(ValidationError, match="greater than 0"):
        Pair(epsilon=-1.0, sigma=1.0)


# --- whatever is given ---------------------------------------------------------------------------------------------

ANYTHING = st.one_of(
    st.floats(), st.integers(-5, 5), st.booleans(), st.none(), st.text(max_size=3), st.floats(0.1, 3).map(np.float32),
    st.lists(st.floats(0, 1), max_size=3), st.floats(0.1, 3).map(np.array),
)  # fmt: skip


@given(name=st.sampled_from(["species", "fractions", "pairs", "delta", "cutoff", "density"]), value=ANYTHING)
def test_whatever_is_given_is_a_mixture_that_agrees_with_itself_or_an_error(name, value):
    try:
        mixture = Mixture(**valid(**{name: value}))
    except ValueError:
        return
    assert sum(mixture.counts(1000)) == 1000
    assert mixture.box_length(1000) ** 3 * mixture.density == pytest.approx(1000)
    for first, second in itertools.product(mixture.species, repeat=2):
        r = np.linspace(mixture.delta + 1e-3, 1.1 * mixture.longest_cutoff, 50)
        assert np.isfinite(pair_energy(mixture, first, second, r)).all()


@given(ANYTHING)
def test_whatever_is_named_is_a_built_in_system_or_an_error(name):
    with contextlib.suppress(StudyError):
        assert built_in(name)[0].species == ("A", "B")


@pytest.mark.parametrize("particles", [0, -1, 1.5, "3", True, np.nan])
def test_particles_are_counted(particles):
    for function in (kob_andersen(0.0).counts, kob_andersen(0.0).box_length):
        with pytest.raises(StudyError, match="particles must be a whole number"):
            function(particles)


def test_fewer_particles_than_rounding_takes_are_refused():
    pairs = {a + b: Pair(epsilon=1.0, sigma=1.0) for a, b in itertools.combinations_with_replacement("ABCD", 2)}
    mixture = Mixture(species=tuple("ABCD"), fractions=(0.3, 0.3, 0.3, 0.1), pairs=pairs, density=1.0)
    with pytest.raises(StudyError, match="2 particles are too few for 4 species"):
        mixture.counts(2)


@pytest.mark.parametrize("function", [pair_energy, pair_force])
def test_a_missing_distance_has_no_energy(function):
    found = function(kob_andersen(0.1), "A", "B", [1.0, np.nan])
    np.testing.assert_array_equal(np.isnan(found), [False, True])


@pytest.mark.parametrize("function", [pair_energy, pair_force])
@pytest.mark.parametrize("r", [0.1, 0.05, 0.0, -1.0])
def test_distances_within_the_shift_are_refused(function, r):
    with pytest.raises(DataError, match=r"r must lie beyond Δ = 0\.1 σ"):
        function(kob_andersen(0.1), "A", "B", [1.0, r])


@pytest.mark.parametrize("r", ["1.0", None, 1j, True])
def test_distances_are_numbers(r):
    with pytest.raises(DataError, match="r must be numbers"):
        pair_energy(kob_andersen(0.1), "A", "B", r)


def test_a_species_that_is_not_there_is_refused():
    with pytest.raises(StudyError, match=r"no species 'C': there are \['A', 'B'\]"):
        pair_energy(kob_andersen(0.1), "A", "C", 1.0)


def test_a_name_is_no_mixture():
    with pytest.raises(StudyError, match="the mixture must be a Mixture"):
        pair_force("ka_0.0", "A", "B", 1.0)
