"""Files to convert, stores made of them, and what both must hold."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import xarray as xr

import daskglass as dg
from daskglass.errors import DaskglassError
from daskglass.pipeline import run as pipeline
from daskglass.store.ledger import Ledger
from daskglass.study.load import study_of_files
from tests.studies import on
from tests.trajectories.files import (
    Run,
    gsd_frames,
    write_frames,
)

TIMESTEP = 0.004
INTERVAL = 250
FRAMES, PARTICLES = 40, 60
PATTERN = "data/{system}/T{temperature:g}/r{replica:d}/traj"
PLACES = [(0.6, 0), (0.6, 1), (0.5, 0), (0.5, 1)]
BAD = (0.5, 0)  # place of the file that is damaged


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
