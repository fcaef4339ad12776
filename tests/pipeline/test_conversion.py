"""Trajectory files come into a store whole or not at all, however bad they are and however often it is stopped."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import gsd.hoomd
import numpy as np
import pytest
import xarray as xr
from distributed import Client

import daskglass as dg
from daskglass.errors import DaskglassError, TrajectoryError
from daskglass.pipeline import run as pipeline
from daskglass.pipeline.status import status
from daskglass.stages import convert as converting
from daskglass.store import template as layout
from daskglass.store.ledger import Ledger
from daskglass.study.load import load_study, study_of_files
from tests.studies import FILES, command, command_here, on, run_here
from tests.trajectories.files import (
    COLUMNS,
    Run,
    dump_text,
    gsd_frames,
    make_run,
    write_dump,
    write_frames,
    write_gsd,
)

TIMESTEP = 0.004
INTERVAL = 250
FRAMES, PARTICLES = 40, 60
PATTERN = "data/{system}/T{temperature:g}/r{replica:d}/traj"
PLACES = [(0.6, 0), (0.6, 1), (0.5, 0), (0.5, 1)]
BAD = (0.5, 0)  # place of the file that is damaged


# --- files, and stores made of them ---


def walk(seed, frames=FRAMES, particles=PARTICLES, box=(4.0, 4.4, 5.0), breathing=0.0) -> Run:
    """A random walk of particles, wrapped into a box whose edges vary by a part `breathing` where it is not 0."""
    rng = np.random.default_rng(seed)
    edges = np.float32(box * (1 + breathing * rng.uniform(-1, 1, (frames, 3)))).astype(np.float64)
    fraction = rng.uniform(-0.5, 0.5, (particles, 3)) + np.cumsum(rng.normal(0, 0.05, (frames, particles, 3)), axis=0)
    image = np.rint(fraction)
    return Run(
        step=1000 + INTERVAL * np.arange(frames),
        box=edges[0] if breathing == 0 else edges,
        low=np.zeros(3),
        position=((fraction - image) * 0.999 * edges[:, None]).astype(np.float32),
        image=image.astype(np.int32),
        typeid=(np.arange(particles) >= 0.8 * particles).astype(np.int8),
        types=("A", "B"),
    )


def boxes(run):
    """Edges of the box in every frame, (frame, 3)."""
    return np.broadcast_to(run.box, (len(run.step), 3))


def frames_of(run, **options):
    """GSD frames of a run whose box may vary."""
    for frame, box in zip(gsd_frames(replace(run, box=boxes(run)[0]), **options), boxes(run), strict=True):
        frame.configuration.box = [*box, 0, 0, 0]
        yield frame


def write_varying(path, run, **options):
    return write_frames(path, frames_of(run, **options))


def first(run, frames):
    box = run.box if run.box.ndim == 1 else run.box[:frames]
    return replace(run, step=run.step[:frames], box=box, position=run.position[:frames], image=run.image[:frames])


def file_of(folder, place, system="ka") -> Path:
    return folder / PATTERN.format(system=system, temperature=place[0], replica=place[1])


def write_files(folder, runs, write=write_varying, system="ka", **options):
    for place, run in runs.items():
        path = file_of(folder, place, system)
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, run, **options)


def make_runs(places=PLACES, **options):
    return {place: walk(k, **options) for k, place in enumerate(places)}


@pytest.fixture(scope="module")
def client():
    with Client(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0") as client:
        yield client


def convert(folder, client, store=None, **given) -> pipeline.Outcome:
    """Convert the files of a folder within this process."""
    given = {"format": "gsd", "path": str(folder / PATTERN), "timestep": TIMESTEP} | given
    study = study_of_files(store or folder / "out.zarr", **given)
    return pipeline.convert(pipeline.plan_files(study, on(client)), on(client))


def causes(folder, client, **given) -> list[str]:
    """What a person is told of a conversion: one text per cause; none if all went well."""
    try:
        return list(dict.fromkeys(convert(folder, client, **given).failures.values()))
    except DaskglassError as error:
        return str(error).splitlines()


def production(store, system="ka") -> xr.Dataset:
    return dg.open_store(store)[f"{system}/production"].to_dataset().load()


def written(store) -> dict[str, bytes]:
    """Every chunk of a store, as its bytes on disk: data and coordinates, and no metadata."""
    return {str(file.relative_to(store)): file.read_bytes() for file in sorted(store.rglob("c/**/*")) if file.is_file()}


def assert_same(store, reference):
    ours, theirs = written(store), written(reference)
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name] != theirs[name]] == []


def marks(folder) -> dict[str, dict]:
    """Blocks that count as converted."""
    return {key: mark for key, mark in Ledger(folder / "out.zarr").marks.items() if key.startswith("convert-")}


def block_key(place, start, system="ka"):
    return f"convert-{system}/production/T{place[0]}/r{place[1]}/{start}"


@pytest.fixture(scope="module")
def good(tmp_path_factory, client):
    """Folder of good files, and the store made of them."""
    folder = tmp_path_factory.mktemp("good")
    write_files(folder, make_runs(), log=True)
    assert not convert(folder, client).failures
    return folder


@pytest.fixture
def folder(good, tmp_path):
    """Folder of the same files, one's own to change."""
    shutil.copytree(good / "data", tmp_path / "data")
    return tmp_path


def assert_others_whole(folder, good, bad=(BAD,)):
    """What belongs to good files is there to the bit; what belongs to bad ones is there whole, or NaN without a mark."""
    found, expected = production(folder / "out.zarr"), production(good / "out.zarr")
    done = marks(folder)
    for T, replica in PLACES:
        for start in range(0, FRAMES, 16):
            block = {"time": slice(start, start + 16)}
            one, other = (
                run["position"].sel(temperature=T, replica=replica).isel(block).values for run in (found, expected)
            )
            if (T, replica) not in bad:
                assert block_key((T, replica), start) in done
                assert one.tobytes() == other.tobytes()
            elif block_key((T, replica), start) in done:
                assert np.isfinite(one).all()
            else:
                assert np.isnan(one).all()


