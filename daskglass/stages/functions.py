"""What the tasks of each stage do: read a block, call the science, write the block, return a small receipt.

Every function here runs on a worker, on one block, row or system; `pipeline` decides which of them run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from daskglass.engines import Minimizer, get_engine
from daskglass.engines.sweep import Link
from daskglass.engines.sweep import simulate as simulate_link
from daskglass.errors import DataError, StudyError, TrajectoryError
from daskglass.physics import barriers, dynamics, entropy, structure
from daskglass.physics.labels import SAME
from daskglass.physics.softness import Softness, recall_precision, sample_examples
from daskglass.physics.systems import Mixture
from daskglass.store import blocks as store
from daskglass.store.blocks import Block, read_block, write_block
from daskglass.study.settings import Study
from daskglass.trajectories import Format
from daskglass.trajectories.parts import get_reader
from daskglass.trajectories.survey import Survey
from daskglass.trajectories.unwrapping import Images, read_frames
from daskglass.variables import VARIABLES, named

Receipt = dict[str, Any]
THERMAL, INHERENT = "position", "inherent"
JOINT = 1.0 / 16.0  # bin width of the joint histogram of softness and local entropy
FEATURES = 2**22  # structure functions computed at once: calls cost more than they do where frames are small
PREDICTED = ("soft_and_rearranging", "rearranging", "soft", "samples")  # what recall and precision are counted from
BARRIERS = (
    *("temperatures_used", "events", "samples", "supercooled", "softness_bin", "stratum_edges", "stratum_middle"),
    *("onset_probability", "onset_temperature_spread"),
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
)  # arrays that `write_barriers` adds to the ensemble
SPAN = 2**20  # more than its bins along one axis, so that one integer names a cell


# --- simulate, convert, inherent -----------------------------------------------------------------------------------


def simulate(link: Link) -> Receipt:
    """Run one link of a temperature sweep."""
    receipt = simulate_link(link)
    return {
        "relaxation_time": receipt.relaxation_time,
        "energy": receipt.energy,
        "pressure": receipt.pressure,
        "steps": receipt.steps,
        "seconds": receipt.wall,
    }


@dataclass(frozen=True)
class Origin:
    """File of a run: of an engine, or of the user's, in a format and as it was when the study was planned."""

    path: Path
    format: str = "gsd"
    survey: Survey | None = None
    images: Images = "trusted"

    @property
    def reader(self) -> Format:
        """What reads the file, or several."""
        return get_reader(self.format, self.survey.parts if self.survey else ())


def convert(
    path: Path,
    block: Block,
    origin: Origin,
    names: Sequence[str],
    timestep: float,
    precision: float | None,
    uniform: bool,
) -> Receipt:
    """Copy frames of a file into the store; where frames are not `uniform`, their times too."""
    source, reader, survey = origin.path, origin.reader, origin.survey
    _check_unchanged(origin)
    run = store.open_arrays(path, block.group)
    species = np.asarray(run["species"])
    if survey is None:
        steps = reader.scan(source).steps
        first_step = int(steps[0])
        if steps.size != run[THERMAL].shape[2]:
            raise TrajectoryError(f"{source}: holds {steps.size} frames; the run has {run[THERMAL].shape[2]}")
    else:
        first_step = survey.first_step
    before = None
    if survey is not None and not survey.images and block.start:
        last = replace(block, start=block.start - 1, stop=block.start)
        before = read_block(path, last, [THERMAL])[THERMAL].values[0]
    offsets = () if survey is None else survey.offsets
    frames = read_frames(source, reader, block.start, block.stop, species, names, offsets, before, origin.images)
    _check_unchanged(origin)
    time = (frames.step - first_step) * timestep
    expected = np.asarray(run["time"])[block.start : block.stop] if uniform else time
    wrong = np.flatnonzero(~np.isclose(time, expected, rtol=1e-6, atol=timestep / 2))
    if wrong.size:
        k = wrong[0]
        raise TrajectoryError(
            f"{source}: frame {block.start + k}: time is {time[k]:g} τ, {expected[k]:g} τ is expected"
        )
    values = {THERMAL: store.quantize(frames.position, precision)}
    box = run["box"]
    if box.ndim > 1:
        values["box"] = frames.box
    elif (other := (frames.box != np.asarray(box)).any(axis=1)).any():
        k = int(np.argmax(other))
        raise TrajectoryError(
            f"{source}: frame {block.start + k}: box {frames.box[k]} differs from the run's, {np.asarray(box)}"
        )
    for name, data in frames.quantities.items():
        if name in run:
            values[name] = data / species.size if name == "potential_energy" else data
    if not uniform:
        values["time"] = time
    write_block(path, block, values)
    return {"frames": block.stop - block.start}


