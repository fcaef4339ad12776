"""Files of isoconfigurational ensembles that are refused, and why."""

import re
from pathlib import Path

import numpy as np
import pytest

import daskglass as dg
from daskglass.errors import TrajectoryError
from daskglass.pipeline.estimate import kinds_of
from daskglass.pipeline.plan import plan_study
from daskglass.stages.declare import ENSEMBLES
from daskglass.stages.gather import gather
from daskglass.study.load import load_study
from tests.pipeline.ensembles import STUDY, TRAJECTORIES, TYPES, L, N, configuration, failure, run, write
from tests.studies import command_here


def test_labels_that_nobody_gives_are_asked_for(tmp_path):
    write(tmp_path, 1)

    no_lag = STUDY.replace("{configuration}_{lag}", "{configuration}_10")
    assert "no lag for T0.5/1_10.npz: put {lag} into source.trajectories.path" in failure(tmp_path, no_lag)
    no_number = STUDY.replace("{configuration}_{lag}", "1_{lag}")
    assert "no configuration for" in failure(tmp_path, no_number)


def test_types_of_another_meaning_are_refused(tmp_path):
    write(tmp_path, 1, types=1 - TYPES)

    assert "composition A 200, B 800; the mixture of the system has the fractions A 0.8, B 0.2" in failure(tmp_path)


def test_species_in_another_order_than_the_mixtures_are_known_by_their_names(tmp_path):
    text = STUDY.replace("{system: ka_0.0}", "{system: ka_0.0, species: [B, A]}")
    write(tmp_path, 1)

    assert "composition A 200, B 800; the mixture of the system has the fractions A 0.8, B 0.2" in failure(
        tmp_path, text
    )
    write(tmp_path, 1, types=1 - TYPES)
    done = run(tmp_path, text, "--stage", "convert")
    assert done.returncode == 0, done.stderr
    # A, the first of the mixture, is scored, whatever its code in the files
    species = dg.open_store(tmp_path / "ensembles.zarr")["ka_0.0/isoconfigurational"]["species"]
    assert species.values.tolist() == TYPES.tolist()
    assert species.attrs["names"] == ["A", "B"]


def test_two_files_of_one_place_are_refused(tmp_path):
    for part in (0, 1):
        (tmp_path / f"part{part}").mkdir()
        write(tmp_path / f"part{part}", 1, lags=(10.0,))

    found = failure(tmp_path, STUDY.replace('"T{temp', '"part{trajectory}/T{temp'))
    assert "are both of T = 0.5, replica 0, configuration 1, lag 10" in found


