"""Predictor: ridge regression of propensity on structural features, judged on configurations that it never saw."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from daskglass import physics
from daskglass.physics.systems import Mixture
from daskglass.stages.declare import (
    CELLS,
    ENSEMBLES,
    POSITION,
    POSITIONS,
    SMALL,
    VALUE,
    Plan,
    Rows,
    Stage,
    Step,
    Temperatures,
    WholeSystem,
    particle_frames,
)
from daskglass.stages.structural import PREDICTED
from daskglass.stages.structure import frame_bytes
from daskglass.store.blocks import Block, open_group, write_rows, write_table

RUN = "isoconfigurational"
CONFIGURATIONS = ("replica", "configuration")
FEWEST = 3  # configurations that a predictor can be judged on
COMPUTED, MULTIPLIED = 7e-8, 2e-10  # s of a feature, and of a pair of them, of a particle and configuration


def fit(
    path: Path,
    system: str,
    temperature: float,
    *,
    positions: str,
    mixture: Mixture,
    mu: Sequence[float],
    width: float,
    generations: int,
    folds: int,
    seed: int,
) -> dict[str, xr.Dataset]:
    """Fit a predictor at one temperature for every lag; predict every configuration by one that never saw it."""
    # who only plans needs no Dask
    import dask

    run = open_group(path, f"{system}/{RUN}").sel(temperature=temperature, method="nearest")
    # of one configuration at a time: features take more memory than all else
    where = {name: run[name].load().chunk(replica=1, configuration=1) for name in {positions, "position"}}
    thermal = None if positions == "position" else where["position"]
    features = physics.descriptors.structural_features(
        where[positions],
        run["species"].load(),
        run["box"].load(),
        mixture,
        thermal,
        generations,
        physics.structure.mu_grid(*mu),
        width,
    )
    of_first = features.where(run["species"] == 0)
    p = run["propensity"].load()
    # trajectories end earlier where motion is faster
    judged = p.notnull().any("particle").sum(CONFIGURATIONS) >= FEWEST
    lags = run["lag"][judged.values]
    models, predictions = [], []
    with dask.config.set(scheduler="synchronous"):
        for lag in lags.values:
            given = (of_first, p.sel(lag=lag, drop=True), CONFIGURATIONS, seed, folds)
            models.append(physics.predictors.LinearPredictor.fit(*given).to_dataset())
            predictions.append(physics.predictors.LinearPredictor.cross_validated(*given))
    return {
        "model": xr.concat(models, lags).expand_dims(temperature=[temperature]),
        "predicted": xr.concat(predictions, lags).reindex(lag=run["lag"]).to_dataset(name=PREDICTED),
    }


def write_predictions(path: Path, row: Block, fitted: dict[str, xr.Dataset]) -> dict[str, Any]:
    """Write what was predicted for the configurations of one replica."""
    predicted = fitted["predicted"][PREDICTED].sel(replica=row.replica).transpose("configuration", "lag", "particle")
    write_rows(path, row, {PREDICTED: predicted.values.astype(np.float32)})
    return {}


def write_predictors(path: Path, system: str, *fitted: dict[str, xr.Dataset], generations: int) -> dict[str, Any]:
    """Write the predictors of all temperatures and lags."""
    table = xr.concat([each["model"] for each in fitted], "temperature", combine_attrs="override")
    table.attrs["generations"] = generations
    write_table(path, f"{system}/predictor", table)
    return {"features": table.sizes["feature"]}


def _can_be_judged(plan: Plan) -> bool:
    source = plan.source
    return all(len(source.replicas(run)) * source.runs[run].frames >= FEWEST for run in plan.runs(ENSEMBLES))


def _features(plan: Plan) -> int:
    of_one = frame_bytes(plan) // (VALUE * plan.source.particles) + 2
    return int(of_one * (1 + plan.settings["predictor.generations"]))


def _memory(plan: Plan, run: str) -> int:
    layout, N, features = plan.layouts[RUN], plan.source.particles, _features(plan)
    configurations = layout.sizes["replica"] * layout.frames
    kept = configurations * N * (2 * POSITION + 2 * 8 * layout.sizes["lag"])
    folds = min(int(plan.settings["predictor.folds"]), configurations)
    return SMALL + kept + N * (CELLS + 4 * 8 * features) + (folds + 6) * 8 * features**2


def _seconds(plan: Plan, gpu: bool) -> float:
    features = _features(plan)
    of_one = COMPUTED * features + MULTIPLIED * features**2
    return 2 * of_one * plan.layouts[RUN].sizes["lag"] * particle_frames(plan, ENSEMBLES)


STAGE = Stage(
    "predictor",
    (
        Step(
            fit,
            over=Temperatures(ENSEMBLES),
            name="fit",
            reads=(POSITIONS, "position", "propensity"),
            settings={
                "positions": POSITIONS,
                "mixture": "mixture",
                "mu": "structure.mu",
                "width": "structure.width",
                "generations": "predictor.generations",
                "folds": "predictor.folds",
                "seed": "predictor.seed",
            },
            memory=_memory,
            seconds=_seconds,
            when=_can_be_judged,
        ),
        Step(
            write_predictions,
            over=Rows(ENSEMBLES),
            name="predictions",
            takes=("fit",),
            writes=(PREDICTED,),
            when=_can_be_judged,
        ),
        Step(
            write_predictors,
            over=WholeSystem(of=ENSEMBLES),
            takes=("fit",),
            table="predictor",
            settings={"generations": "predictor.generations"},
            when=_can_be_judged,
        ),
    ),
)
