"""Gather: configurations of isoconfigurational ensembles come into the store, with the propensities of their particles."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from daskglass import physics
from daskglass.engines.ensembles import Isoconfigurational, Motion, motion_of
from daskglass.errors import DataError, EngineError, TrajectoryError
from daskglass.sources import Ends, Started, changed_while_read
from daskglass.stages.declare import ENSEMBLES, MOVED, POSITION, Blocks, Item, Plan, Step, per_particle_frame
from daskglass.store.blocks import Block, open_arrays, quantize, read_block, write_block
from daskglass.trajectories.isoconfigurational import CAGE, Contents, read, scan
from daskglass.trajectories.several_files import get_reader
from daskglass.trajectories.survey import state_of
from daskglass.trajectories.unwrapping import read_frames

SAME_PLACE = 1e-4  # σ: positions of one configuration in several files, rounded; a time step moves particles farther
SAME_PROPENSITY = 1e-3  # σ: rounding of a propensity that is given
OF_A_TRAJECTORY = 96  # bytes of a particle: position as read, displacement and distance


@dataclass(frozen=True)
class Configurations:
    """Every configuration of an isoconfigurational ensemble."""

    def items(self, plan: Plan) -> Iterator[Item]:
        """List the configurations, with the files of each."""
        for block in plan.blocks(ENSEMBLES):
            feed = plan.source.feed(block)
            yield Item(block, (plan.path, block, feed.origin), feed.inputs, (), feed.problem)

    def count(self, plan: Plan) -> Mapping[str, int]:
        """Count the configurations."""
        return Blocks(ENSEMBLES).count(plan)


def gather(
    path: Path, block: Block, source: Ends | Started, *, species: Sequence[str], precision: float | None
) -> dict[str, Any]:
    """Bring a configuration into the store, with the propensities of its particles at every lag; NaN where no file is."""
    run = read_block(path, block, [])
    found = _of_ends(source, run) if isinstance(source, Ends) else _of_trajectories(source, run, species)
    known = {"position": quantize(found.position.astype(np.float32), precision)[None]}
    if "cage" in open_arrays(path, block.group):
        known["cage"] = found.cage.astype(np.float32)[None]
    values = zip(*found.propensities, strict=True)
    names = ("propensity", "propensity_half", "trajectories")
    write_block(path, block, known | {name: np.stack(each)[None] for name, each in zip(names, values, strict=True)})
    where = f"{block.system}, T = {block.temperature:g}, replica {block.replica}, configuration {int(run['configuration'][0])}"
    if not found.there:
        warnings.warn(f"{where}: no file; it is NaN", RuntimeWarning, stacklevel=1)
    elif found.missing:
        lags = ", ".join(f"{lag:g}" for lag in found.missing)
        warnings.warn(f"{where}: no file at lag {lags} τ; propensities are NaN there", RuntimeWarning, stacklevel=1)
    return {"frames": int(found.there)}


# of all trajectories, and of two halves; and the number of trajectories, -1 unknown
Propensity = tuple[NDArray[np.float64], NDArray[np.float64], int]


@dataclass(frozen=True)
class _Configuration:
    """A configuration, centres of its cages, and the propensities at every lag; `missing`: lags that there is no file at."""

    position: NDArray[np.floating]
    cage: NDArray[np.floating]
    propensities: Sequence[Propensity]
    missing: Sequence[float] = ()

    @property
    def there(self) -> bool:
        return bool(np.isfinite(self.position).all())


def _of_ends(source: Ends, run: xr.Dataset) -> _Configuration:
    """What files hold that say where trajectories end, one for each lag."""
    N = run.sizes["particle"]
    nowhere = np.full((N, 3), np.nan)
    first: Path | None = None
    at: dict[str, NDArray[np.float64]] = {"initial_positions": nowhere, CAGE: nowhere}
    propensities: list[Propensity] = []
    for file in source.files.values():
        if file is None:
            propensities.append((np.full(N, np.nan), np.full((2, N), np.nan), 0))
            continue
        contents = scan(file)
        mine = {name: read(file, name) for name in at if name in contents.shapes}
        for name, x in mine.items():
            if first is not None and not np.allclose(x, at[name], rtol=0, atol=SAME_PLACE):
                raise TrajectoryError(
                    f"{name} are not those of {first}: trajectories of one configuration must start from it", file=file
                )
        if first is None:
            first, at = file, at | mine
        propensities.append(_of_file(file, contents, at["initial_positions"], run))
        if state_of(file) != source.states[file]:
            raise changed_while_read(file)
    missing = [lag for lag, file in source.files.items() if file is None]
    return _Configuration(at["initial_positions"], at[CAGE], propensities, missing)


def _of_file(file: Path, contents: Contents, position: NDArray[np.float64], run: xr.Dataset) -> Propensity:
    given = None
    if "md_prop" in contents.shapes:
        given = read(file, "md_prop")
        if (given < 0).any():
            raise TrajectoryError(f"md_prop of particle {np.argmin(given)} is {given.min():g}, below 0", file=file)
        if "positions" not in contents.shapes:
            return given, np.full((2, given.size), np.nan), -1
    final = read(file, "positions")
    found = _propensity(file, final, position, run)
    if given is not None:
        _check_propensity(file, given, found[0], final, position)
    return found


def _check_propensity(
    file: Path,
    given: NDArray[np.float64],
    computed: NDArray[np.float64],
    final: NDArray[np.float64],
    position: NDArray[np.float64],
) -> None:
    """Refuse a propensity that is not the mean of |displacement| in the same file, its drift removed or not."""
    drift = np.linalg.norm((final - position).mean(axis=1), axis=-1).mean()
    apart = np.abs(given - computed)
    # | |Δr − d| − |Δr| | ≤ |d|
    if (apart > SAME_PROPENSITY + drift).any():
        k = int(np.argmax(apart))
        raise TrajectoryError(
            f"md_prop of particle {k} is {given[k]:g} σ, but positions have moved by {computed[k]:g} σ on average, held to "
            f"{SAME_PROPENSITY:g} σ",
            file=file,
            remedy="leave out the array that is wrong",
        )


def _of_trajectories(source: Started, run: xr.Dataset, species: Sequence[str]) -> _Configuration:
    """What trajectories hold whose first frames are the configuration."""
    N, box = run.sizes["particle"], run["box"].values
    if not source.origins:
        nowhere = np.full((N, 3), np.nan)
        nothing = (np.full(N, np.nan), np.full((2, N), np.nan), 0)
        return _Configuration(nowhere, nowhere, [nothing] * len(source.steps))
    first = source.origins[0]
    position: NDArray[np.float32] | None = None
    final = np.empty((len(source.steps), len(source.origins), N, 3), np.float32)
    for m, origin in enumerate(source.origins):
        assert origin.survey is not None
        origin.check_unchanged()
        kept = [0, *np.searchsorted(origin.survey.elapsed, source.steps).tolist()]
        frames = read_frames(
            origin.path,
            origin.reader,
            0,
            kept[-1] + 1,
            run["species"].values,
            source.names,
            origin.survey.offsets,
            images=origin.images,
            only=kept,
        )
        origin.check_unchanged()
        start = frames.position[0]
        position = start if position is None else position
        # images may be counted from another box
        boxes = box * np.rint((start - position) / box)
        apart = np.linalg.norm(start - boxes - position, axis=-1)
        if apart.max() > SAME_PLACE:
            raise TrajectoryError(
                f"particle {np.argmax(apart)} is {apart.max():.2g} σ from where it is in {first.path}: trajectories of one "
                "configuration must start from it",
                file=origin.path,
                frame=0,
            )
        final[:, m] = frames.position[1:] - boxes
    assert position is not None
    propensities = [_propensity(first.path, each, position, run) for each in final]
    return _Configuration(position, np.full((N, 3), np.nan), propensities)


def _propensity(file: Path, final: NDArray[np.floating], position: NDArray[np.floating], run: xr.Dataset) -> Propensity:
    """Propensities of trajectories that end at some positions (trajectory, particle, 3)."""
    initial = xr.DataArray(position, dims=("particle", "xyz"))
    ends = xr.DataArray(final, dims=("trajectory", "particle", "xyz"))
    try:
        p = physics.propensity.propensity(ends, initial, run["species"], box=run["box"])
        with warnings.catch_warnings():
            # of one trajectory there are no halves, which the scoreboard says
            warnings.simplefilter("ignore")
            halves = physics.propensity.propensity(ends, initial, run["species"], half=True)
    except DataError as error:
        raise TrajectoryError(str(error), file=file) from None
    return p.values, halves.values, len(final)


def average(
    path: Path, block: Block, trajectories: Isoconfigurational, *, species: Sequence[str], precision: float | None
) -> dict[str, Any]:
    """Bring a frame of the production run into the store, with the propensities of its particles at every lag."""
    run = read_block(path, block, [])
    frame, production = trajectories.frame, trajectories.production
    frames = read_frames(
        production, get_reader("gsd", ()), frame, frame + 1, run["species"].values, species, (), None, "trusted"
    )
    motions = [motion_of(trajectories.folder, number) for number in trajectories.numbers]
    distance = np.stack([motion.distance for motion in motions]).astype(np.float64)
    p = distance.mean(axis=0)
    halves = np.full((2, *p.shape), np.nan)
    if len(distance) > 1:
        halves[:] = physics.propensity.halves_of(distance)
    lags = len(trajectories.steps)
    values = {
        "propensity": _at_all(lags, p),
        "propensity_half": _at_all(lags, np.moveaxis(halves, 0, 1)),
        "trajectories": np.where(np.arange(lags) < len(p), len(motions), 0),
        "mean_potential_energy": _at_all(lags, np.mean([motion.energy for motion in motions], axis=0)),
        "mean_pressure": _at_all(lags, np.mean([motion.pressure for motion in motions], axis=0)),
    }
    if trajectories.positions:
        values["final_position"] = np.stack([_at_all(lags, _moved(frames.position[0], motion)) for motion in motions])
        values["final_position"] = quantize(values["final_position"], precision)
    write_block(
        path,
        block,
        {"position": quantize(frames.position, precision)} | {name: each[None] for name, each in values.items()},
    )
    return {"frames": 1}


def _moved(position: NDArray[np.float32], motion: Motion) -> NDArray[np.float32]:
    """Positions (lag, particle, xyz) that particles move to."""
    if motion.displacement is None:
        raise EngineError("a trajectory keeps no positions", remedy="run the study again")
    return (position.astype(np.float64) + motion.displacement).astype(np.float32)


def _at_all(lags: int, values: NDArray[Any]) -> NDArray[Any]:
    """Values (lag, …) at all lags of a run: NaN at those that trajectories of a temperature do not reach."""
    return np.pad(values, [(0, lags - len(values)), *[(0, 0)] * (values.ndim - 1)], constant_values=np.nan)


def _simulates(plan: Plan) -> bool:
    return bool(plan.source.simulations)


def _comes_from_files(plan: Plan) -> bool:
    return not plan.source.simulations


def _memory(plan: Plan, run: str) -> int:
    sizes, N = plan.layouts[run].sizes, plan.source.particles
    # read, moved, and encoded
    kept = 4 * POSITION * sizes["lag"] * sizes.get("trajectory", 0)
    return N * (plan.source.runs[run].trajectories * (OF_A_TRAJECTORY + 12 * sizes["lag"]) + kept)


STEPS = (
    Step(
        gather,
        over=Configurations(),
        name="ensemble",
        writes=("position", "propensity", "propensity_half", "trajectories", "cage"),
        recorded=True,
        settings={"species": "species", "precision": "precision"},
        memory=_memory,
        seconds=per_particle_frame(2e-5, ENSEMBLES),
        when=_comes_from_files,
    ),
    Step(
        average,
        over=Configurations(),
        name="trajectories",
        reads=(MOVED,),
        writes=(
            "position",
            "propensity",
            "propensity_half",
            "trajectories",
            "mean_potential_energy",
            "mean_pressure",
            "final_position",
        ),
        recorded=True,
        settings={"species": "species", "precision": "precision"},
        memory=_memory,
        seconds=per_particle_frame(2e-6, ENSEMBLES),
        when=_simulates,
    ),
)
