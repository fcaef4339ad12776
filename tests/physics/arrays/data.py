"""Small arrays and tables over (system, …), labelled as `query` returns them."""

from __future__ import annotations

import numpy as np
import xarray as xr

BOX = np.array([7.3, 7.6, 8.0])
N, FRAMES, SYSTEMS = 24, 13, 2
CONFIGURATIONS, TRAJECTORIES = 5, 6
MU = np.round(np.arange(0.5, 2.51, 0.25), 10)
WIDTH = 0.2
LAG = np.array([0.0, *1.4 ** np.arange(13)])
TEMPERATURES = np.round(np.arange(0.45, 1.01, 0.05), 10)
REPLICAS, EXAMPLES, STRATA = 2, 60, 3
LABELS = {
    "system": ["p", "q"],
    "time": np.arange(FRAMES) * 1.0,
    "particle": np.arange(N),
    "xyz": ["x", "y", "z"],
    "neighbor": ["A", "B"],
    "mu": MU,
    "lag": LAG,
    "temperature": TEMPERATURES,
    "replica": np.arange(REPLICAS),
    "stratum": np.arange(STRATA) * 0.5 - 0.5,
    "example": np.arange(EXAMPLES),
    "configuration": np.arange(CONFIGURATIONS),
    "half": np.arange(2),
    "feature": ["energy", "density", "entropy"],
}


def of(values, *dims, **attrs):
    """Array with the labels of its dimensions."""
    coords = {dim: LABELS[dim] for dim in dims if dim in LABELS and len(LABELS[dim]) == values.shape[dims.index(dim)]}
    return xr.DataArray(values, dims=dims, coords=coords, attrs=attrs)


def system_arrays(seed=0):
    """Arrays of two systems, by the names of the arguments that take them."""
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.normal(0, 0.15, (SYSTEMS, FRAMES, N, 3)), axis=1) + rng.random((SYSTEMS, 1, N, 3)) * BOX
    frames = ("system", "time", "particle")
    hop = np.abs(rng.normal(0.15, 0.15, (SYSTEMS, FRAMES, N)))
    hop[:, :2], hop[:, -2:] = np.nan, np.nan
    G = rng.gamma(4, 0.5, (SYSTEMS, N, 2, MU.size))
    g = rng.gamma(4, 0.25, (SYSTEMS, 2, 12))
    r = {"r": (np.arange(12) + 0.5) * 0.25, "fraction": ("neighbor", [0.75, 0.25])}
    return {
        "position": of(walk, *frames, "xyz"),
        "species": of((rng.random((SYSTEMS, N)) < 0.4).astype(np.int8), "system", "particle", names=["A", "B"]),
        "box": of(BOX + rng.random((SYSTEMS, FRAMES, 3)) * 0.2, "system", "time", "xyz"),
        "hop": of(hop, *frames),
        "values": of(rng.normal(0, 0.5, (SYSTEMS, FRAMES, N)), *frames),
        "x": of(rng.normal(0, 1, walk.shape), *frames, "xyz"),
        "G": of(G, "system", "particle", "neighbor", "mu", width=WIDTH),
        "g": of(g, "system", "neighbor", "r").assign_coords(r),
        "density": of(np.array([1.2, 1.1]), "system"),
        "scattering": of(np.exp(-LAG / np.array([[9.0], [20.0]])), "system", "lag"),
        "msd": of(6 * LAG * np.array([[0.2], [0.3]]) + 0.3 * np.sqrt(LAG), "system", "lag"),
    }


