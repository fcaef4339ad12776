"""Ensemble: averages over particles, frames and replicas at every temperature, and the counts of every stratum."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from daskglass import physics
from daskglass.errors import DataError
from daskglass.physics.blocks import block_count, block_sums
from daskglass.physics.jackknife import jackknife_error
from daskglass.stages.correlation import SUMS, memory_to_train, moments, pearson_of, seconds_to_train, training_errors
from daskglass.stages.declare import (
    MOTION,
    MOVING,
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
    Temperatures,
    WholeSystem,
    particle_frames,
    per_particle_frame,
    reading,
)
from daskglass.stages.motion import CURVES, ERRORS, MovingRows, bulk_dynamics, memory, moving, seconds
from daskglass.stages.structural import SOFTNESS, StructuralVariable
from daskglass.stages.structural import named as structural
from daskglass.store.blocks import Block, open_group, read_block, write_table
from daskglass.variables import VARIABLES, named

AVERAGES = ("g", "g_thermal", *CURVES, *ERRORS, "potential_energy", "pressure")  # over particles, of each row
JOINT = 1.0 / 16.0  # bin width of the joint histograms of softness and other structural variables
PREDICTED = ("soft_and_rearranging", "rearranging", "soft", "samples")  # what recall and precision are counted from
SPAN = 2**15  # of its bins along one axis at most, so that one integer names a cell
SUMMING = 54  # bytes: two variables in double precision, the cells they fall in, and those sorted
COUNTING = 32  # bytes: strata, and the place of each value in a table of frames and strata


def summarize(path: Path, block: Block, *, threshold: float, variables: Sequence[str]) -> dict[str, Any]:
    """Sums over a block from which percentiles, correlations, recall and precision follow; they merge exactly.

    What has a standard error is summed over every frame by itself.
    """
    run = read_block(path, block, ["hop", *variables])
    # under another name frames stay apart
    counted = physics.softness.recall_precision(
        run["softness"].rename(time="frame"), run["hop"].rename(time="frame"), threshold
    )
    others = [name for name in variables if name != SOFTNESS.name]
    return {
        "histograms": {name: physics.strata.value_histogram(run[name].values) for name in variables},
        "with_softness": {name: _correlated(run["softness"].values, run[name].values) for name in others},
        "counts": np.stack([counted[name].values for name in PREDICTED], axis=-1),
    }


def _correlated(S: NDArray[np.floating], values: NDArray[np.floating]) -> dict[str, NDArray[Any]]:
    """Moments of each frame, and the cells of the joint histogram with their counts, of softness and another variable."""
    known = np.isfinite(S) & np.isfinite(values)
    for of_all in (S, values):
        largest = np.abs(of_all[known]).max(initial=0.0)
        if not largest < JOINT * SPAN / 2:
            raise DataError(
                f"structural variables beyond {JOINT * SPAN / 2:g} have no joint histogram; got {largest:g}"
            )
    cells = _cell(S[known].astype(np.float64)) * SPAN + _cell(values[known].astype(np.float64)) + SPAN // 2
    found, counts = np.unique(cells, return_counts=True)
    return {
        "joint": np.column_stack([found // SPAN, found % SPAN - SPAN // 2, counts]),
        "moments": moments(S, values).reshape(-1, SUMS),
    }


def _cell(values: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.floor(values / JOINT).astype(np.int64)


def merge_summaries(*parts: dict[str, Any]) -> dict[str, Any]:
    """Merge the sums of `summarize`."""
    first = parts[0]
    return {
        "histograms": {
            name: physics.strata.merge_histograms(part["histograms"][name] for part in parts)
            for name in first["histograms"]
        },
        "with_softness": {
            name: _merge_correlated([part["with_softness"][name] for part in parts]) for name in first["with_softness"]
        },
        "counts": np.concatenate([part["counts"] for part in parts]),
    }


def _merge_correlated(parts: Sequence[dict[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    rows = np.concatenate([part["joint"] for part in parts])
    cells, where = np.unique(rows[:, :2], axis=0, return_inverse=True)
    counts = np.zeros(len(cells), np.int64)
    np.add.at(counts, where.ravel(), rows[:, 2])
    moments = np.concatenate([part["moments"] for part in parts])
    return {"joint": np.column_stack([cells, counts]), "moments": moments}


def candidate_edges(
    *summaries: dict[str, Any], bins: int, percentiles: tuple[float, float]
) -> dict[str, NDArray[np.float64]]:
    """Edges of the strata for every candidate of the supercooled range: the k coldest temperatures, k = 1, 2, ….

    Parameters
    ----------
    summaries : one per temperature, from hot to cold

    Returns
    -------
    For each structural variable an array (candidate, edge); candidate k - 1 pools the k coldest temperatures.
    """
    edges = {}
    for name in summaries[0]["histograms"]:
        pooled, rows = np.empty((0, 2), np.int64), []
        for summary in reversed(summaries):
            pooled = physics.strata.merge_histograms([pooled, summary["histograms"][name]])
            rows.append(physics.strata.stratum_edges(pooled, bins, percentiles))
        edges[name] = np.stack(rows)
    return edges


def count_strata(
    path: Path, block: Block, edges: dict[str, NDArray[np.float64]], *, threshold: float
) -> dict[str, NDArray[np.int64]]:
    """Samples and events (candidate, time, stratum, 2) of a block for every candidate of the strata."""
    run = read_block(path, block, ["hop", *edges])
    counted = {}
    for name, candidates in edges.items():
        tables = [
            physics.strata.stratum_counts(run["hop"], run[name], xr.DataArray(row, dims="edge"), threshold)
            for row in candidates
        ]
        counted[name] = np.stack([np.stack([t["samples"], t["events"]], axis=-1) for t in tables])
    return counted


def join_counts(*parts: dict[str, NDArray[np.int64]]) -> dict[str, NDArray[np.int64]]:
    """Put the counts of successive blocks of a row behind one another."""
    return {name: np.concatenate([part[name] for part in parts], axis=1) for name in parts[0]}


def write_ensemble(
    path: Path, system: str, *results: Any, core: Literal["limit", "omit"], window: float
) -> dict[str, Any]:
    """Write the averages of a system: entropies, dynamics, and the counts from which the barriers follow.

    `results`: the merged summary of each temperature, the edges, the joined counts of each row, and the training errors.
    """
    production = _averages(path, f"{system}/production")
    n_T, n_R = production.sizes["temperature"], production.sizes["replica"]
    summaries, edges, counts, training = results[:n_T], results[n_T], results[n_T + 1 : -1], results[-1]
    table = xr.Dataset(coords={"temperature": production["temperature"]})
    density = _density(production)
    table = table.assign(_bulk(path, system, production, density, core))
    table["density"] = named(density.mean([dim for dim in density.dims if dim == "replica"]), "density")
    time = production["time"]
    block = block_frames(window, table["relaxation_time"], time.values)
    table = table.assign(_correlations(summaries, n_R, block_count(time.size, block.values), training))
    variables = list(edges)
    rows = np.stack([np.stack([row[name] for row in counts]) for name in variables])
    rows = rows.reshape(len(variables), n_T, n_R, *rows.shape[2:])
    dims = ("variable", "temperature", "replica", "candidate", "time", "stratum")
    table["candidate_samples"], table["candidate_events"] = (dims, rows[..., 0]), (dims, rows[..., 1])
    table["candidate_edges"] = (("variable", "candidate", "edge"), np.stack([edges[name] for name in variables]))
    table = table.assign_coords(variable=variables)
    table = table.assign_coords(time=time, replica=production["replica"])
    write_table(path, f"{system}/ensemble", table)
    return {}


def _density(run: xr.Dataset) -> xr.DataArray:
    """Number density of particles, where the box varies over temperature and replica, at its mean volume."""
    volume = run["box"].prod("xyz", skipna=False)
    return (run["species"].size / volume.mean([dim for dim in volume.dims if dim == "time"])).reset_coords(drop=True)


def _bulk(
    path: Path, system: str, production: xr.Dataset, density: xr.DataArray, core: Literal["limit", "omit"]
) -> dict[str, xr.DataArray]:
    """Entropies, relaxation and diffusion over temperature, with standard errors over replicas."""
    bulk: dict[str, xr.DataArray] = {}
    fraction = np.bincount(production["species"].values, minlength=production.sizes["neighbor"])
    for name in ("g", "g_thermal"):
        if name in production:
            g = production[name].assign_coords(fraction=("neighbor", fraction / fraction.sum()))
            bulk |= _over_replicas(name, production[name])
            bulk |= _over_replicas(name.replace("g", "s2", 1), physics.entropy.excess_entropy(g, density, core))
    motion = production if "scattering" in production else _averages(path, f"{system}/relaxation")
    tau = physics.dynamics.relaxation_time(motion["scattering"])
    D = physics.dynamics.diffusivity(motion["msd"])
    tau_error = physics.motion.relaxation_time_error(motion["scattering"], motion["scattering_err"])
    D_error = physics.motion.diffusivity_error(motion["msd"], motion["msd_err"])
    reduced = partial(physics.dynamics.reduced_diffusivity, density=density, temperature=production["temperature"])
    bulk |= _over_replicas("relaxation_time", tau, tau_error)
    bulk |= _over_replicas("diffusivity", D, D_error)
    bulk |= _over_replicas("reduced_diffusivity", reduced(D), reduced(D_error))
    for name in ("potential_energy", "pressure"):
        if name in production:
            bulk |= _over_replicas(name, production[name].mean("time"))
    return bulk


def _averages(path: Path, group: str) -> xr.Dataset:
    """Averages of a run, its box and its species."""
    run = open_group(path, group)
    return (
        run[[name for name in (*AVERAGES, "box", "time") if name in run.variables]]
        .assign_coords(species=run["species"])
        .load()
    )


def _over_replicas(name: str, values: xr.DataArray, errors: xr.DataArray | None = None) -> dict[str, xr.DataArray]:
    """Mean over replicas and its standard error; NaN where a replica has none.

    With one replica the error is that of its own `errors`, where they are known.
    """
    attrs = VARIABLES[name.removesuffix("_thermal")].attrs
    mean = values.mean("replica", skipna=False).assign_attrs(attrs)
    if values.sizes["replica"] > 1:
        error = values.std("replica", ddof=1, skipna=False) / np.sqrt(values.sizes["replica"])
    else:
        error = xr.full_like(mean, np.nan) if errors is None else errors.isel(replica=0, drop=True)
    error = error.assign_attrs(attrs, long_name=f"standard error of the {attrs['long_name']}")
    return {name: mean, f"{name}_err": error}


def block_frames(window: float, relaxation_time: xr.DataArray, time: NDArray[np.floating]) -> xr.DataArray:
    """Frames (temperature) of a block of time, at least, for counts of hops to be independent.

    Hops are counted in windows that overlap, in a structure that lasts for τ_α: blocks hold both twice, or half a run where
    that is less or τ_α is unknown. The sums over blocks as short as the window itself vary too little by a fifth; halves of
    a run shorter than τ_α by up to a third, but one block of each of two replicas would leave no error worth the name.
    """
    if time.size < 2:
        return xr.ones_like(relaxation_time, dtype=np.int64)
    return _independent_frames(window, relaxation_time, time).clip(1, time.size // 2).astype(np.int64)


def independent_blocks(window: float, relaxation_time: xr.DataArray, time: NDArray[np.floating]) -> xr.DataArray:
    """Number (temperature) of blocks of a run between which counts of hops are independent: one where the run is no longer."""
    if time.size < 2:
        return xr.ones_like(relaxation_time, dtype=np.int64)
    return (time.size // _independent_frames(window, relaxation_time, time)).clip(min=1).astype(np.int64)


def _independent_frames(window: float, relaxation_time: xr.DataArray, time: NDArray[np.floating]) -> xr.DataArray:
    """Frames (temperature) that hold two windows and two τ_α; infinite where τ_α is unknown."""
    length = 2 * (window + relaxation_time.fillna(np.inf)) / float(time[1] - time[0])
    return xr.apply_ufunc(np.ceil, length)


def _units(sums: NDArray[Any], replicas: int, blocks: int) -> NDArray[Any]:
    """Sums (unit, …) over the blocks of each replica, of frames (replica and time, …)."""
    frames = sums.reshape(replicas, -1, sums.shape[-1])
    return block_sums(frames, blocks, axis=1).reshape(-1, sums.shape[-1])


def _correlations(
    summaries: Sequence[dict[str, Any]],
    replicas: int,
    blocks: NDArray[np.int64],
    training: dict[str, NDArray[np.float64]],
) -> dict[str, xr.DataArray]:
    """Recall and precision of softness, and its correlation with all other structural variables.

    Standard errors are over replicas and blocks of time, of a number (temperature,) each; those of correlations are over
    trainings as well.
    """

    def in_units(sums: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        return [_units(each, replicas, n) for each, n in zip(sums, blocks.tolist(), strict=True)]

    units = in_units([summary["counts"] for summary in summaries])
    table = {
        **_with_errors("recall", units, _ratio("soft_and_rearranging", "rearranging"), "recall P(S>0 | R)"),
        **_with_errors("precision", units, _ratio("soft_and_rearranging", "soft"), "precision P(R | S>0)"),
        **_with_errors(
            "rearranging_fraction",
            units,
            _ratio("rearranging", "samples"),
            "fraction of A that rearranges, p_hop > threshold",
        ),
    }
    for variable in structural(summaries[0]["with_softness"]):
        pairs = [summary["with_softness"][variable.name] for summary in summaries]
        units = in_units([pair["moments"] for pair in pairs])
        table = _with_softness(variable, _merge_correlated(pairs)["joint"], units, training[variable.name]) | table
    return table


def _ratio(of: str, to: str) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    i, j = PREDICTED.index(of), PREDICTED.index(to)

    def ratio(counts: NDArray[np.float64]) -> NDArray[np.float64]:
        with np.errstate(divide="ignore", invalid="ignore"):
            return counts[..., i] / counts[..., j]

    return ratio


def _with_errors(
    name: str,
    units: Sequence[NDArray[Any]],
    function: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    long_name: str,
    training: NDArray[np.float64] | float = 0.0,
) -> dict[str, xr.DataArray]:
    """A function of the sums of each temperature, and its standard error, that from the training of softness beside."""
    values = np.array([function(each.sum(axis=0).astype(np.float64)) for each in units])
    errors = np.hypot([jackknife_error(function, each) for each in units], training)
    return {name: _over_T(values, long_name), f"{name}_err": _over_T(errors, f"standard error of the {long_name}")}


def _over_T(values: NDArray, long_name: str, units: str = "1") -> xr.DataArray:
    return xr.DataArray(values, dims="temperature", attrs={"long_name": long_name, "units": units})


def _with_softness(
    variable: StructuralVariable,
    joint: NDArray[np.int64],
    units: Sequence[NDArray[np.float64]],
    training: NDArray[np.float64],
) -> dict[str, xr.DataArray]:
    """Means, Pearson correlation and joint histogram of softness and another structural variable."""
    moments = np.array([each.sum(axis=0) for each in units])
    low = joint[:, :2].min(axis=0)
    image = np.zeros(joint[:, :2].max(axis=0) - low + 1, np.int64)
    image[tuple((joint[:, :2] - low).T)] = joint[:, 2]
    n, x, y = moments[:, 0], moments[:, 1], moments[:, 2]
    name, suffix, pair = variable.name, variable.suffix, f"softness and {variable.name.replace('_', ' ')}"
    axes = (f"joint_softness{suffix}", f"joint_{name}")
    return {
        f"mean_softness{suffix}": _over_T(x / n, "mean softness of A"),
        f"mean_{name}": _over_T(y / n, f"mean {variable.label} of A", variable.units),
        **_with_errors(f"pearson{suffix}", units, pearson_of, f"Pearson correlation of {pair}", training[:-1]),
        f"pearson_pooled{suffix}": xr.DataArray(pearson_of(moments.sum(axis=0))),
        f"pearson_pooled{suffix}_err": xr.DataArray(np.hypot(jackknife_error(pearson_of, *units), training[-1])),
        f"joint{suffix}": xr.DataArray(
            image,
            dims=axes,
            coords={
                axis: (
                    axis,
                    (np.arange(image.shape[k]) + low[k] + 0.5) * JOINT,
                    {"long_name": of.label, "units": of.units},
                )
                for k, (axis, of) in enumerate(zip(axes, (SOFTNESS, variable), strict=True))
            },
            attrs={"long_name": f"joint histogram of {pair}"},
        ),
    }


def _seconds_of_counts(plan: Plan, gpu: bool) -> float:
    candidates = plan.layouts["production"].sizes["temperature"]
    return 6e-8 * len(plan.settings[STRUCTURAL]) * candidates * particle_frames(plan, PRODUCTION)


def _memory_of_values(each: int) -> Callable[[Plan, str], int]:
    """Bytes of a step that reads the hop indicator and all structural variables; `each` a particle and frame, of one pair."""

    def memory(plan: Plan, run: str) -> int:
        layout, n = plan.layouts[run], plan.layouts[run].block_frames * plan.source.particles
        held = n * VALUE * (1 + len(plan.settings[STRUCTURAL]))
        return held + max(reading(layout, layout.block_frames, VALUE), n * each)

    return memory


def counts_bytes(plan: Plan) -> int:
    """Bytes of samples and events of every frame, stratum and candidate, of all structural variables."""
    layout = plan.layouts["production"]
    candidates, strata = layout.sizes["temperature"], int(plan.settings["strata.bins"])
    return len(plan.settings[STRUCTURAL]) * layout.rows * candidates * layout.frames * strata * 2 * 8


STAGE = Stage(
    "ensemble",
    (
        Step(
            bulk_dynamics,
            over=MovingRows(MOTION),
            name="dynamics",
            reads=("position",),
            reach=moving,
            writes=(*CURVES, *ERRORS),
            settings={"q": "dynamics.q"},
            memory=memory,
            whole_rows=MOVING,
            seconds=seconds,
        ),
        Reduce(
            "summary",
            Step(
                summarize,
                over=Blocks(PRODUCTION),
                reads=("hop", STRUCTURAL),
                settings={"threshold": "hops.soft", "variables": STRUCTURAL},
                memory=_memory_of_values(SUMMING),
                seconds=per_particle_frame(7e-7, PRODUCTION),
            ),
            merge_summaries,
            into=Temperatures(),
        ),
        Step(
            candidate_edges,
            over=WholeSystem(reads_store=False),
            name="edges",
            takes=("summary",),
            settings={"bins": "strata.bins", "percentiles": "strata.percentiles"},
        ),
        Reduce(
            "counts",
            Step(
                count_strata,
                over=Blocks(PRODUCTION),
                reads=("hop", STRUCTURAL),
                takes=("edges",),
                settings={"threshold": "hops.soft"},
                memory=_memory_of_values(COUNTING),
                seconds=_seconds_of_counts,
            ),
            join_counts,
            into=Rows(PRODUCTION),
            memory=lambda plan, run: SMALL + 2 * counts_bytes(plan) // plan.layouts["production"].rows,
        ),
        Step(
            training_errors,
            over=WholeSystem(),
            name="training",
            reads=(POSITIONS, STRUCTURAL),
            reach=lambda plan, place: plan.blocks(PRODUCTION),
            tables=("examples",),
            settings={
                "positions": POSITIONS,
                "variables": STRUCTURAL,
                "mu": "structure.mu",
                "width": "structure.width",
                "samples_per_class": "softness.samples_per_class",
                "C": "softness.C",
                "seed": "softness.seed",
            },
            memory=memory_to_train,
            seconds=seconds_to_train,
        ),
        Step(
            write_ensemble,
            over=WholeSystem(),
            reads=AVERAGES,
            takes=("summary", "edges", "counts", "training"),
            table="ensemble",
            settings={"core": "radial.core", "window": "hops.window"},
            revision=4,
            memory=lambda plan, run: SMALL + 3 * counts_bytes(plan),
            whole_rows=PRODUCTION,
            seconds=lambda plan, gpu: 0.2,
        ),
    ),
)
