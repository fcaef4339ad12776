"""Results for other programs: a trajectory gives back its positions to the bit, a table all its rows."""

import errno
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import gsd.hoomd
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import daskglass as dg
from daskglass.errors import StoreError, StudyError, writing
from daskglass.report import draw
from daskglass.store import export
from daskglass.store.export import save, write_gsd
from tests.conftest import mixture, particles


def unwrapped(frame):
    """Positions as any reader of the format computes them."""
    return (frame.particles.position.astype(np.float64) + frame.particles.image * frame.configuration.box[:3]).astype(
        np.float32
    )


def read(path):
    with gsd.hoomd.open(path, "r") as file:
        return list(file)


def make_row(frames=5, **options):
    """One row of a run, whose positions reach several images away."""
    run = mixture(3, frames=frames, **options)
    rng = np.random.default_rng(0)
    shape = run["position"].shape[:2]
    run["softness"] = (("time", "particle"), rng.normal(size=shape).astype(np.float32))
    run["softness"] = run["softness"].where(run["species"] == 0)
    run["label"] = (("time", "particle"), rng.integers(-1, 2, shape).astype(np.int8))
    return run


@settings(max_examples=300)
@given(
    edges=st.tuples(*[st.floats(0.5, 1000, width=32)] * 3),
    where=st.tuples(*[st.floats(-100, 100, width=32)] * 3),
    image=st.tuples(*[st.integers(-(2**20), 2**20)] * 3),
    face=st.booleans(),
)
def test_wrapped_positions_lie_in_the_box_and_give_back_the_unwrapped_ones_to_the_bit(edges, where, image, face):
    L, n = np.array(edges, np.float32), np.array(image)
    p = ((n + 0.5) * L.astype(np.float64) if face else n * L.astype(np.float64) + where).astype(np.float32)
    # one float below, at and above: where an image ends
    p = np.stack([np.nextafter(p, np.float32(-np.inf)), p, np.nextafter(p, np.float32(np.inf))])
    inside, images = export.wrapped(p, L, Path("out.gsd"), "here")
    assert (inside >= -L / 2).all()
    assert (inside < L / 2).all()
    back = (inside.astype(np.float64) + images * L.astype(np.float64)).astype(np.float32)
    # +0 makes 0 of -0, which a wrapped position cannot tell
    assert (back + 0).tobytes() == (p + 0).tobytes()


def test_a_position_beyond_all_images_is_refused_not_rounded():
    p = np.array([[0, 0, 0], [0, 1e12, 0]], np.float32)
    with pytest.raises(StoreError, match=r"here: particle 1: .* too far from the box"):
        export.wrapped(p, np.array([5, 5, 5], np.float32), Path("out.gsd"), "here")


@pytest.mark.parametrize("varying", [False, True])
def test_a_trajectory_gives_back_every_position_to_the_bit(tmp_path, varying):
    run = make_row()
    if varying:
        run["box"] = run["box"] * (1 + 0.01 * run["time"])
    dg.write_gsd(tmp_path / "out.gsd", run.chunk(time=2))
    frames = read(tmp_path / "out.gsd")
    assert np.stack([unwrapped(frame) for frame in frames]).tobytes() == run["position"].values.tobytes()
    boxes = np.broadcast_to(run["box"].transpose(..., "xyz").astype(np.float32), (5, 3))
    np.testing.assert_array_equal([frame.configuration.box for frame in frames], np.hstack([boxes, np.zeros((5, 3))]))


def test_scalars_of_particles_and_the_time_are_logged_with_every_frame(tmp_path):
    run = make_row()
    dg.write_gsd(tmp_path / "out.gsd", run, scalars=["softness", "label"])
    frames = read(tmp_path / "out.gsd")
    softness = np.stack([frame.log["particles/softness"] for frame in frames])
    np.testing.assert_array_equal(softness, run["softness"])
    assert softness.dtype == np.float32
    np.testing.assert_array_equal(np.stack([frame.log["particles/label"] for frame in frames]), run["label"])
    assert [frame.log["time"].item() for frame in frames] == run["time"].values.tolist()