def temperature_arrays(seed=1):
    """Tables of two systems over temperatures and strata, a model and what it is trained on."""
    rng = np.random.default_rng(seed)
    E, entropy = np.array([[4.0, 3.3, 2.6], [5.0, 4.0, 3.1]]), np.array([[4.0, 3.0, 2.0], [4.5, 3.2, 2.0]])
    P = np.exp(entropy[:, None] - E[:, None] / TEMPERATURES[:, None]).clip(max=0.9)
    shape = (SYSTEMS, TEMPERATURES.size, REPLICAS, 6, STRATA)
    samples = rng.integers(2000, 4000, shape)
    events = rng.binomial(samples, np.broadcast_to(P[:, :, None, None], shape))
    counts = xr.Dataset({
        name: of(values, "system", "temperature", "replica", "time", "stratum").assign_coords(time=np.arange(6.0))
        for name, values in (("samples", samples), ("events", events))
    })  # fmt: skip
    pooled = counts.sum(["replica", "time"])
    # two temperatures are as few as a line has
    pooled.events[1, 2:, 2] = 0
    P_R = xr.Dataset({"probability": pooled.events / pooled.samples, "events": pooled.events})
    fit = {"activation_energy": of(E, "system", "stratum"), "activation_entropy": of(entropy, "system", "stratum")}
    label = rng.permutation(np.repeat(np.array([-1, 0, 1], np.int8), EXAMPLES // 3))
    G = rng.gamma(4, 0.5, (EXAMPLES, 2, MU.size))
    G[..., 3] += 0.8 * label[:, None]
    return {
        "counts": counts,
        "P": P_R,
        "P_of_one": P_R.isel(system=0, drop=True),
        "fit": xr.Dataset(fit),
        "onset": of(np.array([0.7, 0.75]), "system"),
        "D": of(rng.gamma(4, 0.01, (SYSTEMS, TEMPERATURES.size)), "system", "temperature"),
        "T": of(TEMPERATURES, "temperature"),
        "examples": xr.Dataset(
            {"G": of(G, "example", "neighbor", "mu", width=WIDTH), "label": of(label, "example")}
        ),
        "model": model(rng),
        # of which some lie just within and beyond the cut-off
        "r": of(np.append(rng.uniform(0.85, 2.3, (SYSTEMS, 9)), [[1.99], [2.01]], axis=1), "system", "r"),
    }  # fmt: skip


def ensemble_arrays(seed=2):
    """Isoconfigurational ensembles of two systems, and indicators of their configurations."""
    rng = np.random.default_rng(seed)
    configurations = ("system", "configuration", "particle")
    shape = (SYSTEMS, CONFIGURATIONS, N)
    p = rng.gamma(4, 0.1, shape)
    half = p[:, :, None] + rng.gamma(4, 0.02, (SYSTEMS, CONFIGURATIONS, 2, N))
    initial = rng.random((SYSTEMS, N, 3)) * BOX
    x = rng.normal(0, 1, (CONFIGURATIONS, N, 3)) * [1.0, 0.1, 5.0]
    final = initial[:, None] + rng.normal(0, 0.3, (SYSTEMS, TRAJECTORIES, N, 3))
    return {
        "final": of(final, "system", "trajectory", "particle", "xyz"),
        "initial": of(initial, "system", "particle", "xyz"),
        "indicator": of((p + rng.normal(0, 0.2, shape)).round(1), *configurations),
        "other": of(p + rng.normal(0, 0.2, shape), *configurations),
        "propensity": of(p, *configurations),
        "half": of(half, "system", "configuration", "half", "particle"),
        "features": of(x, "configuration", "particle", "feature"),
        "target": of(x[..., 0] + rng.normal(0, 2, x.shape[:-1]), "configuration", "particle"),
        "predictor": predictor(rng),
    }


def model(rng):
    """Softness as `Softness.to_dataset` writes it, of arbitrary numbers."""
    parts = {
        "weights": rng.normal(0, 1, (2, MU.size)),
        "mean": rng.gamma(4, 0.5, (2, MU.size)),
        "scale": rng.gamma(4, 0.2, (2, MU.size)),
    }
    metrics = {"accuracy": 0.9, "trained_on": 30, "held_out": 10, "soft_examples": 20, "hard_examples": 20}
    return xr.Dataset(
        {
            **{name: of(values, "neighbor", "mu") for name, values in parts.items()},
            **metrics,
            "bias": 0.3,
            "confusion": (("true", "predicted"), np.array([[5, 0], [1, 4]])),
        },
        attrs={"width": WIDTH},
    )


def predictor(rng):
    """Linear predictor as `LinearPredictor.to_dataset` writes it, of arbitrary numbers."""
    parts = {name: of(rng.gamma(4, 0.5, 3), "feature") for name in ("weights", "errors", "mean", "scale")}
    numbers = {"bias": 0.3, "penalty": 0.01, "samples": 100, "configurations": 5, "folds": 5, "explained": 0.4}
    return xr.Dataset(parts | numbers)


def everything():
    """All of them, by name."""
    return {**system_arrays(), **temperature_arrays(), **ensemble_arrays()}
