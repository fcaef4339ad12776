"""Every engine computes the potential of daskglass.physics.energies, for every pair, well width and side of the cut-off."""

import importlib
import itertools

import numpy as np
import pytest

from daskglass.physics.energies import pair_energy, pair_force
from daskglass.physics.systems import Mixture, kob_andersen
from tests.physics.test_energies import THREE_SPECIES

MIXTURES = {"delta 0": kob_andersen(0.0), "0.2": kob_andersen(0.2), "0.4": kob_andersen(0.4), "three": THREE_SPECIES}


@pytest.mark.parametrize("engine", ["lammps", "hoomd"])
@pytest.mark.parametrize("mixture", MIXTURES.values(), ids=MIXTURES.keys())
def test_energy_and_force_of_two_particles_are_the_analytic_ones(engine: str, mixture: Mixture):
    pytest.importorskip(engine, reason=f"engine {engine} is not installed")
    pair_scan = importlib.import_module(f"daskglass.engines.{engine}").pair_scan
    for first, second in itertools.combinations_with_replacement(mixture.species, 2):
        sigma = mixture.pair(first, second).sigma
        r_c = mixture.cutoff * sigma
        # from the repulsive wall to past the cut-off, with both sides of the cut-off and the minimum
        r = np.array([*np.linspace(0.98 * sigma, r_c + 0.2, 40), 2 ** (1 / 6) * sigma, r_c - 1e-9, r_c + 1e-9])
        energy, force = pair_scan(mixture, first, second, r)
        np.testing.assert_allclose(energy, pair_energy(mixture, first, second, r), rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(force, pair_force(mixture, first, second, r), rtol=1e-10, atol=1e-10)