def _check_unchanged(origin: Origin) -> None:
    if origin.survey is not None and not origin.survey.is_of(origin.path):
        raise TrajectoryError(f"{origin.path}: changed while it was being read: run again once it is whole")


def minimize(
    path: Path,
    block: Block,
    mixture: Mixture,
    engine: str,
    minimizer: Minimizer,
    tolerance: float,
    precision: float | None,
) -> Receipt:
    """Minimise the frames of a block; a frame that did not converge is left NaN and counted."""
    run = read_block(path, block, [THERMAL])
    minima = get_engine(engine).minimize(
        mixture, run[THERMAL].values, run["species"].values, run["box"].values, tolerance, minimizer
    )
    positions = store.quantize(minima.positions, precision)
    positions[~minima.converged] = np.nan
    write_block(path, block, {INHERENT: positions, "inherent_force": minima.force_rms})
    return {
        "frames": block.stop - block.start,
        "unconverged": [int(block.start + k) for k in np.flatnonzero(~minima.converged)],
        "evaluations": int(minima.evaluations.sum()),
    }


# --- hops, structure, train, softness ------------------------------------------------------------------------------


def hops(path: Path, block: Block, positions: str, window: float, half: int) -> Receipt:
    """Hop indicator of a block, read with half a window more at both ends."""
    run = read_block(path, block, [positions], halo=half)
    before = min(block.start, half)
    frames = slice(before, before + block.stop - block.start)
    if run.sizes["time"] > 2 * half:
        moved = _moved(path, block, run[positions], run["box"])
        hop = dynamics.hop_indicator(moved, window).isel(time=frames).values
    else:
        hop = np.full((block.stop - block.start, run.sizes["particle"]), np.nan, np.float32)
    write_block(path, block, {"hop": hop})
    return {"frames": block.stop - block.start}


def _moved(path: Path, block: Block, position: xr.DataArray, box: xr.DataArray) -> xr.DataArray:
    """Positions that dynamics are computed from: in a box that varies, relative to it, as if it kept its first size."""
    if "time" not in box.dims:
        return position
    # of the row, not of the block: the same for all blocks, and for frames that join later
    first = read_block(path, replace(block, start=0, stop=1), [])["box"]
    return dynamics.without_affine_motion(position, box, first.isel(time=0, drop=True))


def label(path: Path, row: Block, study: Study) -> Receipt:
    """Labels of a whole row (one temperature and replica): separations span its blocks."""
    run = read_block(path, row, ["hop"])
    given = study.hops
    labels = dynamics.rearrangement_labels(
        run["hop"], run["species"], given.soft, given.hard, given.soft_separation, given.hard_separation
    )
    write_block(path, row, {"label": labels.values})
    return {name: int((labels == code).sum()) for name, code in (("soft", 1), ("hard", 0))}


def select(path: Path, rows: Sequence[Block], lead: int, per_class: int, seed: int) -> NDArray[np.int64]:
    """Choose the training examples of a system: (replica, frame, particle, label) of each, `lead` frames before its hop.

    `rows` holds one row per replica.
    """
    labels = np.stack([read_block(path, row, ["label"])["label"].values for row in rows])
    labels[:, :lead] = -1
    chosen = sample_examples(labels, per_class, seed)
    replica, frame, particle = np.unravel_index(chosen, labels.shape)
    replica = np.array([row.replica for row in rows])[replica]
    return np.stack([replica, frame - lead, particle, labels.ravel()[chosen]], axis=1)


