"""Barriers: Arrhenius fits of every structural variable, their collapse, and structure grouped by softness."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from daskglass import physics
from daskglass.errors import StudyError
from daskglass.physics.labels import SAME
from daskglass.stages.declare import (
    CELLS,
    POSITION,
    POSITIONS,
    PRODUCTION,
    SMALL,
    STRUCTURAL,
    VALUE,
    Blocks,
    Plan,
    Reduce,
    Rows,
    Stage,
    Step,
    WholeSystem,
    reading,
)
from daskglass.stages.ensemble import block_frames, counts_bytes, independent_blocks
from daskglass.stages.entropy import RADIAL
from daskglass.stages.pairs import FINITE, add, held, kinds_of, pairs, seconds_of_pairs
from daskglass.store.blocks import Block, add_to_table, open_group, read_block, read_table

OF_TABLES = 0.15  # s: xarray, on tables of any size; resamples of the bootstrap take 20 µs each
STRATIFYING = 10  # bytes: places of values between the edges, before they become groups
OF_P = ("probability_err", "spread_err")  # errors of what no fit is needed for
BARRIERS = (
    *("temperatures_used", "events", "samples", "supercooled", "softness_bin", "stratum_edges", "stratum_middle"),
    *("onset_probability", "onset_temperature_spread", "scatter", "reduced_chi_squared"),
    *("scaled_energy_terms_cov", "scaled_entropy_terms_cov", "spread_err", "onset_temperature_cov", "blocks"),
    *(
        name + error
        for name in (
            "probability",
            "activation_energy",
            "activation_entropy",
            "scaled_energy",
            "scaled_entropy",
            "onset_temperature",
        )
        for error in ("", "_err")
    ),
    *(
        f"{name}_grouped{thermal}{pooled}"
        for name in ("g", "s2")
        for thermal in ("", "_thermal")
        for pooled in ("", "_pooled")
    ),
    *("s2_grouped_pooled_err", "s2_grouped_thermal_pooled_err"),
    *(f"mean_grouped{pooled}" for pooled in ("", "_pooled", "_pooled_err")),
)  # arrays added to the ensemble


def fit_barriers(
    path: Path,
    system: str,
    *,
    hottest: float | None,
    weights: physics.barriers.Weights,
    resamples: int,
    seed: int,
    window: float,
) -> xr.Dataset:
    """Arrhenius barriers for each structural variable in its self-consistent supercooled range, with errors."""
    ensemble = read_table(path, f"{system}/ensemble")
    time = ensemble["time"].values
    block = block_frames(window, ensemble["relaxation_time"], time).reset_coords(drop=True)
    fits = [
        _fit(ensemble.sel(variable=name), hottest, weights, resamples, seed, block)
        for name in ensemble["variable"].values
    ]
    table = xr.concat(fits, ensemble["variable"])
    inverse = table["inverse_onset_temperature"]
    # their resamples are of the same blocks
    covariance = xr.cov(inverse, inverse.rename(variable="variable_2"), dim="resample")
    squares = table["onset_temperature"] ** 2
    table["onset_temperature_cov"] = covariance * squares * squares.rename(variable="variable_2")
    table["onset_temperature_cov"].attrs["long_name"] = "covariance of T_A from strata of two variables, to first order"
    table["blocks"] = xr.Variable(
        "temperature",
        ensemble.sizes["replica"] * independent_blocks(window, ensemble["relaxation_time"], time).values,
        {"long_name": "independent blocks of time of all replicas", "units": "1"},
    )
    return table.drop_vars(["inverse_onset_temperature", "variable_2"])


def _fit(
    ensemble: xr.Dataset,
    hottest: float | None,
    weights: physics.barriers.Weights,
    resamples: int,
    seed: int,
    block: xr.DataArray,
) -> xr.Dataset:
    counts = ensemble[["candidate_samples", "candidate_events"]]
    counts = counts.rename(candidate_samples="samples", candidate_events="events").reset_coords(drop=True)
    supercooled = None if hottest is None else _not_hotter(counts["temperature"].values, hottest)
    errors = physics.bootstrap.bootstrap(counts, resamples, seed, block, weights, supercooled)
    P = physics.strata.probability_of(counts).assign(errors[list(OF_P)])
    if supercooled is None:
        supercooled = physics.barriers.supercooled_count(
            P["temperature"].values,
            lambda k: physics.barriers.onset_of(P.isel(candidate=k - 1, temperature=slice(-k, None)), weights),
        )
    P = P.isel(candidate=supercooled - 1)
    fit = physics.barriers.arrhenius(P.isel(temperature=slice(-supercooled, None)), weights)
    onset = physics.barriers.onset_temperature(fit)
    # resampling holds more than the weights: its errors take the place of those of the fit
    table = fit.assign(errors.drop_vars(OF_P))
    table = xr.merge([P, table, physics.barriers.collapse(fit, onset)], join="exact")
    edges = ensemble["candidate_edges"].isel(candidate=supercooled - 1).reset_coords(drop=True)
    return table.assign(
        onset_temperature=onset.reset_coords(drop=True),
        onset_temperature_spread=onset["spread"].reset_coords(drop=True),
        stratum_edges=edges,
        stratum_middle=("stratum", (edges[1:].values + edges[:-1].values) / 2),
        supercooled=supercooled,
    )


def _not_hotter(T: NDArray[np.float64], hottest: float) -> int:
    """Number of temperatures that the study calls supercooled."""
    count = int((hottest * (1 + SAME) >= T).sum())
    if count == 0:
        raise StudyError(
            f"barriers: hottest: no temperature is as low as {hottest:g}", remedy=f"give one of {T.tolist()}"
        )
    return count


def softness_bins(fits: xr.Dataset, *, bins: int) -> NDArray[np.float64]:
    """Edges of the softness bins of grouped radial distribution functions: equal, between the same percentiles."""
    edges = fits["stratum_edges"].sel(variable="softness").values
    return np.linspace(edges[0], edges[-1], bins + 1)


def count_grouped_pairs(
    path: Path,
    block: Block,
    edges: NDArray[np.float64],
    *,
    positions: str,
    variables: Sequence[str],
    r_max: float,
    bin_width: float,
) -> xr.Dataset:
    """Pairs around the A particles of each softness bin, in both kinds of positions, and sums of structural variables."""
    kinds = kinds_of(positions)
    run = read_block(path, block, [*kinds, *variables])
    group = run["softness"].copy(data=physics.strata.assign_strata(run["softness"].values, edges))
    counted = xr.concat(
        [pairs(run, kind, group, edges.size - 1, r_max, bin_width) for kind in kinds],
        xr.DataArray(kinds, dims="positions", name="positions"),
    )
    sums = [_sums_by_group(group.values, run[name].values, edges.size - 1) for name in variables]
    numbers, totals = zip(*sums, strict=True)
    return counted.assign(
        numbers=(("variable", "group"), np.array(numbers)), totals=(("variable", "group"), np.array(totals))
    ).assign_coords(variable=list(variables))


def _sums_by_group(
    group: NDArray[np.integer], values: NDArray[np.floating], groups: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Number of values that are there in each group, and their sum."""
    there = (group >= 0) & np.isfinite(values)
    return (
        np.bincount(group[there], minlength=groups),
        np.bincount(group[there], values[there], minlength=groups),
    )


