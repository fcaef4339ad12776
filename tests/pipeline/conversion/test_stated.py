"""Files are held against what the user states: composition, density, dimensions, time step."""

import re
from dataclasses import replace

import numpy as np
import pytest

from tests.pipeline.conversion.files import (
    BAD,
    PARTICLES,
    PATTERN,
    TIMESTEP,
    causes,
    file_of,
    walk,
    write_files,
    write_varying,
)
from tests.studies import FILES, command_here
from tests.trajectories.files import (
    dump_text,
    write_dump,
)


def like_ka(density=1.2, typeid=None, **options):
    """A walk at the number density of the built-in mixtures, 80:20 unless told."""
    run = walk(0, box=np.full(3, (PARTICLES / density) ** (1 / 3)), **options)
    return run if typeid is None else replace(run, typeid=typeid)


def told_of(tmp_path, client, run, system="ka_0.0"):
    write_files(tmp_path, {BAD: run}, system=system)
    return causes(tmp_path, client)


@pytest.mark.parametrize("count", [1, 2])
def test_files_of_the_stated_composition_and_density_are_taken(tmp_path, client, count):
    typeid = (np.arange(PARTICLES) >= 48 + count - 1).astype(np.int8)
    assert told_of(tmp_path, client, like_ka(1.2 * 1.01, typeid)) == []


def test_files_of_another_composition_than_the_mixture_are_refused(tmp_path, client):
    (told,) = told_of(tmp_path, client, like_ka(typeid=(np.arange(PARTICLES) >= 12).astype(np.int8)))
    assert f"{file_of(tmp_path, BAD, 'ka_0.0')}: composition A 12, B 48; the mixture" in told
    assert "A 0.8, B 0.2, held to one particle and 1%" in told
    assert not (tmp_path / "out.zarr").exists()


@pytest.mark.parametrize("density", [1.2 * 0.97, 1.2 * 1.03, 1.2 / 3.4**3])
def test_files_of_another_number_density_than_the_mixture_are_refused(tmp_path, client, density):
    (told,) = told_of(tmp_path, client, like_ka(density))
    assert re.search(
        rf"the number density is {density:.4g}; that of the mixture of the system is 1.2, held to 2%", told
    )


def test_where_boxes_vary_the_number_density_is_held_less_tightly(tmp_path, client):
    assert told_of(tmp_path, client, like_ka(1.2 * 1.15, breathing=0.01)) == []
    (told,) = told_of(tmp_path / "far", client, like_ka(1.2 * 1.3, breathing=0.01))
    assert "held to 20%" in told


def test_a_built_in_system_is_held_against_its_files_by_the_command_line_too(tmp_path):
    write_files(tmp_path, {BAD: like_ka(0.9)})
    pattern = str(tmp_path / "data/ka/T{temperature:g}/r{replica:d}/traj")
    done = command_here(
        "convert", pattern, "o.zarr", "--format", "gsd", "--system", "ka_0.0", "--timestep", "0.004", folder=tmp_path
    )
    assert done.returncode == 1
    assert "number density is 0.9" in done.stderr


def test_a_first_species_without_particles_is_refused(tmp_path, client):
    (told,) = told_of(tmp_path, client, like_ka(typeid=np.ones(PARTICLES, np.int8)), system="mine")
    assert "there is no particle of species A, the first" in told
    assert "the file holds A 0, B 60: name the one to study first" in told


@pytest.mark.parametrize("write", [write_varying, write_dump])
def test_systems_of_two_dimensions_are_refused(tmp_path, client, write):
    flat, slab = walk(0), walk(1, box=(4.0, 4.4, 1.0))
    flat.position[..., 2], flat.image[..., 2] = 0.0, 0
    form = "lammps" if write is write_dump else "gsd"
    write_files(tmp_path / "flat", {BAD: flat}, write)
    write_files(tmp_path / "slab", {BAD: slab}, write)
    (told,) = causes(tmp_path / "flat", client, format=form)
    assert "all particles are at z = 0; only three-dimensional systems" in told
    (told,) = causes(tmp_path / "slab", client, format=form)
    assert "the box is 1 σ long along z, expected at least 2 σ" in told


def write_timed(path, run, timestep=TIMESTEP, digits=17, jump=0):
    """Dump whose frames tell their time, which goes on otherwise after frame 20 by `jump` steps."""
    frames = dump_text(run).split("ITEM: TIMESTEP\n")[1:]
    times = [(step + jump * (k > 20)) * timestep for k, step in enumerate(run.step)]
    texts = [f"ITEM: TIME\n{t:.{digits}g}\nITEM: TIMESTEP\n{text}" for t, text in zip(times, frames, strict=True)]
    path.write_text("ITEM: UNITS\nlj\n" + "".join(texts))


@pytest.mark.parametrize("digits", [17, 6])
def test_times_of_a_dump_are_held_against_the_time_step_that_is_given(tmp_path, client, digits):
    write_files(tmp_path, {BAD: walk(0)}, write_timed, digits=digits)
    (told,) = causes(tmp_path, client, format="lammps", timestep=0.005)
    assert f"{file_of(tmp_path, BAD)}: a time step is 0.004 τ by the times in the file" in told
    assert "0.005 τ by source.trajectories.timestep" in told
    assert causes(tmp_path, client, format="lammps") == []


def test_times_of_a_dump_do_not_matter_where_time_counts_steps(tmp_path):
    write_files(tmp_path, {BAD: replace(walk(0), types=("1", "2"))}, write_timed)
    done = command_here("convert", "--quiet", "--format", "lammps", tmp_path / PATTERN, "out.zarr", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "by the times in the files: 0.004" in done.stderr
    refused = command_here(
        "convert", "--format", "lammps", "--timestep", "1.0", tmp_path / PATTERN, "o.zarr", folder=tmp_path
    )
    assert "a time step is 0.004" in refused.stderr


def test_a_time_step_that_changes_within_a_dump_is_refused(tmp_path, client):
    write_files(tmp_path, {BAD: walk(0)}, write_timed, jump=100)
    (told,) = causes(tmp_path, client, format="lammps")
    assert "the time step changed" in told


def test_another_number_of_particles_than_the_study_states_is_refused(files):
    text = FILES.replace("{system: ka_0.0,", "{system: ka_0.0, particles: 500,")
    assert "particles: 500" in text
    (files / "study.yaml").write_text(text)

    refused = command_here("run", "study.yaml", "--dry-run", folder=files)

    assert refused.returncode == 1
    assert "holds 432 particles; systems.particles says 500" in refused.stdout + refused.stderr