def assert_mended(folder, good, client):
    """With good files again, the same command finishes, and nothing tells that they were ever bad."""
    shutil.copytree(good / "data", folder / "data", dirs_exist_ok=True)
    assert causes(folder, client) == []
    assert_same(folder / "out.zarr", good / "out.zarr")
    assert len(marks(folder)) == 12


# --- what is converted is what is in the files ---


def test_a_store_holds_what_its_files_hold(good):
    run = production(good / "out.zarr")
    assert run.sizes == {"temperature": 2, "replica": 2, "time": FRAMES, "particle": PARTICLES, "xyz": 3, "neighbor": 2}
    np.testing.assert_allclose(run["time"], INTERVAL * TIMESTEP * np.arange(FRAMES), rtol=1e-12)
    for place, made in make_runs().items():
        row = run.sel(temperature=place[0], replica=place[1])
        unwrapped = made.position + made.image * made.box
        np.testing.assert_array_equal(row["position"], unwrapped.astype(np.float32))
        np.testing.assert_array_equal(row["potential_energy"], (-100.0 - np.arange(FRAMES)) / PARTICLES)
        np.testing.assert_array_equal(row["pressure"], 6.5 + np.arange(FRAMES))
        np.testing.assert_array_equal(row["species"], made.typeid)
        np.testing.assert_array_equal(row["box"], made.box)
    assert run["species"].attrs["names"] == ["A", "B"]
    sources = json.loads(run.attrs["sources"])
    assert [(s["temperature"], s["replica"], s["frames"]) for s in sources] == [(*place, FRAMES) for place in PLACES]


@pytest.mark.parametrize("columns", ["wrapped", "scaled", "unwrapped", "in another order"])
def test_dumps_make_the_bytes_that_gsd_makes(good, tmp_path, client, columns):
    runs = {place: replace(run, types=("1", "2")) for place, run in make_runs().items()}
    write_files(tmp_path, runs, write_dump, columns=COLUMNS[columns], pack="gzip" if columns == "scaled" else "plain")
    assert causes(tmp_path, client, format="lammps") == []
    ours, theirs = (production(folder / "out.zarr")["position"].values for folder in (tmp_path, good))
    if columns == "unwrapped":
        # the image of a particle is not in the file: rounding of the sum alone
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)
    else:
        assert ours.tobytes() == theirs.tobytes()


def test_a_signac_project_makes_the_bytes_that_its_files_make(good, tmp_path, client):
    signac = pytest.importorskip("signac", reason="signac is not installed")
    project = signac.init_project(tmp_path / "project")
    for T, replica in PLACES:
        job = project.open_job({"system": "ka", "kT": T, "replica": replica}).init()
        shutil.copy(file_of(good, (T, replica)), Path(job.path, "traj.gsd"))
    given = {"format": "signac", "path": str(tmp_path / "project/traj.gsd"), "rename": {"kT": "temperature"}}
    assert causes(tmp_path, client, **given) == []
    assert_same(tmp_path / "out.zarr", good / "out.zarr")


@pytest.mark.parametrize("breathing", [0.0, 0.01], ids=["constant box", "varying box"])
def test_what_is_exported_and_converted_again_is_the_same_to_the_bit(tmp_path, client, breathing):
    write_files(tmp_path, make_runs(breathing=breathing))
    assert causes(tmp_path, client) == []
    for T, replica in PLACES:
        back = file_of(tmp_path / "back", (T, replica))
        back.parent.mkdir(parents=True)
        row = dg.query(tmp_path / "out.zarr", "ka", temperature=T, replica=replica)
        dg.write_gsd(back.with_suffix(".gsd"), row.isel(system=0))
        back.with_suffix(".gsd").rename(back)
    assert causes(tmp_path / "back", client) == []
    ours, theirs = (production(folder / "out.zarr") for folder in (tmp_path / "back", tmp_path))
    assert ours["position"].values.tobytes() == theirs["position"].values.tobytes()
    xr.testing.assert_equal(ours["box"], theirs["box"])
    xr.testing.assert_equal(ours["time"], theirs["time"])


def test_without_images_positions_are_the_same_up_to_the_image_of_the_first_frame(tmp_path, client):
    runs = make_runs()
    write_files(tmp_path, runs, images=False)
    assert causes(tmp_path, client) == []
    run = production(tmp_path / "out.zarr")
    for (T, replica), made in runs.items():
        expected = made.position + (made.image - made.image[0]) * made.box
        np.testing.assert_array_equal(run["position"].sel(temperature=T, replica=replica), expected.astype(np.float32))


def drawn_anew(run, seed):
    """The same walk whose types were given to particles by another seed."""
    return replace(run, typeid=np.random.default_rng(seed).permutation(run.typeid))


@pytest.mark.parametrize("write", [write_varying, write_dump])
def test_replicas_whose_types_were_drawn_anew_are_ordered_by_species_and_id(tmp_path, client, write):
    made = {place: replace(drawn_anew(run, k), types=("1", "2")) for k, (place, run) in enumerate(make_runs().items())}
    write_files(tmp_path, made, write)
    assert causes(tmp_path, client, format="lammps" if write is write_dump else "gsd") == []
    run = production(tmp_path / "out.zarr")
    np.testing.assert_array_equal(run["species"], made[PLACES[0]].typeid)
    for (T, replica), one in made.items():
        position = one.position + one.image * one.box
        for code in (0, 1):
            found = run["position"].sel(temperature=T, replica=replica).values[:, run["species"] == code]
            np.testing.assert_array_equal(found, position[:, one.typeid == code].astype(np.float32))


@pytest.mark.parametrize("place", [(0.7, 0), (0.4, 0)], ids=["hotter", "colder"])
def test_files_that_join_a_store_take_the_order_of_its_particles(tmp_path, client, place):
    write_files(tmp_path, {BAD: drawn_anew(walk(0), 1)})
    assert causes(tmp_path, client) == []
    before = production(tmp_path / "out.zarr")
    joining = drawn_anew(walk(5), 2)
    write_files(tmp_path, {place: joining})
    assert convert(tmp_path, client).done == 3
    after = production(tmp_path / "out.zarr")
    np.testing.assert_array_equal(after["species"], before["species"])
    xr.testing.assert_equal(after["position"].sel(temperature=[BAD[0]]), before["position"])
    soft = after["position"].sel(temperature=place[0], replica=0).values[:, after["species"] == 1]
    position = joining.position + joining.image * joining.box
    np.testing.assert_array_equal(soft, position[:, joining.typeid == 1].astype(np.float32))


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