def test_species_are_the_types_of_particles(tmp_path):
    run = make_row(names=("B", "A"))
    dg.write_gsd(tmp_path / "out.gsd", run)
    frame = read(tmp_path / "out.gsd")[-1]
    assert frame.particles.types == ["B", "A"]
    np.testing.assert_array_equal(frame.particles.typeid, run["species"])


@pytest.mark.parametrize(("attrs", "steps"), [({}, [0, 1, 2, 3, 4]), ({"timestep": 0.004}, [0, 25, 50, 75, 100])])
def test_steps_count_time_steps_where_their_length_is_known_and_frames_elsewhere(tmp_path, attrs, steps):
    run = make_row().assign_coords(time=np.arange(5) * 0.1).assign_attrs(attrs)
    dg.write_gsd(tmp_path / "out.gsd", run)
    assert [frame.configuration.step for frame in read(tmp_path / "out.gsd")] == steps


def test_blocks_of_frames_make_the_same_file(tmp_path, monkeypatch):
    run = make_row()
    dg.write_gsd(tmp_path / "whole.gsd", run, scalars=["softness"])
    monkeypatch.setattr(export, "PIECE_BYTES", 12 * run.sizes["particle"] * 2)
    dg.write_gsd(tmp_path / "blocks.gsd", run.chunk(time=3), scalars=["softness"])
    assert (tmp_path / "whole.gsd").read_bytes() == (tmp_path / "blocks.gsd").read_bytes()


def lacking(change):
    run = make_row()
    if change == "frame":
        run["position"][3] = np.nan
    elif change == "particle":
        run["position"][3, 7, 1] = np.nan
    elif change == "box":
        run = run.drop_vars("box")
    elif change == "rows":
        run = run.expand_dims(replica=2)
    elif change == "double":
        run["position"] = run["position"].astype(np.float64)
    return run


@pytest.mark.parametrize(
    ("change", "scalars", "message"),
    [("frame", [], r"frame 3, time 3, of position: not computed"), ("particle", [], "frame 3, .*: particle 7: position is not"),
     ("box", [], "no variable 'box'"), ("rows", [], r"position has dimensions \('replica', .*select one system"),
     ("none", ["spin"], "no variable 'spin'.*softness"), ("none", ["position"], "position has dimensions"),
     ("none", ["species"], r"species has dimensions \('particle',\)"), ("double", [], "position is float64")],
)  # fmt: skip
def test_what_cannot_be_written_exactly_is_refused_and_the_old_file_stays(tmp_path, change, scalars, message):
    (tmp_path / "out.gsd").write_text("before")
    with pytest.raises(StoreError, match=message):
        dg.write_gsd(tmp_path / "out.gsd", lacking(change), scalars=scalars)
    assert [file.read_text() for file in tmp_path.iterdir()] == ["before"]


def make_found():
    rng = np.random.default_rng(0)
    hop = rng.random((2, 3, 4, 5)).astype(np.float32)
    hop[0, 1] = np.nan
    frames = ("system", "replica", "time")
    return xr.Dataset(
        {"hop": ((*frames, "particle"), hop), "energy": (frames, rng.random((2, 3, 4)))},
        {"system": ["first", "second"], "replica": [0, 1, 2], "time": [0.0, 0.5, 1.0, 1.5], "temperature": ("system", [0.7, 0.9]),
         "species": (("system", "particle"), np.array([[0, 0, 0, 1, 1], [0, 0, 1, -1, -1]], np.int8), {"names": ["A", "B"]})},
    )  # fmt: skip


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("most", [7, 1000])
def test_a_table_has_a_row_for_every_combination_of_labels(tmp_path, monkeypatch, suffix, most):
    found, path = make_found(), tmp_path / f"out{suffix}"
    pieces = list(export.rows(found.chunk(time=2), most))
    assert max(map(len, pieces)) <= most
    monkeypatch.setattr(export, "rows", lambda found: pieces)
    export.save(found, path)
    table = pd.read_csv(path) if suffix == ".csv" else pd.read_parquet(path)
    assert list(table) == ["system", "replica", "time", "particle", "temperature", "species", "hop", "energy"]
    np.testing.assert_allclose(table["hop"], found["hop"].values.ravel(), rtol=1e-6)
    np.testing.assert_allclose(table["energy"], np.repeat(found["energy"].values.ravel(), 5))
    assert table["time"].tolist() == [time for _ in range(6) for time in (0.0, 0.5, 1.0, 1.5) for _ in range(5)]
    assert table["species"].fillna("").tolist() == [*["A", "A", "A", "B", "B"] * 12, *["A", "A", "B", "", ""] * 12]