def write_barriers(
    path: Path,
    system: str,
    fits: xr.Dataset,
    edges: NDArray[np.float64],
    *counts: xr.Dataset,
    core: Literal["limit", "omit"],
) -> dict[str, Any]:
    """Add barriers and softness-grouped structure, from the summed pairs of each row, to the ensemble."""
    ensemble = read_table(path, f"{system}/ensemble")
    species = open_group(path, f"{system}/production")["species"]
    density = ensemble["density"]
    R = ensemble.sizes["replica"]
    temperatures = [xr.concat(counts[k : k + R], ensemble["replica"]) for k in range(0, len(counts), R)]
    each = xr.concat(temperatures, ensemble["temperature"])
    middles = (edges[1:] + edges[:-1]) / 2
    grouped = _grouped(each.sum("replica"), species, density, core, middles)
    coldest = slice(-int(fits["supercooled"].sel(variable="softness")), None)
    cold = each.isel(temperature=coldest)
    if "temperature" in density.dims:
        density = density.isel(temperature=coldest).mean("temperature")
    pooled = _pooled(cold, species, density, core, middles)
    add_to_table(path, f"{system}/ensemble", xr.merge([fits, grouped, pooled], join="exact"))
    return {"onset_temperature": float(fits["onset_temperature"].sel(variable="softness"))}