def write_parts(folder, runs, write, start=0, stop=FRAMES, **options):
    """Write a file per frame; return the pattern of all."""
    for place, run in runs.items():
        file = file_of(folder, place)
        file.parent.mkdir(parents=True, exist_ok=True)
        for k in range(start, stop):
            frame = replace(run, step=run.step[k:][:1], position=run.position[k:][:1], image=run.image[k:][:1])
            write(file.with_name(f"dump.{run.step[k]}"), frame, **options)
    return str((folder / PATTERN).with_name("dump.{step}"))


@pytest.mark.parametrize(("format", "write"), [("gsd", write_gsd), ("lammps", write_dump)])
@pytest.mark.parametrize("images", [True, False], ids=["with images", "without"])
def test_a_file_per_frame_makes_the_bytes_that_one_file_makes_also_as_it_grows(tmp_path, client, format, write, images):
    runs = {place: replace(run, types=("1", "2")) for place, run in make_runs(PLACES[:2]).items()}
    options = {} if images else {"images": False} if format == "gsd" else {"columns": "id type x y z"}
    write_files(tmp_path / "one", runs, write, **options)
    assert causes(tmp_path / "one", client, format=format) == []
    for stop in (20, FRAMES):
        pattern = write_parts(tmp_path, runs, write, start=0 if stop == 20 else 20, stop=stop, **options)
        assert causes(tmp_path, client, format=format, path=pattern) == []
        if stop == 20:
            kept = {key: mark for key, mark in marks(tmp_path).items() if key.endswith("/0")}
    assert_same(tmp_path / "out.zarr", tmp_path / "one" / "out.zarr")
    assert kept.items() <= marks(tmp_path).items()
    assert len(kept) == len(runs)


def test_a_fault_of_a_file_per_frame_names_the_file(tmp_path, client):
    run = replace(walk(0), types=("1", "2"))
    position = run.position.copy()
    position[20, 3, 1] = np.nan
    pattern = write_parts(tmp_path, {BAD: replace(run, position=position)}, write_dump)
    folder = file_of(tmp_path, BAD).parent
    (told,) = causes(tmp_path, client, format="lammps", path=pattern)
    assert told.startswith(f"{folder}/dump.{{step}}: frame 20: {folder}/dump.{run.step[20]}: position of particle 3")


@pytest.mark.parametrize("write", [write_varying, write_dump])
@pytest.mark.parametrize("frame", [16, 20], ids=["where a block begins", "within a block"])
def test_images_that_start_again_are_refused_and_can_be_ignored(tmp_path, client, write, frame):
    made = replace(walk(0), types=("1", "2"))
    image = made.image.copy()
    image[frame:] -= image[frame]
    write_files(tmp_path, {BAD: replace(made, image=image)}, write)
    form = "lammps" if write is write_dump else "gsd"
    (told,) = causes(tmp_path, client, format=form)
    assert f"{file_of(tmp_path, BAD)}: frame {frame}: particle " in told
    assert "--ignore-images" in told
    assert causes(tmp_path, client, format=form, ignore_images=True) == []
    expected = made.position + (made.image - made.image[0]) * made.box
    found = production(tmp_path / "out.zarr")["position"].sel(temperature=BAD[0], replica=BAD[1])
    np.testing.assert_array_equal(found, expected.astype(np.float32))
    # of what is known of the file, nothing changed: without the option it is refused again
    assert causes(tmp_path, client, format=form) == [told]


def test_positions_outside_the_box_are_refused_with_images_and_taken_where_those_are_ignored(tmp_path, client):
    made = walk(0)
    position = made.position.copy()
    position[20] += np.float32(2 * made.box)
    write_files(tmp_path, {BAD: replace(made, position=position)})
    (told,) = causes(tmp_path, client)
    assert f"{file_of(tmp_path, BAD)}: frame 20: particle 0 at " in told
    assert "--ignore-images" in told
    assert causes(tmp_path, client, ignore_images=True) == []
    expected = made.position + (made.image - made.image[0]) * made.box
    found = production(tmp_path / "out.zarr")["position"].sel(temperature=BAD[0], replica=BAD[1])
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("images", [True, False])
def test_a_box_that_varies_is_kept_with_every_frame(tmp_path, client, images):
    runs = make_runs(breathing=0.01, box=(5.5, 6.0, 6.5))
    write_files(tmp_path, runs, images=images)
    assert causes(tmp_path, client) == []
    run = production(tmp_path / "out.zarr")
    assert run["box"].dims == ("temperature", "replica", "time", "xyz")
    for (T, replica), made in runs.items():
        row = run.sel(temperature=T, replica=replica)
        np.testing.assert_array_equal(row["box"], made.box)
        box = row["box"].values[:, None]
        wrapped = row["position"].values - box * np.rint(row["position"].values / box)
        np.testing.assert_allclose(wrapped, made.position, atol=3e-6)
    g = dg.radial_distribution(run["position"], run["species"], run["box"], 2.5, 0.1)
    assert np.isfinite(g).all()
    assert "density" not in dg.open_store(tmp_path / "out.zarr")["ka"].attrs


def test_boxes_that_differ_with_temperature_are_kept_with_every_frame(tmp_path, client):
    runs = {place: walk(k, box=(4.0 + place[0],) * 3) for k, place in enumerate(PLACES)}
    write_files(tmp_path, runs)
    assert causes(tmp_path, client) == []
    run = production(tmp_path / "out.zarr")
    for (T, replica), made in runs.items():
        row = run.sel(temperature=T, replica=replica)
        np.testing.assert_array_equal(row["box"], boxes(made))
        unwrapped = made.position + made.image * made.box
        np.testing.assert_array_equal(row["position"], unwrapped.astype(np.float32))


