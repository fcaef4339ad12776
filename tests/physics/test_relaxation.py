"""F(Q,t) of displacements at hand, and its crossing."""

import numpy as np
import pytest
import xarray as xr

import daskglass as dg
from daskglass.physics.relaxation import crossing_time, self_scattering


def test_crossing_is_linear_in_log_time_and_linear_in_time_at_first():
    assert crossing_time((1.0, 0.5), (100.0, 2 / np.e - 0.5)) == pytest.approx(10.0)
    assert crossing_time((0.0, 1.0), (1.0, 2 / np.e - 1.0)) == pytest.approx(0.5)


def test_scattering_ignores_the_drift():
    displacement = np.tile([0.3, -0.2, 5.0], (10, 1))
    assert self_scattering(displacement, displacement.mean(axis=0)) == 1.0
    assert self_scattering(displacement, np.zeros(3)) == pytest.approx(
        np.sin(7.14 * (r := np.sqrt(25.13))) / (7.14 * r)
    )


def test_scattering_of_a_displacement_is_that_of_the_trajectory(trajectory):
    x, A = trajectory.position.values.astype(np.float64), trajectory.species.values == 0
    moved = x[-1] - x[0]

    F = dg.scattering_function(trajectory.position[[0, -1]], trajectory.species)

    assert self_scattering(moved[A], moved.mean(axis=0)) == pytest.approx(float(F[-1]), rel=1e-9)


def test_relaxation_times_of_runs_are_those_of_simulations():
    lag, F = np.array([1.0, 3.0, 7.0]), np.array([0.9, 0.5, 0.1])

    tau = dg.relaxation_time(xr.DataArray(F, dims="lag", coords={"lag": lag}))

    assert float(tau) == crossing_time((3.0, 0.5), (7.0, 0.1))
