"""Small stores of made-up liquids, complete enough to be drawn: no simulation."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr

from daskglass.physics import barriers, strata
from daskglass.physics.systems import Mixture, Pair, kob_andersen
from daskglass.store import blocks as store

R = np.arange(0.01, 5, 0.02)
MU = np.arange(0.4, 3.05, 0.1)
STRATA = 5
BINS = 10


def mixture_of(*species: str, density: float = 1.2) -> Mixture:
    """Mixture of the given species, of slightly different sizes."""
    pairs = itertools.combinations_with_replacement(species, 2)
    return Mixture(
        species=species,
        fractions=(1 / len(species),) * len(species),
        pairs={a + b: Pair(epsilon=1.0, sigma=1.0 - 0.05 * k) for k, (a, b) in enumerate(pairs)},
        density=density,
    )


def groups(
    systems: Mapping[str, Mixture] | None = None,
    temperatures: Sequence[float] = (0.9, 0.8, 0.7, 0.6, 0.5),
    replicas: int = 2,
    inherent: bool = True,
    particles: int = 120,
    onset: float = 0.85,
    change: Callable[[str, xr.Dataset], xr.Dataset] = lambda _, ensemble: ensemble,
    title: str = "synthetic",
) -> dict[str, xr.Dataset]:
    """Return the groups of a store; `change` may edit the ensemble of each system."""
    systems = systems or {"ka_0.0": kob_andersen(0.0)}
    study = {"study": title, "systems": [{"system": name} for name in systems]}
    found = {}
    for index, (name, mixture) in enumerate(systems.items()):
        rng = np.random.default_rng(index)
        attrs = {
            "system": name,
            "delta": mixture.delta,
            "density": mixture.density,
            "mixture": mixture.model_dump_json(),
            "study": json.dumps(study),
            "versions": json.dumps({"daskglass": "0.1.0", "numpy": "2.4"}),
        }
        T = np.array(temperatures, dtype=float)
        found[f"{name}/production"] = _production(rng, mixture, T, replicas, particles, inherent).assign_attrs(attrs)
        found[f"{name}/ensemble"] = change(
            name, _ensemble(rng, mixture, T, onset, 0.3 + 0.1 * index, inherent, replicas)
        )
        found[f"{name}/model"] = _model(mixture)
    return found


def build(path: Path, **options: Any) -> Path:
    """Write a store of `groups`."""
    zarr.open_group(path, mode="w")
    for name, dataset in groups(**options).items():
        zarr.open_group(path / Path(name).parent, mode="a")
        store.write_table(path, name, dataset)
    return path


def tree(**options: Any) -> xr.DataTree:
    """Return a store of `groups` as it would be opened, without writing it."""
    return xr.DataTree.from_dict(groups(**options))


def _production(
    rng: np.random.Generator, mixture: Mixture, T: np.ndarray, replicas: int, particles: int, inherent: bool
) -> xr.Dataset:
    frames, edge = 3, mixture.box_length(particles)
    species = rng.permutation(np.repeat(np.arange(len(mixture.species)), mixture.counts(particles)).astype(np.int8))
    shape = (T.size, replicas, frames, particles)
    softness = rng.normal(0, 0.6, shape).astype(np.float32)
    softness[..., species != 0] = np.nan
    side = np.ceil(particles ** (1 / 3))
    lattice = np.array(list(itertools.product(range(int(side)), repeat=3)))[:particles] * edge / side
    position = (lattice + rng.normal(0, 0.08, (*shape, 3))).astype(np.float32)
    dims = ("temperature", "replica", "time", "particle")
    dataset = xr.Dataset(
        {"position": ((*dims, "xyz"), position), "softness": (dims, softness)},
        coords={
            "temperature": T,
            "replica": np.arange(replicas),
            "time": np.arange(frames, dtype=float),
            "species": ("particle", species, {"names": list(mixture.species)}),
            "box": ("xyz", np.full(3, edge)),
            "xyz": list("xyz"),
        },
    )
    return dataset.assign(inherent=dataset["position"]) if inherent else dataset


def _model(mixture: Mixture) -> xr.Dataset:
    return xr.Dataset(
        {
            "weights": (("neighbor", "mu"), np.ones((len(mixture.species), MU.size))),
            "accuracy": 0.875,
            "norm": 1.5,
            "trained_on": 300,
            "held_out": 80,
            "soft_examples": 190,
            "hard_examples": 190,
            "confusion": (("true", "predicted"), [[36, 4], [6, 34]]),
        },
        coords={
            "neighbor": list(mixture.species),
            "mu": MU,
            "true": ["hard", "soft"],
            "predicted": ["hard", "soft"],
        },
    )


def _ensemble(
    rng: np.random.Generator,
    mixture: Mixture,
    T: np.ndarray,
    onset: float,
    pearson: float,
    inherent: bool,
    replicas: int,
) -> xr.Dataset:
    scale = 1 / (1 - 1.12 * mixture.delta) ** 2
    K = len(mixture.species)
    known = 1.0 if replicas > 1 else np.nan
    table = xr.Dataset(coords={"temperature": T, "neighbor": list(mixture.species), "r": R})
    table["density"] = mixture.density
    middles = np.linspace(-0.7, 0.7, BINS)
    table = table.assign_coords(softness_bin=middles, variable=["softness", "local_entropy"])
    for suffix, depth in [("", 3.0), ("_thermal", 1.5)] if inherent else [("", 1.5)]:
        sizes = [mixture.pair(mixture.species[0], other).sigma for other in mixture.species]
        g = np.stack([np.stack([_radial(R / sigma, depth / t * 0.6) for sigma in sizes]) for t in T])
        table[f"g{suffix}"] = ("temperature", "neighbor", "r"), g
        table[f"g{suffix}_err"] = ("temperature", "neighbor", "r"), 0.01 * known * np.ones_like(g)
        table[f"s2{suffix}"] = "temperature", -2 * depth - 0.8 / T * scale
        table[f"s2{suffix}_err"] = "temperature", 0.02 * known * np.ones(T.size)
        grouped = np.stack([np.stack([_radial(R / sigma, depth * (1 - 0.3 * S)) for sigma in sizes]) for S in middles])
        s2 = -3.5 * depth + 1.2 * depth * middles + 0.1 * depth * middles**2
        table[f"g_grouped{suffix}_pooled"] = ("softness_bin", "neighbor", "r"), grouped
        table[f"s2_grouped{suffix}_pooled"] = "softness_bin", s2
        table[f"s2_grouped{suffix}_pooled_err"] = "softness_bin", 0.01 * known * np.ones(BINS)
        table[f"s2_grouped{suffix}"] = ("temperature", "softness_bin"), s2 - 0.1 / T[:, None] + 0 * K
    tau = 0.5 * np.exp(2.2 * scale / T)
    for name, values in (
        ("relaxation_time", tau),
        ("diffusivity", 0.02 / tau),
        ("reduced_diffusivity", 0.02 / tau * mixture.density ** (1 / 3) / np.sqrt(T)),
        ("potential_energy", -7 + T),
        ("pressure", 4 + T),
    ):
        table[name] = "temperature", values
        table[f"{name}_err"] = "temperature", 0.05 * known * np.abs(values)
    for name, values in (
        ("mean_softness", 0.4 * (T - T.mean())),
        ("mean_local_entropy", -3 + T),
        ("pearson", pearson + 0.02 * (T - T.mean())),
        ("recall", 0.7 + 0 * T),
        ("precision", 0.2 * T),
        ("rearranging_fraction", 0.1 * T),
    ):
        table[name] = "temperature", values
        if not name.startswith("mean"):
            table[f"{name}_err"] = "temperature", 0.01 * np.ones(T.size)
    table["pearson_pooled"], table["pearson_pooled_err"] = pearson, 0.01
    x, y = np.arange(-2, 2, 1 / 16), np.arange(-6, -1, 1 / 16)
    bell = np.exp(-(x[:, None] ** 2) - (y + 3.5 - 0.6 * x[:, None]) ** 2) * 900
    table = table.assign_coords(joint_softness=x, joint_local_entropy=y)
    table["joint"] = ("joint_softness", "joint_local_entropy"), rng.poisson(bell)
    fits = [
        _barriers(T, onset, middles_of, spread)
        for middles_of, spread in ((np.linspace(-0.6, 0.6, STRATA), 1.0), (np.linspace(-4.2, -2.7, STRATA), 0.4))
    ]
    table["blocks"] = "temperature", np.full(T.size, 20)
    return with_onset_covariance(xr.merge([table, xr.concat(fits, table["variable"])], join="exact"))


def with_onset_covariance(ensemble: xr.Dataset, correlation: float = 0.0) -> xr.Dataset:
    """Ensemble with the covariance of its onsets, all of one correlation."""
    error = ensemble["onset_temperature_err"]
    same = np.eye(error.size) + correlation * (1 - np.eye(error.size))
    covariance = error * error.rename(variable="variable_2").drop_vars("variable_2")
    return ensemble.assign(onset_temperature_cov=covariance * xr.DataArray(same, dims=("variable", "variable_2")))


def _radial(r: np.ndarray, height: float) -> np.ndarray:
    bumps = 1 + height * np.exp(-(((r - 1.08) / 0.08) ** 2)) + 0.5 * np.exp(-r) * np.sin(7 * r) * 3
    return np.where(r < 0.9, 0.0, bumps)


def _barriers(T: np.ndarray, onset: float, middles: np.ndarray, spread: float) -> xr.Dataset:
    """Strata that meet at the onset temperature with P_R = 0.2."""
    energy = 2.0 - 0.9 * spread * np.linspace(-1, 1, STRATA)
    entropy = np.log(0.2) + energy / onset
    samples = np.full((T.size, STRATA), 400_000)
    events = np.rint(samples * np.exp(entropy - energy / T[:, None])).astype(int)
    counts = xr.Dataset(
        {"samples": (("temperature", "stratum"), samples), "events": (("temperature", "stratum"), events)},
        coords={"temperature": T},
    )
    P = strata.probability_of(counts)
    cold = max(1, int((onset > T).sum()))
    fit = barriers.arrhenius(P.isel(temperature=slice(-cold, None)))
    T_A = barriers.onset_temperature(fit)
    scaled = barriers.collapse(fit, T_A)
    half = (middles[1] - middles[0]) / 2
    table = xr.merge([P, fit, scaled], join="exact")
    terms = xr.DataArray(0.01**2 * np.eye(STRATA + 1), dims=("term", "term_2"))
    return table.assign(
        scaled_entropy_err=0.01 * np.hypot(1, table["scaled_entropy"]),
        scaled_energy_err=0.01 * np.hypot(1, table["scaled_energy"]),
        scaled_entropy_terms_cov=terms,
        scaled_energy_terms_cov=terms,
        probability_err=0.005 * P["probability"],
        spread_err=0.007 * xr.ones_like(P["probability"].isel(stratum=0, drop=True)),
        scatter=0.0 * table["activation_energy"],
        reduced_chi_squared=0.0 * table["activation_energy"],
        onset_temperature=T_A.reset_coords(drop=True),
        onset_temperature_err=0.005 * T_A.reset_coords(drop=True),
        onset_temperature_spread=T_A["spread"].reset_coords(drop=True),
        stratum_edges=("edge", np.append(middles - half, middles[-1] + half)),
        stratum_middle=("stratum", middles),
        supercooled=cold,
    )


def with_density(_: str, ensemble: xr.Dataset) -> xr.Dataset:
    """Ensemble with strata of a third structural variable, which falls as softness rises."""
    ensemble = ensemble.drop_vars("onset_temperature_cov")
    fit = _barriers(ensemble["temperature"].values, 0.85, np.linspace(91, 95, STRATA), -0.6)
    fitted = [name for name, values in ensemble.data_vars.items() if "variable" in values.dims]
    both = xr.concat([ensemble[fitted], fit.expand_dims(variable=["local_density"])], "variable")
    S = ensemble["softness_bin"].values
    means = np.stack([S, -4 + S, 93 - 2 * S - 0.1 * S**2])
    error = xr.zeros_like(ensemble["pearson"]) + 0.01
    more = xr.merge([ensemble.drop_vars([*fitted, "variable"]), both], join="exact")
    return with_onset_covariance(more).assign(
        mean_grouped_pooled=(("variable", "softness_bin"), means),
        mean_grouped_pooled_err=(("variable", "softness_bin"), np.full(means.shape, 0.005)),
        pearson_local_density=-ensemble["pearson"], pearson_local_density_err=error,
        pearson_pooled_local_density=-ensemble["pearson_pooled"], pearson_pooled_local_density_err=0.01,
    )  # fmt: skip