@pytest.mark.parametrize("images", [True, False])
def test_positions_depend_neither_on_chunks_nor_on_workers(tmp_path, client, monkeypatch, images):
    write_files(tmp_path, make_runs(breathing=0.01), images=images)
    assert causes(tmp_path, client) == []
    monkeypatch.setattr(layout, "CHUNK_FRAMES", 7)
    with Client(n_workers=1, threads_per_worker=4, processes=False, dashboard_address=":0") as other:
        assert causes(tmp_path, other, store=tmp_path / "other.zarr") == []
    xr.testing.assert_identical(*(production(tmp_path / name).drop_attrs() for name in ("out.zarr", "other.zarr")))


# --- bad files: found by trying ---


def test_files_cut_short_anywhere_fail_alone_and_can_be_fixed(good, tmp_path, client):
    rng = np.random.default_rng(1)
    bad = PLACES[1:]
    for trial in range(7):
        folder = tmp_path / str(trial)
        shutil.copytree(good / "data", folder / "data")
        for place in bad:
            path = file_of(folder, place)
            os.truncate(path, int(rng.integers(path.stat().st_size)))
        told = causes(folder, client)
        # every one of them is named once
        assert sorted(text.partition(": ")[0] for text in told) == sorted(str(file_of(folder, p)) for p in bad)
        assert_others_whole(folder, good, bad)
        assert not marks(folder).keys() & {block_key(place, k) for place in bad for k in (0, 16, 32)}
        assert_mended(folder, good, client)


def cut_dump(path):
    os.truncate(path, path.stat().st_size - 30)


def other_particles_at_the_end(path):
    write_varying(path, first(replace(make_runs()[BAD], types=("1", "2")), FRAMES - 1))
    with gsd.hoomd.open(path, "r+") as file:
        for frame in gsd_frames(make_run(frames=1, particles=PARTICLES + 1)):
            frame.configuration.step = int(file[-1].configuration.step) + INTERVAL
            file.append(frame)


@pytest.mark.parametrize(
    ("format", "write", "spoil"),
    [("lammps", write_dump, cut_dump), ("gsd", write_varying, other_particles_at_the_end)],
)
def test_a_fault_stops_those_alone_who_ask_for_frames_up_to_it(tmp_path, client, format, write, spoil):
    runs = {place: replace(run, types=("1", "2")) for place, run in make_runs().items()}
    write_files(tmp_path, runs, write)
    whole = FRAMES - 1
    assert causes(tmp_path, client, store=tmp_path / "expected.zarr", format=format, frames=whole) == []
    path = file_of(tmp_path, BAD)
    spoil(path)
    for asked in ({}, {"frames": FRAMES}):
        (told,) = causes(tmp_path, client, store=tmp_path / "bad.zarr", format=format, **asked)
        assert told.startswith(f"{path}: frame {whole}: ")
    assert causes(tmp_path, client, format=format, frames=whole) == []
    assert_same(tmp_path / "out.zarr", tmp_path / "expected.zarr")


def test_flipped_bytes_spoil_at_most_what_belongs_to_their_file(good, folder, client):
    rng = np.random.default_rng(2)
    for trial in range(17):
        shutil.copytree(good / "data", folder / "data", dirs_exist_ok=True)
        bad = [place for k, place in enumerate(PLACES) if k != trial % 4]
        for place in bad:
            path = file_of(folder, place)
            content = bytearray(path.read_bytes())
            content[rng.integers(len(content))] ^= int(rng.integers(1, 256))
            path.write_bytes(content)
        before = written(folder / "out.zarr")
        try:
            told = list(convert(folder, client).failures.values())
            assert_others_whole(folder, good, bad)
        except TrajectoryError as error:
            # the files do not belong together
            told = [str(error)]
            assert written(folder / "out.zarr") == before
        assert all(any(str(file_of(folder, place)) in text for place in bad) for text in told), told
    shutil.copytree(good / "data", folder / "data", dirs_exist_ok=True)
    assert causes(folder, client) == []
    found, expected = (production(each / "out.zarr").drop_attrs() for each in (folder, good))
    # a box that seemed to vary keeps its place with every frame
    for name in expected.variables:
        np.testing.assert_array_equal(*np.broadcast_arrays(found[name], expected[name]))


def change(index, **changes):
    """Write a file anew in which one frame has something changed: `box`, `log`, or what `particles` holds."""

    def damage(path):
        frames = list(gsd_frames(walk(3), log=True))
        for name, value in changes.items():
            frame = frames[index]
            owner = frame.configuration if name in ("box", "step", "dimensions") else frame.particles
            setattr(owner, name, value)
        write_frames(path, frames)

    return damage


def arrange(order):
    def damage(path):
        frames = list(gsd_frames(walk(3), log=True))
        write_frames(path, [frames[k] for k in order])

    return damage


def moved(index, particle, value):
    position = walk(3).position[index].copy()
    position[particle, 1] = value
    return change(index, position=position)


