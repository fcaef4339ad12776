"""Predictor: propensity from structural features, by ridge regression and a support-vector machine, scored unseen."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from daskglass import physics
from daskglass.physics.defaults import EXAMPLES_PER_CLASS
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
from daskglass.stages.structural import MARGIN, PREDICTED
from daskglass.stages.structure import frame_bytes
from daskglass.store.blocks import Block, open_group, write_rows, write_table

RUN = "isoconfigurational"
CONFIGURATIONS = ("replica", "configuration")
TABLES: dict[physics.predictors.Method, str] = {"ridge": "predictor", "support_vectors": "support_vectors"}
WRITES = {"ridge": PREDICTED, "support_vectors": MARGIN}
FEWEST = 3  # configurations that a predictor can be judged on
COMPUTED, MULTIPLIED = 7e-8, 2e-10  # s of a feature, and of a pair of them, of a particle and configuration
SEPARATED = 2e-6  # s of a feature, of a particle and configuration, in all planes


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
    """Fit predictors at one temperature for every lag; predict every configuration by those that never saw it."""
    run = open_group(path, f"{system}/{RUN}").sel(temperature=temperature, method="nearest")
    # one configuration after the other: what it takes to compute features is more than what they take
    where = {name: run[name].load().chunk(replica=1, configuration=1) for name in {positions, "position"}}
    thermal = None if positions == "position" else where["position"]
    of_all = physics.descriptors.structural_features(
        where[positions],
        run["species"].load(),
        run["box"].load(),
        mixture,
        thermal,
        generations,
        physics.structure.mu_grid(*mu),
        width,
    )
    features = of_all.where(run["species"] == 0).compute(scheduler="synchronous")
    propensity = run["propensity"].load()
    known = propensity.notnull().any("particle").sum(CONFIGURATIONS)
    fitted: dict[str, xr.Dataset] = {}
    for method, table in TABLES.items():
        models, predictions = [], []
        for lag in run["lag"].values:
            target = propensity.sel(lag=lag, drop=True)
            if known.sel(lag=lag) < FEWEST:
                predictions.append(xr.full_like(target, np.nan))
                continue
            model, predicted = physics.predictors.fit_and_cross_validate(
                features, target, CONFIGURATIONS, seed, folds, method
            )
            models.append(model.to_dataset().expand_dims(temperature=[temperature], lag=[lag]))
            predictions.append(predicted)
        fitted[table] = xr.concat(models, "lag") if models else xr.Dataset()
        of_lags = xr.concat(predictions, run["lag"], coords="minimal", compat="override").rename(WRITES[method])
        fitted["predicted"] = fitted.get("predicted", xr.Dataset()).assign({WRITES[method]: of_lags})
    fitted["predicted"] = fitted["predicted"].assign_coords(temperature=temperature, configurations=known)
    return fitted


def write_predictions(path: Path, row: Block, fitted: dict[str, xr.Dataset]) -> dict[str, Any]:
    """Write what was predicted for the configurations of one replica."""
    predicted = fitted["predicted"].sel(replica=row.replica).transpose("configuration", "lag", "particle")
    write_rows(path, row, {name: predicted[name].values.astype(np.float32) for name in WRITES.values()})
    return {}


def write_predictors(
    path: Path, system: str, *fitted: dict[str, xr.Dataset], table: str, generations: int
) -> dict[str, Any]:
    """Write the predictors of all temperatures and lags that were fitted by one method; NaN where there is none."""
    for each in fitted:
        T, known = float(each["predicted"]["temperature"]), each["predicted"]["configurations"]
        # a lag that no configuration has is beyond what was simulated, or missing among the files, which says so itself
        if few := [f"{lag:g}" for lag in known["lag"].values[(known > 0) & (known < FEWEST)]]:
            warnings.warn(
                f"{system}, T = {T:g}: no predictor at lag {', '.join(few)} τ: fewer than {FEWEST} configurations have a "
                "propensity there",
                RuntimeWarning,
                stacklevel=1,
            )
    models = [each[table] for each in fitted if each[table]]
    found = xr.concat(models, "temperature", join="outer", combine_attrs="override") if models else xr.Dataset()
    found.attrs["generations"] = generations
    write_table(path, f"{system}/{table}", found)
    return {"features": found.sizes.get("feature", 0)}


def _can_be_judged(plan: Plan) -> bool:
    source = plan.source
    return all(len(source.replicas(run)) * source.runs[run].frames >= FEWEST for run in plan.runs(ENSEMBLES))


def _features(plan: Plan) -> int:
    of_one = frame_bytes(plan) // (VALUE * plan.source.particles) + 2
    return int(of_one * (1 + plan.settings["predictor.generations"]))


def _memory(plan: Plan, run: str) -> int:
    layout, N, features = plan.layouts[RUN], plan.source.particles, _features(plan)
    configurations = layout.sizes["replica"] * layout.frames
    # features twice: those of each configuration, and all of them together
    kept = configurations * N * (2 * POSITION + 2 * 8 * layout.sizes["lag"] + 2 * VALUE * features)
    # of a machine: of each fold, joined, scaled, and as scikit-learn holds them
    examples = min(configurations * N, 2 * EXAMPLES_PER_CLASS)
    folds = min(int(plan.settings["predictor.folds"]), configurations)
    return SMALL + kept + N * (CELLS + 4 * 8 * features) + 4 * 8 * examples * features + (folds + 6) * 8 * features**2


def _seconds(plan: Plan, gpu: bool) -> float:
    features = _features(plan)
    of_lag = MULTIPLIED * features**2 + SEPARATED * features
    return (COMPUTED * features + of_lag * plan.layouts[RUN].sizes["lag"]) * particle_frames(plan, ENSEMBLES)


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
            writes=tuple(WRITES.values()),
            when=_can_be_judged,
        ),
        *(
            Step(
                write_predictors,
                over=WholeSystem(of=ENSEMBLES),
                name=table,
                takes=("fit",),
                table=table,
                settings={"generations": "predictor.generations"},
                constants={"table": table},
                when=_can_be_judged,
            )
            for table in TABLES.values()
        ),
    ),
)
