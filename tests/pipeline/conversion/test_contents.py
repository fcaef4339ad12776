"""What is converted is what is in the files: to the bit, from every format, in every order of particles."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import daskglass as dg
from tests.pipeline.conversion.files import (
    BAD,
    FRAMES,
    INTERVAL,
    PARTICLES,
    PATTERN,
    PLACES,
    TIMESTEP,
    assert_same,
    causes,
    convert,
    file_of,
    make_runs,
    marks,
    production,
    walk,
    write_files,
    write_varying,
)
from tests.trajectories.files import (
    COLUMNS,
    write_dump,
    write_gsd,
)


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