SWAPPED = np.array([1, *[0] * 47, 0, *[1] * 11], np.uint32)
DAMAGES = {
    "empty": (lambda path: path.write_bytes(b""), "not a GSD file, or cut short"),
    "of another format": (lambda path: write_dump(path, walk(3)), "not a GSD file"),
    "text": (lambda path: path.write_text("never a trajectory\n" * 100), "not a GSD file"),
    "frames missing": (
        arrange([*range(20), *range(21, 40)]),
        "frame 20: is at time step 6250, expected 6000: frames are missing",
    ),
    "a frame repeated": (
        arrange([*range(20), *range(19, 39)]),
        "frame 20: is at time step 5750, like frame 19: remove the repeated frame",
    ),
    "frames out of order": (
        arrange([*range(20), 21, 20, *range(22, 40)]),
        "frame 21: is at time step 6000, before frame 20 at 6250: a restart or a second run begins here",
    ),
    "frames reversed": (
        arrange(range(39, -1, -1)),
        "frame 1: is at time step 10500, before frame 0 at 10750: a restart or a second run begins here",
    ),
    "particles vanish": (
        change(20, N=59, typeid=np.zeros(59, np.uint32), position=np.zeros((59, 3)), image=np.zeros((59, 3), int)),
        "frame 20: 59 particles, but 60 in frame 0",
    ),
    "a species changes": (change(20, typeid=SWAPPED), "frame 20: particle 0 is of species B, but A in frame 0"),
    "NaN": (moved(20, 7, np.nan), "frame 20: position of particle 7 is not finite"),
    "infinity": (moved(20, 7, np.inf), "frame 20: position of particle 7 is not finite"),
    "far outside the box": (moved(20, 7, 1e30), "frame 20: particle 7 at .* is outside the box"),
    "triclinic": (change(20, box=[4, 4.4, 5, 0.1, 0, 0]), "frame 20: box .* only three-dimensional orthorhombic"),
    "two-dimensional": (change(0, box=[4, 4.4, 0, 0, 0, 0]), "frame 0: box .* only three-dimensional orthorhombic"),
    "a negative box": (change(20, box=[4, -4.4, 5, 0, 0, 0]), "frame 20: box .* only three-dimensional orthorhombic"),
    "a box of NaN": (change(20, box=[4, np.nan, 5, 0, 0, 0]), "frame 20: box .* only three-dimensional orthorhombic"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_bad_file_is_named_with_its_frame_fails_alone_and_can_be_fixed(good, folder, client, damage):
    break_it, message = DAMAGES[damage]
    break_it(file_of(folder, BAD))
    told = causes(folder, client)
    assert len(told) == 1
    assert "\n" not in told[0]
    assert re.match(f"{file_of(folder, BAD)}: .*{message}", told[0]), told[0]
    assert_others_whole(folder, good)
    assert_mended(folder, good, client)


def test_a_file_that_is_bad_in_the_end_leaves_no_block_that_was_unwrapped_from_nothing(folder, client):
    run = make_runs()[BAD]
    write_files(folder, make_runs(), images=False)
    write_gsd(file_of(folder, BAD), replace(run, step=np.append(run.step[:-1], 10**6)), images=False)
    assert len(causes(folder, client)) == 1
    assert np.isnan(production(folder / "out.zarr")["position"].sel(temperature=BAD[0], replica=BAD[1])).all()
    assert len(marks(folder)) == 9


def test_particles_that_move_too_far_without_images_stop_the_blocks_that_follow(tmp_path, client):
    runs = make_runs()
    write_files(tmp_path, runs, images=False)
    reference = tmp_path / "reference.zarr"
    assert causes(tmp_path, client, store=reference) == []
    position = runs[BAD].position.copy()
    position[20, 7, 1] = position[19, 7, 1] + 0.47 * 4.4 * (1 if position[19, 7, 1] < 0 else -1)
    write_gsd(file_of(tmp_path, BAD), replace(runs[BAD], position=position), images=False)
    told = causes(tmp_path, client)
    assert len(told) == 1
    assert f"{file_of(tmp_path, BAD)}: frame 20: particle 7 moved by 0.47 of the box" in told[0]
    assert "write images, or frames more often" in told[0]
    assert {start for start in (0, 16, 32) if block_key(BAD, start) in marks(tmp_path)} == {0}
    row = production(tmp_path / "out.zarr")["position"].sel(temperature=BAD[0], replica=BAD[1])
    assert np.isfinite(row[:16]).all()
    assert np.isnan(row[16:]).all()
    write_gsd(file_of(tmp_path, BAD), runs[BAD], images=False)
    assert causes(tmp_path, client) == []
    assert_same(tmp_path / "out.zarr", reference)


def others(what):
    """Write one file that is good in itself, but not of the others' kind."""
    run = walk(9)
    return {
        "particles": lambda path: write_gsd(path, walk(9, particles=50)),
        "species": lambda path: write_gsd(path, replace(run, typeid=1 - run.typeid)),
        "names": lambda path: write_gsd(path, replace(run, types=("A", "C"))),
        "interval": lambda path: write_gsd(path, replace(run, step=run.step * 2)),
        "frames": lambda path: write_gsd(path, first(run, 39)),
        "missing": lambda path: path.unlink(),
        "a folder": lambda path: (path.unlink(), path.mkdir()),
        "a link to nowhere": lambda path: (path.unlink(), path.symlink_to("nowhere")),
        "twice": lambda path: shutil.copytree(path.parents[1], path.parents[2] / "T0.50"),
    }[what]


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("particles", "{bad}: particles 50 differs from 60 of {good}: they cannot be of one system"),
        ("species", "{bad}: composition A 12, B 48 differs from A 48, B 12 of {good}: make files of another"),
        ("names", "{bad}: has particles of type 'C', but the species of the system are"),
        ("interval", "{bad}: interval 500 differs from 250 of {good}: the frames of a run must be as many time steps"),
        (
            "frames",
            "{bad}: frames 39 differs from 40 of {good}: source.trajectories.frames reads",
        ),
        ("missing", "ka: no file of the production run at T = 0.5, replica 0; .* every temperature needs the same"),
        ("a folder", "ka: no file of the production run at T = 0.5, replica 0"),
        ("a link to nowhere", "{bad}: links to nowhere, which does not exist"),
        ("twice", "{bad} and .*T0.50/r0/traj are both system ka, production, temperature 0.5, replica 0"),
    ],
)
def test_files_that_do_not_belong_together_are_refused_before_anything_is_written(folder, client, what, message):
    others(what)(file_of(folder, BAD))
    told = causes(folder, client)
    assert len(told) == 1
    expected = message.replace("{bad}", str(file_of(folder, BAD))).replace("{good}", str(file_of(folder, PLACES[0])))
    assert re.match(expected, told[0]) or expected in told[0], told[0]
    assert not (folder / "out.zarr").exists()


@pytest.mark.parametrize("how", ["before it is read", "while it is read"])
def test_a_file_that_changes_while_it_is_converted_is_not_taken(good, folder, client, monkeypatch, how):
    path = file_of(folder, BAD)
    given = {"format": "gsd", "path": str(folder / PATTERN), "timestep": TIMESTEP}
    plans = pipeline.plan_files(study_of_files(folder / "out.zarr", **given), on(client))
    if how == "before it is read":
        write_gsd(path, walk(9), log=True)
    else:
        real = converting.read_frames

        def read_and_change(source, *arguments):
            frames = real(source, *arguments)
            if source == path:
                path.touch()
            return frames

        monkeypatch.setattr(converting, "read_frames", read_and_change)
    told = set(pipeline.convert(plans, on(client)).failures.values())
    assert told == {f"{path}: changed while it was being read: run again once it is whole"}
    monkeypatch.undo()
    assert_others_whole(folder, good)
    assert_mended(folder, good, client)