def structure_of_examples(
    path: Path, block: Block, positions: str, mu: Sequence[float], width: float, chosen: NDArray[np.int64]
) -> xr.Dataset:
    """Structure functions of the chosen examples whose frames lie in a block."""
    here = chosen[(chosen[:, 0] == block.replica) & (chosen[:, 1] >= block.start) & (chosen[:, 1] < block.stop)]
    run = read_block(path, block, [positions])
    frames, where = np.unique(here[:, 1], return_inverse=True)
    run = run.isel(time=frames - block.start)
    centers = xr.zeros_like(run[positions].isel(xyz=0), dtype=bool)
    centers.values[where, here[:, 2]] = True
    G = structure.structure_functions(run[positions], run["species"], run["box"], mu, width, centers)
    picked = G.isel(time=xr.DataArray(where, dims="example"), particle=xr.DataArray(here[:, 2], dims="example"))
    examples = picked.reset_coords(drop=True).to_dataset(name="G")
    columns = {"label": here[:, 3], "replica": np.full(len(here), block.replica), "frame": here[:, 1]}
    columns["particle"] = here[:, 2]
    return examples.assign({name: ("example", values.astype(np.int64)) for name, values in columns.items()})


def gather_examples(path: Path, system: str, *parts: xr.Dataset) -> Receipt:
    """Write the training examples of a system, with their structure functions."""
    examples = xr.concat(parts, "example", combine_attrs="override")
    lost = int(examples["G"].isnull().any(("neighbor", "mu")).sum())
    if lost:
        raise DataError(f"{system}: {lost} training examples lie in frames whose minimisation did not converge")
    store.write_table(path, f"{system}/examples", examples)
    return {"examples": examples.sizes["example"]}


def train(path: Path, system: str, samples_per_class: int, C: float, seed: int) -> Receipt:
    """Fit the softness of a system to its examples."""
    model = Softness.fit(store.read_table(path, f"{system}/examples"), seed, samples_per_class, C)
    store.write_table(path, f"{system}/model", model.to_dataset())
    return {"accuracy": model.metrics["accuracy"]}


def soften(path: Path, block: Block, positions: str, mu: Sequence[float], width: float) -> Receipt:
    """Softness and local entropy of a block: both follow from the same structure functions."""
    model = Softness.from_dataset(store.read_table(path, f"{block.system}/model"))
    run = read_block(path, block, [positions])
    shape = (run.sizes["time"], run.sizes["particle"])
    values = {name: np.full(shape, np.nan, np.float32) for name in ("softness", "local_entropy")}
    together = frames_together(model.weights.size * run.sizes["particle"])
    for k in range(0, run.sizes["time"], together):
        chosen = slice(k, k + together)
        frames = run.isel(time=chosen)
        G = structure.structure_functions(frames[positions], run["species"], frames["box"], mu, width)
        values["softness"][chosen] = model.transform(G)
        values["local_entropy"][chosen] = entropy.local_excess_entropy(G)
    write_block(path, block, values)
    return {"frames": block.stop - block.start}


