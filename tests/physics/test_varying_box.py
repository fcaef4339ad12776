"""Dynamics in a box that varies are those of motion relative to it, block by block as at once."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import daskglass as dg
from daskglass.errors import DataError
from daskglass.pipeline.plan import plan_study
from daskglass.pipeline.tasks import tasks_of
from daskglass.stages.hops import hops
from daskglass.stages.motion import bulk_dynamics
from daskglass.store import template as layout
from daskglass.study.load import study_of_files
from daskglass.study.settings import HopSettings, RadialSettings, StructureSettings, Study
from tests.conftest import particles
from tests.trajectories.files import Run, gsd_frames, write_frames

EDGES = np.array([5.0, 5.5, 6.0])
FRAMES, IMAGES, WINDOW = 41, 30, 10.0
LAGS = np.array([1.0, 4.0, 20.0])


def breathing(frames=FRAMES, part=0.01, seed=1):
    """Edges of a box that varies by a part of them, (frame, 3); single precision, as files hold them."""
    edges = EDGES * (1 + part * np.random.default_rng(seed).uniform(-1, 1, (frames, 3)))
    return np.float32(edges).astype(np.float64)


def at_fixed_fractions(count=60, dtype=np.float32, box=None):
    """Particles up to 30 images away, each at fixed fractions of the edges of a box."""
    box = breathing() if box is None else box
    fraction = np.random.default_rng(0).uniform(-IMAGES, IMAGES, (count, 3))
    return over(fraction * box[:, None], box, dtype)


def over(position, box, dtype=np.float64):
    run = particles(position.astype(dtype), np.zeros(position.shape[1], np.int8), names=["A"])
    return run.assign(box=(("time", "xyz"), box))


def walk(frames=FRAMES, count=20, seed=3):
    rng = np.random.default_rng(seed)
    return rng.uniform(-9, 9, (count, 3)) + np.cumsum(rng.normal(0, 0.1, (frames, count, 3)), axis=0)


def rest(position):
    """Largest |Δx|² of a particle at rest: errors of storing and of scaling, in both frames, and of their drifts."""
    error = 2 * np.finfo(position.dtype).epsneg / 2 * float(abs(position).max())
    return 3 * (4 * error) ** 2


# --- motion relative to the box ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "digits"), [(np.float32, 2e-8), (np.float64, 1e-25)])
def test_particles_that_move_with_the_box_alone_are_at_rest(dtype, digits):
    run = at_fixed_fractions(dtype=dtype)
    tolerance = rest(run.position)
    assert tolerance < digits
    moved = dg.without_affine_motion(run.position, run.box)
    assert float(dg.hop_indicator(moved, WINDOW).max()) <= tolerance
    assert float(dg.mean_squared_displacement(moved, run.species).max()) <= tolerance
    assert float(dg.scattering_function(moved, run.species).min()) >= 1 - 7.14**2 / 6 * tolerance
    # not so of the positions themselves: most of them would count as rearranging
    assert float(dg.hop_indicator(run.position, WINDOW).median()) > 0.2


def test_only_motion_relative_to_the_box_is_left():
    x, box = walk(), breathing()
    run = over(x * (box / box[0])[:, None], box)
    np.testing.assert_allclose(dg.without_affine_motion(run.position, run.box), x, rtol=1e-13)


def test_the_origin_of_positions_does_not_matter():
    run = over(walk(), breathing())
    shifted = run.position + xr.DataArray([100.0, -40.0, 7.0], dims="xyz")
    hop, other = (dg.hop_indicator(dg.without_affine_motion(x, run.box), WINDOW) for x in (run.position, shifted))
    np.testing.assert_allclose(other, hop, rtol=1e-5)


def test_each_run_keeps_the_box_of_its_own_first_frame_unless_another_is_given():
    runs = [over(walk(seed=k), breathing(seed=k)) for k in range(2)]
    both = xr.concat(runs, "replica")
    moved = dg.without_affine_motion(both.position, both.box)
    for k, run in enumerate(runs):
        np.testing.assert_array_equal(moved.isel(replica=k), dg.without_affine_motion(run.position, run.box))
        np.testing.assert_array_equal(moved.isel(replica=k, time=0), run.position.isel(time=0))
    half = dg.without_affine_motion(both.position, both.box, both.box.isel(time=0) / 2)
    np.testing.assert_allclose(half, moved / 2, rtol=1e-14)


@pytest.mark.parametrize("dims", [("xyz",), ("time", "xyz")])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_in_a_constant_box_no_bit_changes(dims, dtype):
    run = at_fixed_fractions(dtype=dtype, box=np.broadcast_to(EDGES, (FRAMES, 3)))
    box = xr.DataArray(np.broadcast_to(EDGES, [run.sizes[dim] for dim in dims]), dims=dims)
    xr.testing.assert_identical(dg.without_affine_motion(run.position, box), run.position)


@pytest.mark.parametrize("frames", [1, 7, FRAMES])
def test_positions_relative_to_the_box_are_lazy_and_equal_to_the_bit_for_any_chunks(frames):
    run = at_fixed_fractions()
    lazy = dg.without_affine_motion(run.position.chunk(time=frames), run.box.chunk(time=5))
    assert lazy.chunks is not None
    expected = dg.without_affine_motion(run.position, run.box)
    assert lazy.dtype == expected.dtype == np.float32
    xr.testing.assert_identical(lazy.compute(), expected)


def test_frames_that_are_missing_stay_missing():
    run = at_fixed_fractions().astype(np.float64)
    holed = run.where(run.time != 4)
    moved = dg.without_affine_motion(holed.position, holed.box)
    xr.testing.assert_equal(moved, dg.without_affine_motion(run.position, run.box).where(run.time != 4))


@pytest.mark.parametrize("edge", [0.0, -5.0, np.nan, np.inf])
@pytest.mark.parametrize("frame", [0, 7])
def test_a_box_that_is_none_is_refused(edge, frame):
    run = at_fixed_fractions()
    run.box[frame, 1] = edge
    with pytest.raises(DataError, match=rf"frame \({frame},\): box edges must be|box is not finite at time {frame}, "):
        dg.without_affine_motion(run.position, run.box)


# --- in a store ----------------------------------------------------------------------------------------------------


def write_wrapped(path: Path, run: xr.Dataset) -> None:
    """Write a run as files hold it: wrapped into the box of each frame, with images."""
    box, x = run.box.values, run.position.values
    image = np.rint(x / box[:, None])
    wrapped = (x - image * box[:, None]).astype(np.float32)
    file = Run(
        250 * np.arange(len(x)), box[0], np.zeros(3), wrapped, image.astype(np.int32), run.species.values, ("A",)
    )
    frames = list(gsd_frames(file))
    for frame, edges in zip(frames, box, strict=True):
        frame.configuration.box = [*edges, 0, 0, 0]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_frames(path, frames)


def study_of(store: Path, pattern: str) -> Study:
    """Return a study of files of small boxes."""
    study = study_of_files(store, path=pattern, format="gsd", timestep=0.004)
    small = {
        "structure": StructureSettings(mu=(0.4, 1.2, 0.1)),
        "radial": RadialSettings(r_max=1.5),
        "hops": HopSettings(window=WINDOW),
    }
    return study.model_copy(update=small)


def analysed(folder: Path, run: xr.Dataset) -> xr.Dataset:
    """Bring a run from a file of it into a store, compute its hops and bulk dynamics as a study does, and read it back."""
    write_wrapped(folder / "ka/T0.5.gsd", run)
    pattern = str(folder / "{system}/T{temperature:g}.gsd")
    (plan,) = plan_study(study_of(folder / "out.zarr", pattern))
    template = plan.layouts["production"]
    lag = xr.DataArray(LAGS, dims="lag")
    coordinates, sizes = {**template.coordinates, "lag": lag}, {**template.sizes, "lag": lag.size}
    layout.lay_out(plan.path, replace(template, coordinates=coordinates, sizes=sizes), {})
    for task in tasks_of(plan, ["convert"]):
        task.function(*task.arguments, **task.settings)
    for block in reversed(template.blocks()):
        hops(plan.path, block, positions="position", window=WINDOW)
    for row in plan.rows("production"):
        bulk_dynamics(plan.path, row, q=7.14)
    return dg.open_store(plan.path)["ka/production"].to_dataset().isel(temperature=0, replica=0).load()


@pytest.fixture(scope="module")
def moving():
    return over(walk(), breathing())


@pytest.fixture(scope="module")
def stored(tmp_path_factory, moving):
    return analysed(tmp_path_factory.mktemp("moving"), moving)


def test_a_study_finds_particles_that_move_with_the_box_at_rest(tmp_path):
    run = analysed(tmp_path, at_fixed_fractions(dtype=np.float64))
    # stored wrapped in the file, and unwrapped in the store
    tolerance = 4 * rest(run.position)
    assert float(run.hop.max()) <= tolerance
    assert run.hop.notnull().any("particle").sum() == FRAMES - 10
    assert float(run.msd.max()) <= tolerance
    assert float(run.scattering.min()) >= 1 - 7.14**2 / 6 * tolerance


def test_a_study_computes_the_dynamics_that_the_functions_give(stored):
    moved = dg.without_affine_motion(stored.position, stored.box)
    np.testing.assert_array_equal(stored.hop, dg.hop_indicator(moved, WINDOW))
    np.testing.assert_array_equal(stored.scattering, dg.scattering_function(moved, stored.species, lags=LAGS))
    np.testing.assert_array_equal(stored.msd, dg.mean_squared_displacement(moved, stored.species, LAGS))


def test_dynamics_in_a_varying_box_do_not_depend_on_blocks(tmp_path, moving, stored, monkeypatch):
    monkeypatch.setattr(layout, "CHUNK_FRAMES", 7)
    run = analysed(tmp_path, moving)
    for name in ("hop", "scattering", "msd"):
        np.testing.assert_array_equal(run[name], stored[name])


def test_frames_that_join_later_leave_the_hops_before_them_as_they_are(tmp_path, moving, stored):
    earlier = analysed(tmp_path, moving.isel(time=slice(25)))
    known = earlier.hop.notnull().all("particle").values
    assert known.sum() == 15
    np.testing.assert_array_equal(earlier.hop[known], stored.hop.isel(time=slice(25))[known])


@pytest.mark.parametrize("varies", [True, False])
def test_hops_of_every_block_wait_for_the_box_of_the_first_frame_where_it_varies(tmp_path, varies):
    box = 3 * breathing() if varies else np.tile(3 * EDGES, (FRAMES, 1))
    write_wrapped(tmp_path / "ka/T0.5.gsd", over(walk(), box))
    pattern = str(tmp_path / "{system}/T{temperature:g}.gsd")
    (plan,) = plan_study(study_of(tmp_path / "out.zarr", pattern))
    first, *_, last = [task for task in tasks_of(plan) if task.key.startswith("hops-ka/production/T0.5/r0/")][:3]
    assert first.key.endswith("/0")
    assert last.key.endswith("/32")
    assert ("convert-ka/production/T0.5/r0/0" in last.after) == varies