def _pooled(
    cold: xr.Dataset,
    species: xr.DataArray,
    density: xr.DataArray,
    core: Literal["limit", "omit"],
    middles: NDArray[np.float64],
) -> xr.Dataset:
    """Structure of the supercooled temperatures together, its entropy with the standard error over their replicas."""
    R, each = cold.sizes["replica"], cold.sum("replica")
    total = each.sum("temperature")
    pooled = _grouped(total, species, density, core, middles)
    averages = [str(name) for name in pooled.data_vars if not str(name).startswith("g_")]
    errors = {name: xr.full_like(pooled[name], np.nan) for name in averages}
    if R > 1:
        # replicas vary about the mean of their temperature, where the others stand for the one left out
        without = _grouped(total - each + (each - cold) * (R / (R - 1)), species, density, core, middles)
        for name in averages:
            variance = (R - 1) * without[name].var("replica", skipna=False).sum("temperature", skipna=False)
            errors[name] = variance**0.5
    pooled = pooled.rename({name: f"{name}_pooled" for name in pooled.data_vars})
    return pooled.assign({f"{name}_pooled_err": error for name, error in errors.items()})


def _grouped(
    counted: xr.Dataset,
    species: xr.DataArray,
    density: xr.DataArray,
    core: Literal["limit", "omit"],
    middles: NDArray[np.float64],
) -> xr.Dataset:
    grouped = {}
    for positions in counted["positions"].values:
        suffix = "_thermal" if positions == "position" and counted.sizes["positions"] > 1 else ""
        pairs_there = counted[["pairs", "centers"]].sel(positions=positions, drop=True)
        g = physics.structure.normalize_pairs(pairs_there, species)
        g = g.rename(group="softness_bin").assign_coords(softness_bin=middles)
        grouped[f"g_grouped{suffix}"] = g.drop_vars("fraction")
        grouped[f"s2_grouped{suffix}"] = physics.entropy.excess_entropy(g, density, core)
    mean = (counted["totals"] / counted["numbers"]).rename(group="softness_bin").assign_coords(softness_bin=middles)
    long_name = "mean of each structural variable in a bin of softness"
    return xr.Dataset(grouped).assign(mean_grouped=mean.assign_attrs(long_name=long_name, units="1"))


def _memory_of_grouped(plan: Plan, run: str) -> int:
    layout, N = plan.layouts[run], plan.source.particles
    n, each = layout.block_frames * N, held(plan) + VALUE * len(plan.settings[STRUCTURAL])
    # pairs are counted in one kind of positions at a time
    work = n * (each + POSITION + 4 + FINITE + STRATIFYING) + N * CELLS
    return max(n * each + reading(layout, layout.block_frames, POSITION), work)


def _memory_of_tables(plan: Plan, run: str) -> int:
    return SMALL + 2 * counts_bytes(plan)


STAGE = Stage(
    "barriers",
    (
        Step(
            fit_barriers,
            revision=6,
            over=WholeSystem(),
            name="fits",
            tables=("ensemble",),
            settings={
                "hottest": "barriers.hottest",
                "weights": "barriers.weights",
                "resamples": "barriers.resamples",
                "seed": "barriers.seed",
                "window": "hops.window",
            },
            memory=_memory_of_tables,
            whole_rows=PRODUCTION,
            seconds=lambda plan, gpu: OF_TABLES,
        ),
        Step(
            softness_bins,
            over=WholeSystem(reads_store=False),
            name="bins",
            takes=("fits",),
            settings={"bins": "radial.softness_bins"},
        ),
        Reduce(
            "grouped",
            Step(
                count_grouped_pairs,
                over=Blocks(PRODUCTION),
                reads=(POSITIONS, "position", STRUCTURAL),
                takes=("bins",),
                settings={"positions": POSITIONS, "variables": STRUCTURAL, **RADIAL},
                memory=_memory_of_grouped,
                seconds=lambda plan, gpu: len(kinds_of(plan.settings[POSITIONS])) * seconds_of_pairs(plan, gpu),
            ),
            add,
            into=Rows(PRODUCTION),
        ),
        Step(
            write_barriers,
            over=WholeSystem(),
            tables=("ensemble",),
            takes=("fits", "bins", "grouped"),
            writes=BARRIERS,
            table="ensemble",
            settings={"core": "radial.core"},
            memory=_memory_of_tables,
            whole_rows=PRODUCTION,
            seconds=lambda plan, gpu: OF_TABLES,
        ),
    ),
)