def frames_together(features: int) -> int:
    """Frames whose structure functions, `features` a frame, are computed at once."""
    return max(1, FEATURES // features)


# --- entropy, ensemble, barriers -----------------------------------------------------------------------------------


def count_pairs(path: Path, block: Block, positions: str, r_max: float, bin_width: float) -> xr.Dataset:
    """Pairs around all A particles of a block, ready to be summed."""
    run = read_block(path, block, [positions])
    group = xr.where(run["species"] == 0, 0, -1)
    return _pairs(run, positions, group, 1, r_max, bin_width)


def count_grouped_pairs(
    path: Path, block: Block, positions: Sequence[str], r_max: float, bin_width: float, edges: NDArray[np.float64]
) -> xr.Dataset:
    """Pairs around the A particles of each softness bin, in both kinds of positions."""
    run = read_block(path, block, [*positions, "softness"])
    group = run["softness"].copy(data=barriers.assign_strata(run["softness"].values, edges))
    return xr.concat(
        [_pairs(run, name, group, edges.size - 1, r_max, bin_width) for name in positions],
        xr.DataArray(list(positions), dims="positions", name="positions"),
    )


def _pairs(
    run: xr.Dataset, positions: str, group: xr.DataArray, groups: int, r_max: float, bin_width: float
) -> xr.Dataset:
    counted = structure.pair_counts(run[positions], run["species"], run["box"], group, groups, r_max, bin_width)
    return counted.reset_coords(drop=True)


def add(*parts: xr.Dataset) -> xr.Dataset:
    """Sum of datasets of counts."""
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def write_radial(path: Path, row: Block, name: str, counted: xr.Dataset) -> Receipt:
    """Write g(r) of one temperature and replica from its summed pairs."""
    species = store.open_group(path, row.group)["species"]
    g = structure.normalize_pairs(counted, species).isel(group=0)
    store.write_rows(path, row, {name: g.values})
    return {}


def bulk_dynamics(path: Path, row: Block, lags: NDArray[np.float64], q: float) -> Receipt:
    """Scattering function and mean squared displacement of one temperature and replica, over the lags it has."""
    run = read_block(path, row, [THERMAL])
    moved = _moved(path, row, run[THERMAL], run["box"])
    times = run["time"].values
    elapsed = times - times[0]
    tolerance = 1e-3 * np.diff(times).min()
    present = np.array([np.abs(elapsed - lag).min() <= tolerance for lag in lags])
    values = {name: np.full(lags.size, np.nan) for name in ("scattering", "msd")}
    values["scattering"][present] = dynamics.scattering_function(moved, run["species"], lags[present], q)
    values["msd"][present] = dynamics.mean_squared_displacement(moved, run["species"], lags[present])
    store.write_rows(path, row, values)
    return {}


def summarize(path: Path, block: Block, threshold: float) -> dict[str, Any]:
    """Sums over a block from which percentiles, correlation, recall and precision follow; they merge exactly."""
    run = read_block(path, block, ["hop", "softness", "local_entropy"])
    S, s2 = (run[name].values.ravel() for name in ("softness", "local_entropy"))
    known = np.isfinite(S) & np.isfinite(s2)
    x, y = S[known].astype(np.float64), s2[known].astype(np.float64)
    counted = recall_precision(run["softness"], run["hop"], threshold)
    cells, counts = np.unique(_cell(x) * SPAN + _cell(y) + SPAN // 2, return_counts=True)
    joint = np.column_stack([cells // SPAN, cells % SPAN - SPAN // 2, counts])
    return {
        "histograms": {name: barriers.value_histogram(run[name].values) for name in ("softness", "local_entropy")},
        "joint": joint,
        "moments": np.array([x.size, x.sum(), y.sum(), x @ x, y @ y, x @ y]),
        "counts": np.array([int(counted[name]) for name in PREDICTED]),
    }


def _cell(values: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.floor(values / JOINT).astype(np.int64)


def merge_summaries(*parts: dict[str, Any]) -> dict[str, Any]:
    """Merge the sums of `summarize`."""
    rows = np.concatenate([part["joint"] for part in parts])
    cells, where = np.unique(rows[:, :2], axis=0, return_inverse=True)
    counts = np.zeros(len(cells), np.int64)
    np.add.at(counts, where.ravel(), rows[:, 2])
    return {
        "histograms": {
            name: barriers.merge_histograms(part["histograms"][name] for part in parts)
            for name in parts[0]["histograms"]
        },
        "joint": np.column_stack([cells, counts]),
        "moments": np.sum([part["moments"] for part in parts], axis=0),
        "counts": np.sum([part["counts"] for part in parts], axis=0),
    }


def candidate_edges(study: Study, *summaries: dict[str, Any]) -> dict[str, NDArray[np.float64]]:
    """Edges of the strata for every candidate of the supercooled range: the k coldest temperatures, k = 1, 2, ….

    Parameters
    ----------
    summaries : one per temperature, from hot to cold

    Returns
    -------
    For each structural variable an array (candidate, edge); candidate k - 1 pools the k coldest temperatures.
    """
    given = study.strata
    edges = {}
    for name in summaries[0]["histograms"]:
        pooled, rows = np.empty((0, 2), np.int64), []
        for summary in reversed(summaries):
            pooled = barriers.merge_histograms([pooled, summary["histograms"][name]])
            rows.append(barriers.stratum_edges(pooled, given.bins, given.percentiles))
        edges[name] = np.stack(rows)
    return edges


def count_strata(
    path: Path, block: Block, threshold: float, edges: dict[str, NDArray[np.float64]]
) -> dict[str, NDArray[np.int64]]:
    """Samples and events (candidate, time, stratum, 2) of a block for every candidate of the strata."""
    run = read_block(path, block, ["hop", *edges])
    counted = {}
    for name, candidates in edges.items():
        tables = [
            barriers.stratum_counts(run["hop"], run[name], xr.DataArray(row, dims="edge"), threshold)
            for row in candidates
        ]
        counted[name] = np.stack([np.stack([t["samples"], t["events"]], axis=-1) for t in tables])
    return counted


def join_counts(*parts: dict[str, NDArray[np.int64]]) -> dict[str, NDArray[np.int64]]:
    """Put the counts of successive blocks of a row behind one another."""
    return {name: np.concatenate([part[name] for part in parts], axis=1) for name in parts[0]}


def write_ensemble(path: Path, study: Study, system: str, *results: Any) -> Receipt:
    """Write the averages of a system: entropies, dynamics, and the counts from which the barriers follow.

    `results`: the merged summary of each temperature, then the edges, then the joined counts of each row.
    """
    production = _without_particles(path, f"{system}/production")
    n_T, n_R = production.sizes["temperature"], production.sizes["replica"]
    summaries, edges, counts = results[:n_T], results[n_T], results[n_T + 1 :]
    table = xr.Dataset(coords={"temperature": production["temperature"]})
    density = _density(production)
    table = table.assign(_bulk(path, study, system, production, density))
    table["density"] = named(density.mean([dim for dim in density.dims if dim == "replica"]), "density")
    table = table.assign(_correlations(summaries))
    time = production["time"]
    names = list(edges)
    rows = np.stack([np.stack([row[name] for row in counts]) for name in names])
    rows = rows.reshape(len(names), n_T, n_R, *rows.shape[2:])
    dims = ("variable", "temperature", "replica", "candidate", "time", "stratum")
    table["candidate_samples"], table["candidate_events"] = (dims, rows[..., 0]), (dims, rows[..., 1])
    table["candidate_edges"] = (("variable", "candidate", "edge"), np.stack([edges[name] for name in names]))
    table = table.assign_coords(variable=names)
    table = table.assign_coords(time=time, replica=production["replica"])
    store.write_table(path, f"{system}/ensemble", table)
    return {}


def _density(run: xr.Dataset) -> xr.DataArray:
    """Number density of particles, where the box varies over temperature and replica, at its mean volume."""
    volume = run["box"].prod("xyz", skipna=False)
    return (run["species"].size / volume.mean([dim for dim in volume.dims if dim == "time"])).reset_coords(drop=True)


def _bulk(
    path: Path, study: Study, system: str, production: xr.Dataset, density: xr.DataArray
) -> dict[str, xr.DataArray]:
    """Entropies, relaxation and diffusion over temperature, with standard errors over replicas."""
    bulk: dict[str, xr.DataArray] = {}
    fraction = np.bincount(production["species"].values, minlength=production.sizes["neighbor"])
    for name in ("g", "g_thermal"):
        if name in production:
            g = production[name].assign_coords(fraction=("neighbor", fraction / fraction.sum()))
            bulk |= _over_replicas(name, production[name])
            s2 = entropy.excess_entropy(g, density, study.radial.core)
            bulk |= _over_replicas(name.replace("g", "s2", 1), s2)
    run = "relaxation" if study.source.simulate else "production"
    motion = _without_particles(path, f"{system}/{run}")
    bulk |= _over_replicas("relaxation_time", dynamics.relaxation_time(motion["scattering"]))
    D = dynamics.diffusivity(motion["msd"])
    bulk |= _over_replicas("diffusivity", D)
    bulk |= _over_replicas("reduced_diffusivity", dynamics.reduced_diffusivity(D, density, production["temperature"]))
    for name in ("potential_energy", "pressure"):
        if name in production:
            bulk |= _over_replicas(name, production[name].mean("time"))
    return bulk


def _without_particles(path: Path, group: str) -> xr.Dataset:
    """Tables of a run that are small, and its species."""
    run = store.open_group(path, group)
    small = run[[name for name in run.variables if "particle" not in run[name].dims]]
    return small.assign_coords(species=run["species"]).load()


def _over_replicas(name: str, values: xr.DataArray) -> dict[str, xr.DataArray]:
    """Mean over replicas and its standard error; NaN where a replica has none, the error also with one replica."""
    attrs = VARIABLES[name.removesuffix("_thermal")].attrs
    mean = values.mean("replica", skipna=False).assign_attrs(attrs)
    if values.sizes["replica"] > 1:
        error = values.std("replica", ddof=1, skipna=False) / np.sqrt(values.sizes["replica"])
    else:
        error = xr.full_like(mean, np.nan)
    error = error.assign_attrs(attrs, long_name=f"standard error of the {attrs['long_name']}")
    return {name: mean, f"{name}_err": error}


def _correlations(summaries: Sequence[dict[str, Any]]) -> dict[str, xr.DataArray]:
    moments = np.stack([summary["moments"] for summary in summaries])
    counts = np.stack([summary["counts"] for summary in summaries]).astype(np.float64)
    pooled = merge_summaries(*summaries)
    joint = pooled["joint"]
    low = joint[:, :2].min(axis=0)
    image = np.zeros(joint[:, :2].max(axis=0) - low + 1, np.int64)
    image[tuple((joint[:, :2] - low).T)] = joint[:, 2]
    both, rearranging, soft, samples = counts.T
    with np.errstate(divide="ignore", invalid="ignore"):
        recall, precision, fraction = both / rearranging, both / soft, rearranging / samples

    def over_T(values: NDArray, long_name: str, units: str = "1") -> xr.DataArray:
        return xr.DataArray(values, dims="temperature", attrs={"long_name": long_name, "units": units})

    n, x, y = moments[:, 0], moments[:, 1], moments[:, 2]
    return {
        "mean_softness": over_T(x / n, "mean softness of A"),
        "mean_local_entropy": over_T(y / n, "mean local pair excess entropy of A", "k_B"),
        "pearson": over_T(_pearson(moments), "Pearson correlation of softness and local entropy"),
        "pearson_pooled": xr.DataArray(_pearson(pooled["moments"][None])[0]),
        "recall": over_T(recall, "recall P(S>0 | R)"),
        "precision": over_T(precision, "precision P(R | S>0)"),
        "rearranging_fraction": over_T(fraction, "fraction of A that rearranges, p_hop > threshold"),
        "joint": xr.DataArray(
            image,
            dims=("joint_softness", "joint_local_entropy"),
            coords={
                "joint_softness": (np.arange(image.shape[0]) + low[0] + 0.5) * JOINT,
                "joint_local_entropy": (np.arange(image.shape[1]) + low[1] + 0.5) * JOINT,
            },
            attrs={"long_name": "joint histogram of softness and local entropy"},
        ),
    }


def _pearson(moments: NDArray[np.float64]) -> NDArray[np.float64]:
    n, x, y, xx, yy, xy = moments.T
    return (xy - x * y / n) / np.sqrt((xx - x * x / n) * (yy - y * y / n))


def fit_barriers(path: Path, study: Study, system: str) -> xr.Dataset:
    """Arrhenius barriers for each structural variable in its self-consistent supercooled range, with errors."""
    ensemble = store.read_table(path, f"{system}/ensemble")
    fits = [_fit(ensemble.sel(variable=name), study) for name in ensemble["variable"].values]
    return xr.concat(fits, ensemble["variable"])


def _fit(ensemble: xr.Dataset, study: Study) -> xr.Dataset:
    counts = ensemble[["candidate_samples", "candidate_events"]]
    counts = counts.rename(candidate_samples="samples", candidate_events="events").reset_coords(drop=True)
    supercooled = _supercooled(counts, study)
    counts = counts.isel(candidate=supercooled - 1)
    cold = counts.isel(temperature=slice(-supercooled, None))
    P = barriers.probability_of(counts)
    fit = barriers.arrhenius(P.sel(temperature=cold["temperature"]))
    onset = barriers.onset_temperature(fit)
    block = max(1, round(study.hops.window / float(ensemble["time"][1] - ensemble["time"][0])))
    # resampling holds more than counting errors: it takes the place of those of the fit
    errors = barriers.bootstrap(cold, study.barriers.resamples, study.barriers.seed, block)
    errors = errors.reindex(temperature=P["temperature"])
    table = xr.merge(
        [P, fit.drop_vars(list(errors), errors="ignore"), barriers.collapse(fit, onset), errors], join="exact"
    )
    edges = ensemble["candidate_edges"].isel(candidate=supercooled - 1).reset_coords(drop=True)
    return table.assign(
        onset_temperature=onset.reset_coords(drop=True),
        onset_temperature_spread=onset["spread"].reset_coords(drop=True),
        stratum_edges=edges,
        stratum_middle=("stratum", (edges[1:].values + edges[:-1].values) / 2),
        supercooled=supercooled,
    )


def _supercooled(counts: xr.Dataset, study: Study) -> int:
    """Number of supercooled temperatures, the coldest ones: those the study names, or found from the data."""
    T = counts["temperature"].values
    if study.barriers.hottest is not None:
        count = int((study.barriers.hottest * (1 + SAME) >= T).sum())
        if count == 0:
            raise StudyError(
                f"barriers: hottest: no temperature is as low as {study.barriers.hottest:g}: give one of {T.tolist()}"
            )
        return count
    return barriers.supercooled_count(
        T, lambda k: barriers.probability_of(counts.isel(candidate=k - 1, temperature=slice(-k, None)))
    )


def softness_bins(bins: int, fits: xr.Dataset) -> NDArray[np.float64]:
    """Edges of the softness bins of grouped radial distribution functions: equal, between the same percentiles."""
    edges = fits["stratum_edges"].sel(variable="softness").values
    return np.linspace(edges[0], edges[-1], bins + 1)


def write_barriers(
    path: Path, study: Study, system: str, fits: xr.Dataset, edges: NDArray[np.float64], *pairs: xr.Dataset
) -> Receipt:
    """Add barriers and softness-grouped structure, from the summed pairs of each temperature, to the ensemble."""
    ensemble = store.read_table(path, f"{system}/ensemble")
    species = store.open_group(path, f"{system}/production")["species"]
    density = ensemble["density"]
    counted = xr.concat(list(pairs), ensemble["temperature"])
    cold = counted.isel(temperature=slice(-int(fits["supercooled"].sel(variable="softness")), None))
    middles = (edges[1:] + edges[:-1]) / 2
    each = _grouped(counted, species, density, study, middles)
    if "temperature" in density.dims:
        density = density.sel(temperature=cold["temperature"]).mean("temperature")
    pooled = _grouped(cold.sum("temperature"), species, density, study, middles)
    pooled = pooled.rename({name: f"{name}_pooled" for name in pooled.data_vars})
    store.add_to_table(path, f"{system}/ensemble", xr.merge([fits, each, pooled], join="exact"))
    return {"onset_temperature": float(fits["onset_temperature"].sel(variable="softness"))}


def _grouped(
    counted: xr.Dataset, species: xr.DataArray, density: xr.DataArray, study: Study, middles: NDArray[np.float64]
) -> xr.Dataset:
    grouped = {}
    for positions in counted["positions"].values:
        suffix = "_thermal" if positions == THERMAL and counted.sizes["positions"] > 1 else ""
        g = structure.normalize_pairs(counted.sel(positions=positions, drop=True), species)
        g = g.rename(group="softness_bin").assign_coords(softness_bin=middles)
        grouped[f"g_grouped{suffix}"] = g.drop_vars("fraction")
        grouped[f"s2_grouped{suffix}"] = entropy.excess_entropy(g, density, study.radial.core)
    return xr.Dataset(grouped)