def test_a_file_half_written_again_costs_nothing_of_what_it_gave_before(good, folder, client):
    assert causes(folder, client) == []
    before, done = written(folder / "out.zarr"), marks(folder)
    path = file_of(folder, BAD)
    times = path.stat()
    content = path.read_bytes()
    path.write_bytes(content[:-5000])
    assert len(causes(folder, client)) == 1
    assert written(folder / "out.zarr") == before
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert convert(folder, client).done == 0
    assert marks(folder) == done


# --- bad files: what a person sees ---


def run_convert(folder, *options, pattern=PATTERN, form="gsd", by=command_here):
    return by(
        "convert", "--format", form, pattern, "out.zarr", "--timestep", TIMESTEP, "--quiet", "--report", "report.json", *options,
        folder=folder,
    )  # fmt: skip


def test_the_command_tells_each_cause_in_a_line_reports_every_file_and_finishes_once_they_are_mended(good, folder):
    cut, gap = file_of(folder, BAD), file_of(folder, PLACES[0])
    os.truncate(cut, 30_000)
    DAMAGES["frames missing"][0](gap)
    moved(20, 7, np.nan)(file_of(folder, PLACES[1]))
    done = run_convert(folder)
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("daskglass: data/ka/T") for line in lines)
    assert all(any(str(file_of(Path(), place)) in line for line in lines) for place in (BAD, *PLACES[:2]))
    report = json.loads((folder / "report.json").read_text())
    assert len(report["files"]) == 4
    for file in report["files"]:
        place = (file["temperature"], file["replica"])
        assert len(file["problems"]) == (place != PLACES[3])
        if place not in (BAD, PLACES[0]):
            assert (file["frames"], file["particles"], file["box"]) == (40, 60, [np.float32(4), np.float32(4.4), 5])
    shutil.copytree(good / "data", folder / "data", dirs_exist_ok=True)
    done = run_convert(folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert [file["problems"] for file in json.loads((folder / "report.json").read_text())["files"]] == [[]] * 4
    assert_same(folder / "out.zarr", good / "out.zarr")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ({"pattern": "nothing/{system}/T{temperature:g}"}, 1, "no file matches nothing/{system}/T{temperature"),
        ({"pattern": "data/ka/T{temperature:g}/r{replica:d}/traj"}, 2, "no system for data/ka/T{temperature:g}"),
        ({"pattern": "data/{system"}, 2, "data/{system"),
        (
            {"form": "xyz"},
            2,
            "--format: unknown trajectory format 'xyz': choose gsd, lammps, signac or isoconfigurational",
        ),
        ({"form": "lammps"}, 1, "/traj: "),
    ],
)
def test_the_command_refuses_in_a_line_and_writes_no_store(folder, arguments, status, message):
    done = run_convert(folder, **arguments)
    assert done.returncode == status
    lines = done.stderr.splitlines()
    assert all(line.startswith("daskglass: ") for line in lines[:1])
    assert len(lines) == (4 if arguments.get("form") == "lammps" else 1)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in folder.iterdir() if path.name != "report.json") == ["data"]


def test_a_full_disk_loses_nothing_and_more_room_finishes(tmp_path, client):
    disk, files = tmp_path / "disk", tmp_path / "files"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        write_files(files, make_runs(particles=2000))
        reference = files / "reference.zarr"
        assert causes(files, client, store=reference) == []
        full = run_convert(disk, pattern=str(files / PATTERN), by=command)
        assert full.returncode == 1
        assert "out.zarr" in full.stderr
        assert "No space left on device: free some space, and rerun" in full.stderr
        assert "Traceback" not in full.stderr
        position, expected = (production(store)["position"] for store in (disk / "out.zarr", reference))
        for T, replica, start in ((*place, start) for place in PLACES for start in range(0, FRAMES, 16)):
            at = {"temperature": PLACES.index((T, 0)) // 2, "replica": replica, "time": slice(start, start + 16)}
            if block_key((T, replica), start) in marks(disk):
                np.testing.assert_array_equal(position.isel(at), expected.isel(at))
            else:
                assert np.isnan(position.isel(at)).all()
        assert 0 < len(marks(disk)) < 12
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        done = run_convert(disk, pattern=str(files / PATTERN), by=command)
        assert (done.returncode, done.stderr) == (0, "")
        assert_same(disk / "out.zarr", reference)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_conversion_killed_at_any_moment_leaves_whole_blocks_and_continues(tmp_path, client):
    write_files(tmp_path, make_runs(frames=240))
    reference = tmp_path / "reference.zarr"
    assert causes(tmp_path, client, store=reference) == []
    expected = production(reference)["position"]
    arguments = [sys.executable, "-m", "daskglass", "convert", "--format", "gsd", PATTERN, "out.zarr", "--quiet"]
    arguments += ["--timestep", str(TIMESTEP), "--cluster"]
    rng = np.random.default_rng(3)
    # some at once, some while it lays out the store, and the others after so many blocks
    for blocks in (-1, -1, 0, 0, *np.sort(rng.integers(1, 50, 6))):
        if blocks == 0:
            shutil.rmtree(tmp_path / "out.zarr", ignore_errors=True)
            (tmp_path / "out.zarr.ledger").unlink(missing_ok=True)
        # before the first block there is nothing for workers to do
        process = subprocess.Popen(
            [*arguments, "local" if blocks > 0 else "none"], cwd=tmp_path, start_new_session=True, stderr=subprocess.DEVNULL
        )  # fmt: skip
        while process.poll() is None and (
            len(marks(tmp_path)) < blocks if blocks else not (tmp_path / "out.zarr.ledger").exists()
        ):
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 1.5 if blocks < 0 else 0.1))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if not (tmp_path / "out.zarr/ka/production/zarr.json").exists():
            assert not marks(tmp_path)
            continue
        position = production(tmp_path / "out.zarr")["position"]
        for place in PLACES:
            row = {"temperature": place[0], "replica": place[1]}
            for start in range(0, 240, 16):
                ours, theirs = (run.sel(row).isel(time=slice(start, start + 16)).values for run in (position, expected))
                assert ours.tobytes() == theirs.tobytes() or (
                    np.isnan(ours).all() and block_key(place, start) not in marks(tmp_path)
                )
    done = run_convert(tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"(warning: .*died holding the store's lock; taking it over\n)?", done.stderr)
    assert_same(tmp_path / "out.zarr", reference)
    assert len(marks(tmp_path)) == 60
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "data", "out.zarr", "out.zarr.ledger", "reference.zarr", "reference.zarr.ledger", "report.json",
    ]  # fmt: skip


