"""Motion: what it is computed from, and its averages at one temperature and replica."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from typing_extensions import override

from daskglass import physics
from daskglass.stages.declare import MOTION, MOVING, POSITION, Item, Place, Plan, Rows, affine, reading
from daskglass.store.blocks import Block, open_arrays, read_block, write_rows

CURVES, ERRORS = ("scattering", "msd"), ("scattering_err", "msd_err")
MOST_FRAMES = (
    1024  # of a run at equal intervals, in memory at once: windows of a lag overlap enough with one origin in ten
)
PAIR = 48  # bytes of a pair of frames: three indices, gathered and joined


def moved(path: Path, block: Block, position: xr.DataArray, box: xr.DataArray) -> xr.DataArray:
    """Positions that dynamics are computed from: in a box that varies, relative to it, as if it kept its first size."""
    if "time" not in box.dims:
        return position
    # of the row, not of the block: the same for all blocks, and for frames that join later
    first = read_block(path, replace(block, start=0, stop=1), [])["box"]
    return physics.affine.without_affine_motion(position, box, first.isel(time=0, drop=True))


@dataclass(frozen=True)
class MovingRows(Rows):
    """Rows of the run that motion is computed in, each with those of runs at equal intervals that have some of its lags."""

    @override
    def items(self, plan: Plan) -> Iterator[Item]:
        for item in super().items(plan):
            row, *others = moving(plan, item.place)
            yield replace(item, arguments=(plan.path, row, tuple(others)))


def moving(plan: Plan, row: Block | Place) -> list[Block]:
    """Rows of one temperature and replica that motion is computed in, that of the run that is made for it first."""
    assert isinstance(row, Block)
    same = (row.temperature, row.replica)
    return [each for each in plan.rows(MOVING) if (each.temperature, each.replica) == same]


def bulk_dynamics(path: Path, row: Block, others: Sequence[Block] = (), *, q: float) -> dict[str, Any]:
    """Scattering function and mean squared displacement of one temperature and replica, over the lags it has."""
    lags = np.asarray(open_arrays(path, row.group)["lag"], np.float64)
    runs = []
    for each in (row, *others):
        run = read_block(path, each, ["position"], every=1 if each == row else _every(each.stop - each.start))
        position = moved(path, each, run["position"], run["box"])
        at_lags = physics.motion.motion if each == row else physics.motion.motion_between
        runs.append(at_lags(position, run["species"], lags, q))
    motion = physics.motion.averaged(runs)
    errors = physics.motion.standard_errors(motion, lags)
    write_rows(path, row, dict(zip((*CURVES, *ERRORS), (*motion.curves, *errors), strict=True)))
    return {}


def memory(plan: Plan, run: str) -> int:
    """Bytes of `bulk_dynamics` on a row, which holds one run at a time."""
    layout, N, F = plan.layouts[run], plan.source.particles, _frames(plan, run)
    return F * N * POSITION + max(reading(layout, F, POSITION), F * N * affine(plan) + _pairs(plan, run) * PAIR)


def seconds(plan: Plan, gpu: bool) -> float:
    """Seconds of one core of `bulk_dynamics` on all rows."""
    pairs = sum(plan.number(MOVING, run) * _pairs(plan, run) for run in plan.runs(MOVING))
    return 4e-9 * plan.source.particles * pairs


def _every(frames: int) -> int:
    """Of how many frames of a run one is used, where there are more than fit into memory."""
    return math.ceil(frames / MOST_FRAMES)


def _frames(plan: Plan, run: str) -> int:
    """Frames of a row of a run that are used."""
    frames = plan.layouts[run].frames
    return frames if run in plan.runs(MOTION) else math.ceil(frames / _every(frames))


def _pairs(plan: Plan, run: str) -> int:
    """Pairs of frames of a row of a run: at all its lags, or at two beside each of those of the run made for motion."""
    (of_lags,) = plan.runs(MOTION)
    F, lags = _frames(plan, run), int(plan.layouts[of_lags].sizes["lag"])
    return int(min(F * (F - 1) // 2, (1 if run == of_lags else 2) * F * lags))