def test_netcdf_gives_back_what_was_found(tmp_path):
    found = make_found()
    export.save(found.chunk(time=2), tmp_path / "out.nc")
    with xr.open_dataset(tmp_path / "out.nc", engine="h5netcdf") as back:
        xr.testing.assert_equal(back.load(), found)


def test_a_value_without_labels_is_one_row(tmp_path):
    export.save(xr.Dataset({"a": 1.5}), tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == "a\n1.5\n"


@pytest.mark.parametrize(
    ("name", "message"), [("out.txt", "must end in .nc, .csv or .parquet"), ("no/out.csv", "folder .* does not exist")]
)
def test_a_name_that_cannot_be_written_is_bad_usage(tmp_path, name, message):
    with pytest.raises(StudyError, match=message):
        export.save(make_found(), tmp_path / name)


def test_a_file_that_fails_half_way_leaves_the_old_file(tmp_path, monkeypatch):
    def fail_later(found):
        yield from list(export_rows(found))[:1]
        raise OSError("disk full")

    export_rows = export.rows
    monkeypatch.setattr(export, "rows", fail_later)
    (tmp_path / "out.csv").write_text("before")
    with pytest.raises(OSError, match="disk full"):
        export.save(make_found(), tmp_path / "out.csv")
    assert [file.read_text() for file in tmp_path.iterdir()] == ["before"]


@pytest.fixture
def small_disk(tmp_path):
    """Folder with room for some kilobytes; where none can be mounted, there is no test of a full one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk cannot be mounted here")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.mark.parametrize("name", ["x.nc", "x.csv", "x.parquet", "x.gsd"])
def test_a_full_disk_is_named_with_the_file_and_the_remedy(small_disk, name):
    found = xr.Dataset({"hop": (("time", "particle"), np.random.default_rng(0).random((100, 1000)))})
    if name == "x.gsd":
        position = np.random.default_rng(0).random((20, 1000, 3)).astype(np.float32)
        found = particles(position, np.zeros(1000, np.int8), [10.0, 10.0, 10.0])
    with pytest.raises(
        StoreError, match=rf"disk/{name}.*No space left on device: free some space, and rerun"
    ) as caught:
        save(found, small_disk / name) if name != "x.gsd" else write_gsd(small_disk / name, found)
    assert "Errno" not in str(caught.value)
    assert list(small_disk.iterdir()) == []


def test_figures_on_a_full_disk_name_their_folder_and_the_remedy(small_disk, monkeypatch):
    monkeypatch.setattr("daskglass.report.results.open_results", lambda store: SimpleNamespace(figures=["one"]))
    monkeypatch.setattr(
        "daskglass.report.page.write_figure", lambda results, number, folder: (folder / "x").write_bytes(bytes(10**6))
    )
    with pytest.raises(StoreError, match=r"disk/a\.figures.*No space left on device: free some space, and rerun"):
        draw(small_disk / "a.zarr")
    assert list(small_disk.iterdir()) == []


def test_a_folder_that_cannot_be_written_to_is_named_with_the_remedy():
    error = PermissionError(errno.EACCES, "Permission denied", "/data/x.csv")
    with (
        pytest.raises(StoreError, match=r"^/data/x\.csv: Permission denied: allow writing there, and rerun$"),
        writing(Path("y")),
    ):
        raise error
