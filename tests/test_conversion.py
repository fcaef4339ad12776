"""Trajectory files come into a store whole or not at all, however bad they are and however often it is stopped."""

import json
import os
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
from daskglass import layout, pipeline
from daskglass.errors import DaskglassError, StoreError, TrajectoryError
from daskglass.ledger import Ledger
from daskglass.plan import plan_study
from daskglass.study import study_of_files
from tests.studies import FILES, command, run_here
from tests.trajectories.files import COLUMNS, Run, gsd_frames, write_dump, write_frames, write_gsd

pytestmark = pytest.mark.xdist_group("conversion")

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
    return {place: walk(hash(place) % 1000, **options) for place in places}


@pytest.fixture(scope="module")
def client():
    with Client(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None) as client:
        yield client


def convert(folder, client, store=None, **given) -> pipeline.Outcome:
    """Convert the files of a folder within this process."""
    given = {"format": "gsd", "path": str(folder / PATTERN), "timestep": TIMESTEP} | given
    return pipeline.convert(plan_study(study_of_files(store or folder / "out.zarr", **given)), client)


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
    write_files(tmp_path, runs, write_dump, columns=COLUMNS[columns], compress=columns == "scaled")
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


def test_without_images_positions_are_the_same_up_to_the_image_of_the_first_frame(tmp_path, client):
    runs = make_runs()
    write_files(tmp_path, runs, images=False)
    assert causes(tmp_path, client) == []
    run = production(tmp_path / "out.zarr")
    for (T, replica), made in runs.items():
        expected = made.position + (made.image - made.image[0]) * made.box
        np.testing.assert_array_equal(run["position"].sel(temperature=T, replica=replica), expected.astype(np.float32))


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
    with Client(n_workers=1, threads_per_worker=4, processes=False, dashboard_address=None) as other:
        assert causes(tmp_path, other, store=tmp_path / "other.zarr") == []
    xr.testing.assert_identical(
        *(production(tmp_path / name).drop_attrs() for name in ("out.zarr", "other.zarr"))
    )


# --- bad files: found by trying ---


def test_files_cut_short_anywhere_fail_alone_and_can_be_mended(good, tmp_path, client):
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


def test_flipped_bytes_spoil_at_most_what_belongs_to_their_file(good, tmp_path, client):
    rng = np.random.default_rng(2)
    bad = PLACES[1:]
    for trial in range(17):
        folder = tmp_path / str(trial)
        shutil.copytree(good / "data", folder / "data")
        for place in bad:
            path = file_of(folder, place)
            content = bytearray(path.read_bytes())
            content[rng.integers(len(content))] ^= int(rng.integers(1, 256))
            path.write_bytes(content)
        told = causes(folder, client)
        paths = [str(file_of(folder, place)) for place in bad]
        assert all(any(text.startswith(f"{path}:") for path in paths) for text in told), told
        if (folder / "out.zarr").exists():
            assert_others_whole(folder, good, bad)
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
    "frames missing": (arrange([*range(20), *range(21, 40)]), "frame 20 is at time step 6250, 6000 is expected: frames are missing"),
    "a frame repeated": (arrange([*range(20), *range(19, 39)]), "frame 20 is at time step 5750, as frame 19 is: one of them is repeated"),
    "frames out of order": (arrange([*range(20), 21, 20, *range(22, 40)]), "frame 20 is at time step 6250, 6000 is expected"),
    "frames reversed": (arrange(range(39, -1, -1)), "frame 1 is at time step 10500, before frame 0 at 10750: put the frames in order"),
    "particles vanish": (
        change(20, N=59, typeid=np.zeros(59, np.uint32), position=np.zeros((59, 3)), image=np.zeros((59, 3), int)),
        "frame 20: 59 particles, 60 in frame 0",
    ),
    "a species changes": (change(20, typeid=SWAPPED), "frame 20: particle 0 is of species B, A is expected"),
    "NaN": (moved(20, 7, np.nan), "frame 20: position of particle 7 is not finite"),
    "infinity": (moved(20, 7, np.inf), "frame 20: position of particle 7 is not finite"),
    "far outside the box": (moved(20, 7, 1e30), "frame 20: particle 7 at .* is outside the box"),
    "triclinic": (change(20, box=[4, 4.4, 5, 0.1, 0, 0]), "frame 20: box .* only three-dimensional orthorhombic"),
    "two-dimensional": (change(0, box=[4, 4.4, 0, 0, 0, 0]), "frame 0: box .* only three-dimensional orthorhombic"),
    "a negative box": (change(20, box=[4, -4.4, 5, 0, 0, 0]), "frame 20: box .* only three-dimensional orthorhombic"),
    "a box of NaN": (change(20, box=[4, np.nan, 5, 0, 0, 0]), "frame 20: box .* only three-dimensional orthorhombic"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_bad_file_is_named_with_its_frame_fails_alone_and_can_be_mended(good, folder, client, damage):
    break_it, message = DAMAGES[damage]
    break_it(file_of(folder, BAD))
    told = causes(folder, client)
    assert len(told) == 1
    assert "\n" not in told[0]
    pytest.importorskip("re").compile(f"{file_of(folder, BAD)}: .*{message}").match(told[0]) or pytest.fail(told[0])
    assert_others_whole(folder, good)
    assert_mended(folder, good, client)