# --- a store that grows ---


def chunks(folder, place, system="ka"):
    """Inode and time of change of every chunk of the positions of a place."""
    run = production(folder / "out.zarr", system)
    T, replica = (
        list(run[name].values).index(value) for name, value in zip(("temperature", "replica"), place, strict=True)
    )
    row = folder / f"out.zarr/{system}/production/position/c/{T}/{replica}"
    return {f.parents[1].name: (f.stat().st_ino, f.stat().st_mtime_ns) for f in row.rglob("*") if f.is_file()}


def test_temperatures_replicas_and_systems_join_and_nothing_is_written_again(tmp_path, client):
    every = [(T, replica) for T in (0.6, 0.55, 0.5) for replica in (0, 1, 2)]
    runs = {place: walk(k) for k, place in enumerate(every)}
    known: dict[str, dict] = {}
    placed: dict[tuple, dict] = {}
    for grown in (
        [(0.6, 0)],
        [(0.6, 0), (0.5, 0)],
        [(0.6, 0), (0.55, 0), (0.5, 0)],
        [place for place in every if place[1] != 1],
        every,
    ):
        write_files(tmp_path, {place: runs[place] for place in grown if not file_of(tmp_path, place).exists()})
        assert convert(tmp_path, client).done == 3 * (len(grown) - len(placed))
        assert {key: marks(tmp_path)[key] for key in known} == known
        assert {place: chunks(tmp_path, place) for place in placed} == placed
        known, placed = marks(tmp_path), {place: chunks(tmp_path, place) for place in grown}
    write_files(tmp_path, {(0.7, 0): runs[0.6, 0]}, system="other")
    assert convert(tmp_path, client).done == 3
    assert {place: chunks(tmp_path, place) for place in placed} == placed
    assert {key: marks(tmp_path)[key] for key in known} == known
    shutil.move(tmp_path / "out.zarr", tmp_path / "grown.zarr")
    (tmp_path / "out.zarr.ledger").unlink()
    assert causes(tmp_path, client) == []
    assert_same(tmp_path / "grown.zarr", tmp_path / "out.zarr")


@pytest.mark.parametrize("images", [True, False])
def test_longer_files_are_converted_from_their_last_partial_block_on(tmp_path, client, images):
    runs = make_runs(frames=60)
    write_files(tmp_path, {place: first(run, 40) for place, run in runs.items()}, images=images)
    assert causes(tmp_path, client) == []
    known, placed = marks(tmp_path), {place: chunks(tmp_path, place) for place in PLACES}
    before = production(tmp_path / "out.zarr")["position"]
    write_files(tmp_path, runs, images=images)
    assert convert(tmp_path, client).done == 8
    for place in PLACES:
        for start in (0, 16):
            assert marks(tmp_path)[block_key(place, start)] == known[block_key(place, start)]
        now = chunks(tmp_path, place)
        assert all(now[name] == placed[place][name] for name in ("0", "1"))
    after = production(tmp_path / "out.zarr")["position"]
    assert after.sizes["time"] == 60
    assert after.isel(time=slice(40)).values.tobytes() == before.values.tobytes()
    assert causes(tmp_path, client, store=tmp_path / "fresh.zarr") == []
    assert_same(tmp_path / "out.zarr", tmp_path / "fresh.zarr")


@pytest.mark.parametrize("how", ["other data", "touched"])
def test_a_file_that_was_written_again_is_converted_again_alone(folder, client, how):
    assert causes(folder, client) == []
    known, path = marks(folder), file_of(folder, BAD)
    if how == "touched":
        path.touch()
    else:
        write_gsd(path, walk(9), log=True)
    assert convert(folder, client).done == 3
    changed = {key for key, mark in marks(folder).items() if mark != known[key]}
    assert changed == {block_key(BAD, start) for start in (0, 16, 32)}
    if how == "other data":
        made = walk(9)
        row = production(folder / "out.zarr")["position"].sel(temperature=BAD[0], replica=BAD[1])
        np.testing.assert_array_equal(row, (made.position + made.image * made.box).astype(np.float32))


def test_a_folder_of_files_that_was_moved_is_not_converted_again(folder, client):
    assert causes(folder, client) == []
    known = marks(folder)
    shutil.copytree(folder / "data", folder / "moved/data")
    shutil.rmtree(folder / "data")
    assert convert(folder / "moved", client, store=folder / "out.zarr").done == 0
    assert marks(folder) == known
    sources = json.loads(production(folder / "out.zarr").attrs["sources"])
    assert [source["path"] for source in sources] == [str(file_of(folder / "moved", place)) for place in PLACES]


@pytest.mark.parametrize("gone", ["data/ka/T0.6", "data/ka/*/r1"])
def test_what_has_no_files_any_more_stays_as_it_is(folder, client, gone):
    assert causes(folder, client) == []
    known, before = marks(folder), written(folder / "out.zarr")
    for path in folder.glob(gone):
        shutil.rmtree(path)
    assert convert(folder, client).done == 0
    assert (marks(folder), written(folder / "out.zarr")) == (known, before)


def test_files_join_a_store_without_those_that_are_there(tmp_path, client):
    runs = make_runs()
    for place in PLACES:
        write_files(tmp_path / f"{place}", {place: runs[place]})
        write_files(tmp_path / "all", {place: runs[place]})
    parts = [[PLACES[0]], [PLACES[1]], PLACES[2:]]
    for places in parts:
        write_files(tmp_path / str(places), {place: runs[place] for place in places})
        assert causes(tmp_path / str(places), client, store=tmp_path / "out.zarr") == []
    assert causes(tmp_path / "all", client) == []
    assert_same(tmp_path / "out.zarr", tmp_path / "all/out.zarr")
    sources = json.loads(production(tmp_path / "out.zarr").attrs["sources"])
    assert [(source["temperature"], source["replica"]) for source in sources] == PLACES


