"""Molecular dynamics by the embedded engine, against the engine's own script of the same system."""

import numpy as np

import daskglass as dg
from benchmarks.timing import Row, compare
from daskglass.engines import get_engine
from daskglass.engines.lammps import library

PARTICLES, LARGE = 4096, 32768
TEMPERATURE, TIMESTEP = 1.0, 0.004
STEPS, AT_ONCE = 1000, 250  # steps, and steps between two frames


def rows() -> list[Row]:
    """Time both, from the same liquid."""
    mixture = dg.built_in("ka_0.0")[0]
    simulation = get_engine("lammps").start(mixture, PARTICLES, 1, TEMPERATURE, TIMESTEP)
    simulation.run(1000)
    edge = mixture.box_length(PARTICLES)
    species = np.repeat(np.arange(2), mixture.counts(PARTICLES))

    script = library().lammps(cmdargs=["-log", "none", "-screen", "none", "-nocite"])
    script.commands_string(f"""
        units lj
        atom_style atomic
        region box block 0 {edge} 0 {edge} 0 {edge}
        create_box 2 box
    """)
    x = np.mod(simulation.positions(), edge).astype(np.float64)
    script.create_atoms(PARTICLES, list(range(1, PARTICLES + 1)), (species + 1).tolist(), x.ravel().tolist())
    script.commands_string(f"""
        mass * 1.0
        velocity all create {TEMPERATURE} 1
        pair_style lj/cut/opt 2.5
        pair_coeff 1 1 1.0 1.0 2.5
        pair_coeff 1 2 1.5 0.8 2.0
        pair_coeff 2 2 0.5 0.88 2.2
        pair_modify shift yes
        neighbor 0.3 bin
        timestep {TIMESTEP}
        fix nvt all nvt temp {TEMPERATURE} {TEMPERATURE} 0.5
        run 1000 post no
    """)

    def ours() -> None:
        for _ in range(STEPS // AT_ONCE):
            simulation.run(AT_ONCE)
            simulation.frame()

    found = compare(
        f"LAMMPS, {PARTICLES} particles, {STEPS} steps, a frame every {AT_ONCE}",
        ours,
        {"the bare script, without frames": (lambda: script.command(f"run {STEPS} post no"), 0.97)},
    )
    simulation.close()
    script.close()
    return found + threads()


def threads() -> list[Row]:
    """Time two threads against one, on a large liquid."""
    mixture = dg.built_in("ka_0.0")[0]
    one, two = (get_engine("lammps", number).start(mixture, LARGE, 1, TEMPERATURE, TIMESTEP) for number in (1, 2))
    for simulation in (one, two):
        simulation.run(500)
    found = compare(
        f"LAMMPS on two threads, {LARGE} particles, {AT_ONCE} steps",
        lambda: two.run(AT_ONCE),
        {"on one": (lambda: one.run(AT_ONCE), 1.7)},
    )
    for simulation in (one, two):
        simulation.close()
    return found


if __name__ == "__main__":
    rows()
