"""Correlation of softness with other structural variables: the sums it follows from, and its error from training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from daskglass import physics
from daskglass.stages.declare import CELLS, POSITION, SMALL, STRUCTURAL, VALUE, Plan, reading
from daskglass.stages.structural import SOFTNESS
from daskglass.stages.structure import examples_bytes, frame_bytes
from daskglass.store.blocks import Block, open_group, read_block, read_table

SUMS = 6  # of 1, x, y, x², y² and xy
TRAININGS = 20  # of softness, so that errors from it are known to a sixth
CORRELATING = 54  # bytes: softness and the other variable, and what is summed, in double precision


def moments(S: NDArray[np.floating], values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Sums (…, 6) over particles of 1, x, y, x², y² and xy, of softness and another variable."""
    known = np.isfinite(S) & np.isfinite(values)
    x, y = (np.where(known, each, 0.0).astype(np.float64) for each in (S, values))
    return np.stack([each.sum(axis=-1, dtype=np.float64) for each in (known, x, y, x * x, y * y, x * y)], axis=-1)


def pearson_of(moments: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pearson correlation from the sums (…, 6) of 1, x, y, x², y² and xy."""
    n, x, y, xx, yy, xy = np.moveaxis(moments, -1, 0)
    return (xy - x * y / n) / np.sqrt((xx - x * x / n) * (yy - y * y / n))


def training_errors(
    path: Path,
    system: str,
    *,
    positions: str,
    variables: Sequence[str],
    mu: Sequence[float],
    width: float,
    samples_per_class: int,
    C: float,
    seed: int,
) -> dict[str, NDArray[np.float64]]:
    """Standard errors of the correlations with softness from its training: the plane is fitted to examples drawn again.

    For each structural variable (temperature + 1,), pooled last; of the particles of one frame of every row, which all
    planes share: the one nearest to the middle of those that have a softness.
    """
    examples = read_table(path, f"{system}/examples")
    classes = [np.flatnonzero(examples["label"].values == label) for label in physics.softness.CLASSES.values()]
    rng = np.random.default_rng([seed, TRAININGS])
    planes = []
    for _ in range(TRAININGS):
        drawn = np.concatenate([rng.choice(those, those.size) for those in classes])
        planes.append(physics.softness.Softness.fit(examples.isel(example=drawn), seed, samples_per_class, C))
    production, radii = open_group(path, f"{system}/production"), physics.structure.mu_grid(*mu)
    others = [name for name in variables if name != SOFTNESS.name]
    sums = {name: np.zeros((production.sizes["temperature"], TRAININGS, SUMS)) for name in others}
    for k, T in enumerate(production["temperature"].values.tolist()):
        for replica in production["replica"].values.tolist():
            frame = _middle_frame(path, system, T, replica, production.sizes["time"], [positions, *variables])
            G = physics.structure.structure_functions(frame[positions], frame["species"], frame["box"], radii, width)
            S = np.concatenate([plane.transform(G).values for plane in planes])
            for name in others:
                values = frame[name].where(frame["softness"].notnull()).values
                sums[name][k] += moments(S, np.broadcast_to(values, S.shape))
    return {
        name: pearson_of(np.concatenate([each, each.sum(axis=0, keepdims=True)])).std(axis=-1, ddof=1)
        for name, each in sums.items()
    }


def _middle_frame(
    path: Path, system: str, temperature: float, replica: int, frames: int, names: Sequence[str]
) -> xr.Dataset:
    """Variables of the frame nearest to the middle of a row that has a softness; without one, of the last that was tried."""
    for time in sorted(range(frames), key=lambda k: abs(k - frames // 2)):
        frame = read_block(path, Block(system, "production", temperature, replica, time, time + 1), names)
        if frame["softness"].notnull().any():
            break
    return frame


def memory_to_train(plan: Plan, run: str) -> int:
    """Bytes of what the planes are fitted to, or of them and one frame."""
    layout, N = plan.layouts["production"], plan.source.particles
    read = reading(layout, 1, POSITION) + len(plan.settings[STRUCTURAL]) * reading(layout, 1, VALUE)
    softness = TRAININGS * N * (VALUE + CORRELATING)
    examples = examples_bytes(plan)
    # those drawn again beside all
    return SMALL + max(11 * examples, 2 * examples + read + 3 * frame_bytes(plan) + softness + N * CELLS)


def seconds_to_train(plan: Plan, gpu: bool) -> float:
    """Seconds of the fits, and of the structure of one frame of every row."""
    layout = plan.layouts["production"]
    return TRAININGS * 1e-5 * plan.settings["softness.samples_per_class"] + 5e-6 * layout.rows * plan.source.particles
