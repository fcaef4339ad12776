"""Positions are unwrapped by images, or without, in boxes that may vary, whatever the chunks and workers."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from distributed import Client

import daskglass as dg
from daskglass.store import template as layout
from tests.pipeline.conversion.files import (
    BAD,
    PLACES,
    boxes,
    causes,
    file_of,
    make_runs,
    production,
    walk,
    write_files,
    write_varying,
)
from tests.trajectories.files import (
    write_dump,
)


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
