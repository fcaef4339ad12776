"""Made-up isoconfigurational ensembles and their scoreboard, as a finished store holds them."""

from __future__ import annotations

import json

import numpy as np
import xarray as xr

from daskglass.physics.defaults import GENERATIONS
from daskglass.physics.scores import score, score_difference
from daskglass.physics.systems import kob_andersen
from daskglass.stages.scoreboard import of_differences
from daskglass.stages.structural import AVERAGED, PREDICTED, indicator, written
from daskglass.variables import VARIABLES

N = 300
EDGE = (N / 1.2) ** (1 / 3)
FEATURES = ["E", *(f"G_{neighbor}({mu:g})" for neighbor in "AB" for mu in (0.4, 0.5, 0.6)), "distance"]


def board(
    temperatures: tuple[float, ...] = (0.6, 0.5), lags: tuple[float, ...] = (1.0, 10.0, 100.0), configurations: int = 4
) -> xr.DataTree:
    """One system: indicators follow the propensity the more closely, the more generations they are averaged over."""
    rng = np.random.default_rng(0)
    sizes = {"temperature": len(temperatures), "replica": 2, "configuration": configurations}
    lead = tuple(sizes)
    shape = tuple(sizes.values())
    p = rng.gamma(4.0, 0.1, (*shape, 1, N)) * np.ones((len(lags), 1))
    halves = p[..., None, :] + rng.normal(0, 0.05, (*shape, len(lags), 2, N))
    run = xr.Dataset(
        {
            "position": ((*lead, "particle", "xyz"), rng.uniform(0, EDGE, (*shape, N, 3)).astype(np.float32)),
            "inherent": ((*lead, "particle", "xyz"), rng.uniform(0, EDGE, (*shape, N, 3)).astype(np.float32)),
            "propensity": ((*lead, "lag", "particle"), p),
            "propensity_half": ((*lead, "lag", "half", "particle"), halves),
            "trajectories": ((*lead, "lag"), np.full((*shape, len(lags)), 32)),
            PREDICTED: ((*lead, "lag", "particle"), p + rng.normal(0, 0.1, p.shape)),
        },
        coords={
            "temperature": list(temperatures),
            "replica": [0, 1],
            "configuration": np.arange(1, configurations + 1),
            "lag": list(lags),
            "species": ("particle", np.repeat([0, 1], [240, 60]).astype(np.int8), {"names": ["A", "B"]}),
            "box": ("xyz", np.full(3, EDGE)),
        },
    )
    for suffix in ("", "_thermal"):
        for name in written(suffix):
            generations = GENERATIONS if AVERAGED in name else 0
            noise = 0.6 / np.sqrt(1 + np.arange(max(generations, 1)) + bool(generations))
            x = p[..., :1, :] + noise[:, None] * rng.normal(size=(*shape, noise.size, N))
            dims = (*lead, "generation", "particle") if generations else (*lead, "particle")
            run[name] = dims, -x if generations else -x[..., 0, :], VARIABLES[name].attrs
    run.attrs = {
        "mixture": kob_andersen(0.0).model_dump_json(),
        "study": json.dumps({"study": "ensembles", "systems": [{"system": "ka_0.0"}]}),
        "versions": json.dumps({"daskglass": "0.1.0"}),
    }
    return xr.DataTree.from_dict(
        {"ka_0.0/isoconfigurational": run, "ka_0.0/scoreboard": _scores(run), "ka_0.0/predictor": _predictor(run)}
    )


def _predictor(run: xr.Dataset) -> xr.Dataset:
    """Weights that fall with the generation, of two structure functions and energy."""
    names = [f"{name}{f', {n}' * bool(n)}" for n in range(GENERATIONS + 1) for name in FEATURES]
    sizes = {"temperature": run.sizes["temperature"], "lag": run.sizes["lag"], "feature": len(names)}
    weights = np.broadcast_to(0.1 / (1 + np.arange(len(names))), tuple(sizes.values()))
    return xr.Dataset(
        {"weights": (tuple(sizes), weights), "errors": (tuple(sizes), 0.1 * weights), "explained": 0.5},
        coords={"temperature": run["temperature"], "lag": run["lag"], "feature": names},
    )


def _scores(run: xr.Dataset) -> xr.Dataset:
    boards = []
    for name in (*written(""), *written("_thermal"), PREDICTED):
        found = score(
            run[name], run["propensity"], run["species"], run["propensity_half"], over=("replica", "configuration")
        )
        if "generation" in found.dims:
            names = [indicator(name, n) for n in range(1, GENERATIONS + 1)]
            boards.append(found.rename(generation="indicator").assign_coords(indicator=names))
        else:
            boards.append(found.expand_dims(indicator=[name]))
    scores = xr.concat(boards, "indicator", coords="minimal", compat="override", combine_attrs="override")
    apart = score_difference(scores, scores.rename(indicator="other"))
    return scores.assign(of_differences(apart))