def test_files_at_temperatures_that_are_not_asked_for_do_not_matter(tmp_path):
    write(tmp_path, 1)
    write(tmp_path, 7, temperature=0.6, lags=(10.0,))

    (tmp_path / "study.yaml").write_text(STUDY.replace("{system: ka_0.0}", "{system: ka_0.0, temperatures: [0.5]}"))

    done = command_here("run", "study.yaml", "--dry-run", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.search(r"convert\s*│ 1 ", done.stdout)


def test_types_beyond_the_species_are_refused(tmp_path):
    write(tmp_path, 1, types=TYPES + 1)

    assert "types has codes up to 2; there are 2 species, ['A', 'B']" in failure(tmp_path)


def test_a_box_that_disagrees_with_the_density_is_refused(tmp_path):
    write(tmp_path, 1)
    text = STUDY.replace("inherent:", "    constants: {box: 9.0}\ninherent:")

    found = failure(tmp_path, text)
    assert "the number density is 1.372; that of the mixture of the system is 1.2" in found
    assert "1000 particles in a box of 9 × 9 × 9 σ" in found


def test_trajectories_that_start_elsewhere_are_refused(tmp_path):
    write(tmp_path, 1)
    initial, ends = configuration(2)
    np.savez(tmp_path / "T0.5/1_100.npz", types=TYPES, initial_positions=initial, positions=ends[100.0])

    assert "initial_positions are not those of" in failure(tmp_path)


def test_wrapped_ends_are_refused(tmp_path):
    initial, ends = configuration(1)
    shifted = np.mod(initial + L / 2, L)
    write(tmp_path, 1, initial_positions=shifted, positions=np.mod(ends[100.0] + L / 2, L))

    assert "wrapped" in failure(tmp_path)


def test_particles_in_another_order_are_refused(tmp_path):
    write(tmp_path, 1)
    write(tmp_path, 2, types=TYPES[::-1])

    assert re.search(r"T0.5/2_10.npz: types are not those of \S*T0.5/1_10.npz", failure(tmp_path))


def test_objects_are_refused_by_name(tmp_path):
    write(tmp_path, 1, positions=np.array([None], object))

    assert "positions is an array of Python objects, which is never unpickled" in failure(tmp_path)


def test_ensembles_are_no_trajectories_to_convert(tmp_path):
    write(tmp_path, 1)

    done = command_here(
        "convert", "--format", "isoconfigurational", "--system", "ka_0.0", "T{temperature}/{configuration}_{lag}.npz", "x.zarr",
        folder=tmp_path,
    )  # fmt: skip

    assert done.returncode == 2
    assert "isoconfigurational ensembles are no trajectories to convert" in re.sub(r"\s+", " ", done.stderr)


def test_a_mixture_is_needed(tmp_path):
    write(tmp_path, 1)
    text = STUDY.replace("ka_0.0", "mine").replace(
        "inherent: {engine: native}", "    constants: {box: 9.41}\ninherent: none"
    )

    assert "local energies need its `mixture:`" in failure(tmp_path, text)


def test_what_is_asked_for_must_be_there(tmp_path):
    write(tmp_path, 1)

    text = STUDY.replace("{system: ka_0.0}", "{system: ka_0.0, temperatures: [0.7]}")
    assert "no file at T = 0.7; there are files at [0.5]" in failure(tmp_path, text)


def with_trajectories(more):
    """The study with another line in its section of trajectories."""
    return STUDY.replace("inherent:", f"    {more}\ninherent:")


@pytest.mark.parametrize("more", ["timestep: 0.005", "timestep: 1.0", "ignore_images: true", "frames: 2"])
def test_keys_of_trajectories_without_a_meaning_for_ensembles_are_refused(tmp_path, more):
    write(tmp_path, 1)

    found = failure(tmp_path, with_trajectories(more))

    assert f"source.trajectories.{more.partition(':')[0]}: leave it out" in found


@pytest.mark.parametrize(
    "section", ["hops: {window: 5.0}", "softness: {C: 0.1}", "radial: {bin_width: 0.05}", "barriers: {}"]
)
def test_sections_that_nothing_is_computed_with_are_refused(tmp_path, section):
    write(tmp_path, 1)

    assert f"{section.partition(':')[0]}: nothing is computed with it" in failure(tmp_path, STUDY + section + "\n")


def test_particles_and_replicas_are_held_against_the_files(tmp_path):
    write(tmp_path, 1)

    def asking(more):
        return failure(tmp_path, STUDY.replace("{system: ka_0.0}", f"{{system: ka_0.0, {more}}}"))

    assert "holds 1000 particles; systems.particles says 4096" in asking("particles: 4096")
    assert "asks for 2 replicas; there are files of [0]" in asking("replicas: 2")


def test_lags_are_chosen_and_must_be_there(tmp_path):
    for number in (1, 2):
        write(tmp_path, number)

    assert "no file at lag 1000 τ; there are files at [10.0, 100.0]" in failure(
        tmp_path, with_trajectories("lags: [10, 1000]")
    )
    done = run(tmp_path, with_trajectories("lags: [100]"), "--stage", "convert")
    assert done.returncode == 0, done.stderr
    assert dg.open_store(tmp_path / "ensembles.zarr")["ka_0.0/isoconfigurational"]["lag"].values.tolist() == [100.0]
    assert "list lags from short to long" in failure(tmp_path, with_trajectories("lags: [100, 10]"))


def test_cages_are_in_all_files_or_in_none(tmp_path):
    initial, _ = configuration(1)
    write(tmp_path, 1, initial_positions_cage=initial)
    write(tmp_path, 2)

    named = r"T0.5/2_10.npz: has no array initial_positions_cage, which \S*T0.5/1_10.npz has"
    assert re.search(named, failure(tmp_path))
    write(tmp_path, 1)
    write(tmp_path, 2, initial_positions_cage=initial)
    assert re.search(
        r"T0.5/1_10.npz: has no array initial_positions_cage, which \S*T0.5/2_10.npz has", failure(tmp_path)
    )


def test_cages_of_a_configuration_are_the_same_at_all_lags(tmp_path):
    initial, _ = configuration(1)
    write(tmp_path, 1, lags=(10.0,), initial_positions_cage=initial)
    write(tmp_path, 1, lags=(100.0,), initial_positions_cage=initial + 0.01)

    found = failure(tmp_path)

    assert re.search(r"T0.5/1_100.npz: initial_positions_cage are not those of \S*T0.5/1_10.npz", found)


def test_a_propensity_is_held_against_the_positions_beside_it(tmp_path):
    initial, ends = configuration(1)
    moved = ends[10.0] - initial
    drifting = np.linalg.norm(moved, axis=-1).mean(axis=0)
    alone = np.linalg.norm(moved - moved.mean(axis=1, keepdims=True), axis=-1).mean(axis=0)
    for given in (drifting, alone, alone.astype(np.float32)):
        write(tmp_path, 1, lags=(10.0,), md_prop=given)
        done = run(tmp_path, STUDY, "--stage", "convert")
        assert done.returncode == 0, done.stderr
        stored = dg.open_store(tmp_path / "ensembles.zarr")["ka_0.0/isoconfigurational"]["propensity"]
        assert np.allclose(stored.values.squeeze(), alone)
    write(tmp_path, 1, lags=(10.0,), md_prop=alone + 0.02 * (np.arange(N) == 17))

    assert "md_prop of particle 17 is" in failure(tmp_path)


def test_inherent_structures_of_files_are_not_read(tmp_path):
    write(tmp_path, 1, lags=(10.0,), initial_positions_inherent=np.array([None], object))

    done = run(tmp_path, STUDY, "--stage", "convert")

    assert done.returncode == 0, done.stderr


def test_a_damaged_file_fails_its_configuration_and_no_other(tmp_path):
    for number in (1, 2):
        write(tmp_path, number)
    (tmp_path / "T0.5/1_10.npz").write_bytes(b"no archive")

    found = failure(tmp_path)

    assert "T0.5/1_10.npz: cannot be read as an .npz file" in found
    stored = dg.open_store(tmp_path / "ensembles.zarr")["ka_0.0/isoconfigurational"]["propensity"].load()
    assert stored.sel(configuration=2).notnull().all()
    assert stored.sel(configuration=1).isnull().all()


def test_a_file_that_changed_since_the_study_was_planned_is_refused(tmp_path, monkeypatch):
    write(tmp_path, 1)
    assert run(tmp_path, STUDY, "--stage", "convert").returncode == 0
    monkeypatch.chdir(tmp_path)
    (plan,) = plan_study(load_study("study.yaml"))
    (block,) = plan.blocks(ENSEMBLES)
    origin = plan.source.feed(block).origin
    write(tmp_path, 1)

    with pytest.raises(TrajectoryError, match="changed while it was being read"):
        gather(Path("ensembles.zarr"), block, origin, species=("A", "B"), precision=None)


def test_memory_grows_with_the_trajectories_of_the_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.yaml").write_text(STUDY)
    needs = []
    for times in (1, 10):
        _, ends = configuration(1)
        write(tmp_path, 1, lags=(10.0,), positions=np.tile(ends[10.0], (times, 1, 1)))
        (plan,) = plan_study(load_study("study.yaml"))
        needs += [kind.memory for kind in kinds_of(plan, ["convert"]) if kind.function == "gather"]

    # at least what is read, displacements, and distances
    assert needs[1] - needs[0] > 9 * TRAJECTORIES * N * (24 + 24 + 8)
    assert needs[0] > TRAJECTORIES * N * (24 + 24 + 8)
