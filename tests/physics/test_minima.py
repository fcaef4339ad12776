"""Inherent structures: minima of the potential, of the basin in which the steepest descent ends."""

import numpy as np
import pytest
import xarray as xr

import daskglass as dg
from daskglass.engines import get_engine
from daskglass.errors import DataError
from daskglass.kernels.slots import farthest
from daskglass.physics import minima
from daskglass.physics.systems import kob_andersen
from tests import references
from tests.physics.test_energies import forces_of

N = 200
MIXTURE = kob_andersen(0.0)
BOX = np.full(3, MIXTURE.box_length(N))
CODES = np.repeat([0, 1], MIXTURE.counts(N))
HOT = 0.9


@pytest.fixture(scope="module")
def frames():
    """Frames of a hot liquid (frame, particle, 3)."""
    with get_engine("lammps").start(MIXTURE, N, 7, HOT, 0.004) as simulation:
        simulation.run(10_000)
        return np.array([simulation.run(1000) or simulation.positions() for _ in range(4)])


def labelled(frames, codes=CODES, box=BOX):
    position = xr.DataArray(frames, dims=("time", "particle", "xyz"))
    species = xr.DataArray(codes, dims="particle", attrs={"names": ["A", "B"]})
    return position, species, xr.DataArray(box, dims="xyz")


def descend(x, step=5e-4, until=5e-3):
    """Steepest descent by Euler's method, in steps a fraction of what is stable."""
    x = x.copy()
    force = np.inf
    while force > until:
        F = forces_of(MIXTURE, x, CODES, BOX)
        force = np.sqrt((F**2).sum() / N)
        x += min(step, 2e-3 / np.abs(F).max()) * F
    return x


def apart(x, y):
    """Distance that every particle lies apart, but for a shift of all."""
    moved = x - y
    return np.linalg.norm(moved - moved.mean(axis=0), axis=-1)


@pytest.mark.parametrize("minimizer", ["fire", "descent"])
def test_forces_of_a_minimum_vanish_and_its_energy_is_that_of_its_particles(frames, minimizer):
    position, species, box = labelled(frames)
    found = dg.inherent_structures(position, species, box, MIXTURE, tolerance=1e-7, minimizer=minimizer)
    assert (found.inherent_force <= 1e-7).all()
    assert found.dtype == np.float32
    E = dg.local_energy(found, species, box, MIXTURE).mean("particle")
    np.testing.assert_allclose(found.inherent_energy, E, atol=1e-7)
    assert (dg.local_energy(position, species, box, MIXTURE).mean("particle") - 0.5 > E).all()
    for x in found.values:
        F = references.forces(x, CODES, BOX, MIXTURE)
        # positions are rounded to single precision
        assert np.sqrt((F**2).sum() / N) < 1e-3
        assert np.linalg.norm(x - frames.mean(axis=0), axis=-1).max() < 3


def test_a_descent_ends_in_the_minimum_of_the_steepest_descent(frames):
    found = dg.inherent_structures(*labelled(frames), MIXTURE, minimizer="descent").values
    for x, start in zip(found, frames, strict=True):
        assert apart(x, descend(start)).max() < 0.05


def test_minima_are_lazy_where_frames_are_and_the_same_to_the_bit(frames):
    position, species, box = labelled(frames)
    lazy = dg.inherent_structures(position.chunk(time=1), species, box, MIXTURE)
    assert lazy.chunks is not None
    assert lazy.inherent_force.chunks is not None
    xr.testing.assert_identical(lazy.compute(), dg.inherent_structures(position, species, box, MIXTURE))


def test_missing_frames_stay_missing(frames):
    frames = frames.copy()
    frames[1] = np.nan
    found = dg.inherent_structures(*labelled(frames), MIXTURE)
    assert np.isnan(found).all(["particle", "xyz"]).values.tolist() == [False, True, False, False]
    assert np.isnan(found.inherent_force).values.tolist() == [False, True, False, False]


@pytest.mark.parametrize("minimizer", ["fire", "descent"])
def test_a_frame_that_does_not_converge_is_missing_and_says_how_far_it_came(frames, minimizer, monkeypatch):
    monkeypatch.setattr(minima, "MOST_EVALUATIONS", 50)
    found = dg.inherent_structures(*labelled(frames), MIXTURE, minimizer=minimizer)
    assert np.isnan(found).all()
    if minimizer == "fire":
        assert (found.inherent_force > 1e-5).all()


def test_a_box_without_room_for_the_skin_is_refused(frames):
    with pytest.raises(DataError, match=r"box edge 5\.3\d* σ is too short"):
        dg.inherent_structures(*labelled(frames, box=np.full(3, 5.3)), MIXTURE)


def test_overlapping_particles_are_named(frames):
    frames = frames.copy()
    frames[2, 5] = frames[2, 9]
    with pytest.raises(DataError, match=r"frame \(2,\), particle 5 overlaps with another"):
        dg.inherent_structures(*labelled(frames), MIXTURE)


@pytest.mark.parametrize("minimizer", ["fire", "descent"])
def test_particles_so_close_that_forces_overflow_do_not_converge(frames, minimizer):
    # 1e-13 σ apart their energy is a number, the square of their force is none
    frames = frames[:1] - frames[0, 9]
    frames[0, 5] = frames[0, 9] + [1e-13, 0, 0]
    found = dg.inherent_structures(*labelled(frames), MIXTURE, minimizer=minimizer)
    assert np.isnan(found).all()
    assert np.isnan(found.inherent_force).all()


def test_a_particle_that_is_nowhere_is_farthest():
    x = np.zeros((3, 6))
    y = x.copy()
    y[0, 1], y[0, 3] = np.nan, 1.0
    assert np.isnan(farthest(y, x))
    y[0, 1] = 0.5
    assert farthest(y, x) == 1.0


def test_random_positions_come_apart_without_flying_off():
    x = np.random.default_rng(1).uniform(0, BOX, (1, N, 3))
    found = dg.inherent_structures(*labelled(x), MIXTURE)
    assert (found.inherent_force <= 1e-5).all()
    assert np.linalg.norm(found - x, axis=-1).max() < 5


@pytest.mark.parametrize(
    ("given", "message"),
    [({"tolerance": 0.0}, "tolerance"), ({"minimizer": "cg"}, "minimizer must be fire or descent; got 'cg'")],
)
def test_bad_settings_are_refused(frames, given, message):
    with pytest.raises(DataError, match=message):
        dg.inherent_structures(*labelled(frames), MIXTURE, **given)