@pytest.mark.parametrize(
    ("place", "given", "message"),
    [((0.4, 0), {}, "no file of the production run at T = 0.4, replica 1"), ((0.5, 2), {}, "replica 2"),
     ((0.5, 0), {"frames": 30}, "30 frames join a run of 40")],
)  # fmt: skip
def test_files_that_leave_a_hole_are_refused(folder, client, place, given, message):
    assert causes(folder, client) == []
    known, before = marks(folder), written(folder / "out.zarr")
    write_files(folder / "more", {place: walk(7)})
    told = causes(folder / "more", client, store=folder / "out.zarr", **given)
    assert len(told) == 1
    assert message in told[0]
    assert (marks(folder), written(folder / "out.zarr")) == (known, before)


def test_every_training_run_that_has_files_is_converted(tmp_path, client):
    pattern = str(tmp_path / "data/{system}/T{temperature:g}/r{replica:d}/{run}.gsd")
    for T in (0.6, 0.5, 0.4):
        for run, replicas in (("production", (0, 1)), ("training", (1,))):
            for replica in replicas:
                path = tmp_path / f"data/ka/T{T}/r{replica}/{run}.gsd"
                path.parent.mkdir(parents=True, exist_ok=True)
                if T < 0.6 or run == "production":
                    write_gsd(path, walk(3, frames=20 if run == "production" else 35))
    assert causes(tmp_path, client, path=pattern) == []
    training = dg.open_store(tmp_path / "out.zarr")["ka/training"].to_dataset()
    assert training.sizes["time"] == 35
    assert (training["temperature"].values.tolist(), training["replica"].values.tolist()) == ([0.5, 0.4], [1])
    assert training["position"].notnull().all()


def test_a_training_run_can_be_converted_alone(tmp_path, client):
    path = tmp_path / "data/ka/T0.5/r0/training.gsd"
    path.parent.mkdir(parents=True)
    write_gsd(path, walk(3))
    pattern = str(tmp_path / "data/{system}/T{temperature:g}/r{replica:d}/{run}.gsd")
    assert causes(tmp_path, client, path=pattern) == []
    assert dg.open_store(tmp_path / "out.zarr")["ka/training/position"].notnull().all()


def test_a_store_whose_name_is_a_pattern_of_the_shell_is_mended(folder, client):
    path = folder / "out[1].zarr"
    assert causes(folder, client, store=path) == []
    (path / "ka/production").rename(folder / "out[1].zarr.ka%2Fproduction.old")
    assert convert(folder, client, store=path).done == 0
    assert production(path)["position"].notnull().all()


# --- a study of files that grows ---


STUDY = FILES.replace("temperatures: [1.0, 0.8], replicas: 2", "temperatures: {temperatures}, replicas: {replicas}")


def study_text(temperatures, replicas):
    return STUDY.replace("{temperatures}", str(temperatures)).replace("{replicas}", str(replicas))


@pytest.mark.xdist_group("tiny")
def test_converting_into_the_store_of_a_study_keeps_its_tables_and_makes_them_stale_if_need_be(finished, client):
    before = dg.open_store(finished / "files.zarr")["ka_0.0/production"].to_dataset().load()
    pattern = f"{os.environ['TINY']}/{{system}}/r{{replica}}/T{{temperature:g}}/production.gsd"
    study = study_of_files(finished / "files.zarr", format="gsd", path=pattern, timestep=TIMESTEP)
    assert pipeline.convert(pipeline.plan_files(study, on(client)), on(client)).done == 0
    warm = finished / "more/ka_0.0"
    for replica in (0, 1):
        shutil.copytree(f"{os.environ['TINY']}/ka_0.0/r{replica}/T1", warm / f"r{replica}/T0.9")
    more = study_of_files(
        finished / "files.zarr", format="gsd", path=f"{finished}/more/{{system}}/r{{replica}}/T{{temperature:g}}/production.gsd",
        timestep=TIMESTEP,
    )  # fmt: skip
    assert pipeline.convert(pipeline.plan_files(more, on(client)), on(client)).done == 4
    after = dg.open_store(finished / "files.zarr")["ka_0.0/production"].to_dataset().load()
    xr.testing.assert_equal(after.sel(temperature=[1.0, 0.8]), before)
    assert json.loads(after.attrs["study"])["study"] == "files"


@pytest.mark.xdist_group("tiny")
@pytest.mark.parametrize(
    ("temperatures", "replicas", "trains"),
    [([0.8], 2, False), ([1.0, 0.8], 1, True)],
    ids=["a temperature joins", "a replica joins"],
)
def test_a_study_that_grows_keeps_the_hops_it_has_and_says_why_the_rest_is_stale(
    files, monkeypatch, temperatures, replicas, trains
):
    run_here(files, monkeypatch, study_text(temperatures, replicas))
    before = {
        key: mark for key, mark in Ledger(files / "files.zarr").marks.items() if key.startswith(("convert", "hops"))
    }
    assert before
    (files / "study.yaml").write_text(FILES)
    states = {state.stage: state for state in status(load_study(files / "study.yaml"))}
    for stage in ("convert", "hops"):
        assert states[stage].done == sum(key.startswith(stage) for key in before)
        assert (states[stage].stale, states[stage].missing > 0) == (0, True)
    # another replica is another part of the examples that the model is trained on; another temperature is not
    assert (states["softness"].stale > 0) == trains
    shown = command_here("status", "study.yaml", folder=files).stdout.splitlines()
    stale = [line for line in shown if line.startswith("stale: ka_0.0 ")]
    assert any(line.startswith("stale: ka_0.0 ensemble: ") and "before it is to be done" in line for line in stale), (
        shown
    )
    assert any(line.startswith("stale: ka_0.0 barriers: ") for line in stale), shown
    assert not run_here(files, monkeypatch).failures
    after = Ledger(files / "files.zarr").marks
    assert {key: after[key] for key in before} == before
