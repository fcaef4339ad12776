"""A whole study: what it writes is what the science API gives, whoever computes it and however often it is stopped."""

import itertools
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr

import daskglass as dg
from daskglass.engines import get_minimizer
from daskglass.errors import StoreError, StudyError, TrajectoryError
from daskglass.physics.blocks import block_count, block_sums
from daskglass.physics.jackknife import jackknife_error
from daskglass.pipeline import run as pipeline
from daskglass.stages import registry
from daskglass.stages.correlation import pearson_of, training_errors
from daskglass.stages.ensemble import block_frames
from daskglass.store import template as layout
from daskglass.store.ledger import Ledger
from daskglass.study.load import load_study
from tests.studies import FILES, TINY, command_here, run_here, started

# one worker runs the tiny study once, for all of them
pytestmark = pytest.mark.xdist_group("tiny")


@pytest.fixture
def production(tiny):
    return dg.open_store(tiny / "tiny.zarr")["ka_0.0/production"].to_dataset().load()


@pytest.fixture
def ensemble(tiny):
    return dg.open_store(tiny / "tiny.zarr")["ka_0.0/ensemble"].to_dataset().load()


def assert_same_store(first, second, rtol=0.0):
    trees = [dg.open_store(path) for path in (first, second)]
    groups = [sorted(node.path for node in tree.subtree) for tree in trees]
    assert groups[0] == groups[1]
    for group in groups[0]:
        one, other = (tree[group].to_dataset().load().drop_attrs() for tree in trees)
        xr.testing.assert_allclose(one, other, rtol=rtol, atol=0.0)


# --- what is written is what the science API gives ---


def assert_minima(production, engine):
    row = production.isel(temperature=-1, replica=0, time=slice(4, 6))
    minima = get_minimizer(engine).minimize(dg.built_in("ka_0.0")[0], row["position"], row["species"], row["box"])
    np.testing.assert_array_equal(row["inherent"], minima.positions)
    assert (production["inherent_force"] <= 1e-5).all()


def test_inherent_structures_are_minima_of_their_frames(production):
    assert_minima(production, "native")


# one row: it takes three times as long as the native engine
def test_inherent_structures_are_those_of_the_engine_that_the_study_names(files, monkeypatch):
    text = FILES.replace("inherent: none", "inherent: {engine: lammps}").replace("[1.0, 0.8], replicas: 2", "[0.8]")
    for stage in ("convert", "inherent"):
        assert not run_here(files, monkeypatch, text, workers=2, stage=stage).failures
    assert_minima(dg.open_store(files / "files.zarr")["ka_0.0/production"].to_dataset().load(), "lammps")


def test_hops_are_those_of_the_whole_run(production):
    xr.testing.assert_equal(production["hop"], dg.hop_indicator(production["inherent"]))


def test_softness_and_local_entropy_follow_from_the_structure_functions(tiny, production):
    model = dg.Softness.from_dataset(dg.open_store(tiny / "tiny.zarr")["ka_0.0/model"].to_dataset())
    row = production.isel(temperature=0, replica=1, time=slice(3))
    G = dg.structure_functions(row["inherent"], row["species"], row["box"])
    xr.testing.assert_equal(row["softness"], model.transform(G))
    xr.testing.assert_equal(row["local_entropy"], dg.local_excess_entropy(G))


def test_the_model_is_the_one_fitted_to_the_examples(tiny):
    tree = dg.open_store(tiny / "tiny.zarr")
    model = dg.Softness.fit(tree["ka_0.0/examples"].to_dataset(), seed=0, samples_per_class=500)
    xr.testing.assert_equal(model.weights.drop_attrs(), tree["ka_0.0/model/weights"].load().drop_attrs())


def test_examples_are_labelled_moments_of_the_training_run(tiny):
    tree = dg.open_store(tiny / "tiny.zarr")
    training, examples = tree["ka_0.0/training"].to_dataset().load(), tree["ka_0.0/examples"].to_dataset().load()
    at = {dim: examples[dim] for dim in ("replica", "particle")}
    there = training.isel(temperature=0, time=examples["frame"], **at)
    np.testing.assert_array_equal(there["label"], examples["label"])
    labels = dg.rearrangement_labels(training["hop"], training["species"], hard=0.08, hard_separation=20.0)
    xr.testing.assert_equal(training["label"].drop_attrs(), labels.drop_attrs())
    example = examples.isel(example=0)
    frame = training.isel(temperature=0, replica=int(example["replica"]), time=int(example["frame"]))
    G = dg.structure_functions(frame["inherent"], frame["species"], frame["box"])
    np.testing.assert_array_equal(G.isel(particle=int(example["particle"])), example["G"])


def test_radial_distribution_and_entropy_are_those_of_the_positions(production, ensemble):
    for kind, suffix in (("inherent", ""), ("position", "_thermal")):
        g = dg.radial_distribution(production[kind], production["species"], production["box"], 3.5, 0.05)
        xr.testing.assert_allclose(
            production[f"g{suffix}"].drop_attrs(), g.drop_vars("fraction").drop_attrs(), rtol=1e-12
        )
        s2 = dg.excess_entropy(g, ensemble["density"]).mean("replica")
        np.testing.assert_allclose(ensemble[f"s2{suffix}"], s2, rtol=1e-9)


def test_dynamics_are_those_of_the_relaxation_run_and_of_longer_lags_of_the_others_too(tiny, production):
    training = dg.open_store(tiny / "tiny.zarr")["ka_0.0/training"].to_dataset().load()
    relaxation = dg.open_store(tiny / "tiny.zarr")["ka_0.0/relaxation"].to_dataset()
    row = relaxation.isel(temperature=1, replica=0).load()
    lags, known = row["lag"].values, row["scattering"].notnull().values
    alone = known & (lags < 10.0)
    assert alone.sum() >= 8
    F = dg.scattering_function(row["position"], row["species"], lags=lags[alone])
    np.testing.assert_array_equal(row["scattering"].values[alone], F)
    # 10.048 τ: on the line between 10 and 11 frames of 1 τ, each run weighted by the time that its pairs of frames cover
    lag = lags[known & (lags > 10.0)][0]
    sums, weights = 0.0, 0.0
    for run in (production.isel(temperature=1, replica=0), training.isel(temperature=0, replica=0)):
        msd = dg.mean_squared_displacement(run["position"], run["species"], lags=[10.0, 11.0]).values
        time = float(run["time"][-1])
        sums, weights = sums + time * np.interp(lag, [10.0, 11.0], msd), weights + time
    times = row["time"].values
    starts = [t for t in times if np.abs(times - t - lag).min() < 1e-6]
    covered = lag + np.minimum(np.diff(starts), lag).sum()
    own = float(dg.mean_squared_displacement(row["position"], row["species"], lags=[lag])[0])
    assert float(row["msd"].sel(lag=lag)) == pytest.approx((sums + covered * own) / (weights + covered), rel=1e-3)


def test_probabilities_are_those_of_the_strata(production, ensemble):
    for name in ("softness", "local_entropy"):
        edges = ensemble["stratum_edges"].sel(variable=name)
        P = dg.rearrangement_probability(production["hop"], production[name], edges)
        np.testing.assert_array_equal(ensemble["events"].sel(variable=name), P["events"])
        np.testing.assert_array_equal(ensemble["probability"].sel(variable=name), P["probability"])
        pooled = dg.strata(
            production[name].isel(temperature=slice(-int(ensemble["supercooled"].sel(variable=name)), None)), 3
        )
        np.testing.assert_allclose(edges, pooled, rtol=1e-9)


def test_correlation_recall_and_precision_are_those_of_the_particles(production, ensemble):
    for k in range(2):
        row = production.isel(temperature=k)
        assert float(xr.corr(row["softness"], row["local_entropy"])) == pytest.approx(
            float(ensemble["pearson"][k]), rel=1e-5
        )
        predicted = dg.recall_precision(row["softness"], row["hop"])
        assert float(predicted["recall"]) == pytest.approx(float(ensemble["recall"][k]))
        assert float(predicted["precision"]) == pytest.approx(float(ensemble["precision"][k]))


def test_errors_of_correlations_hold_frames_and_training(tiny, production, ensemble):
    tree = dg.open_store(tiny / "tiny.zarr")
    examples, middle = tree["ka_0.0/examples"].to_dataset().load(), production.isel(time=production.sizes["time"] // 2)
    rng, correlations = np.random.default_rng([0, 20]), []
    for _ in range(20):
        hard, soft = (
            rng.choice(those, those.size) for those in (np.flatnonzero(examples["label"] == k) for k in (0, 1))
        )
        drawn = examples.isel(example=np.concatenate([hard, soft]))
        model = dg.Softness.fit(drawn, seed=0, samples_per_class=500)
        S = model.transform(dg.structure_functions(middle["inherent"], middle["species"], middle["box"]))
        of_T = xr.corr(S, middle["local_entropy"], ["replica", "particle"]).values
        correlations.append([*of_T, float(xr.corr(S, middle["local_entropy"]))])
    training = np.std(correlations, axis=0, ddof=1)

    S, entropy = (production[name].where(production["softness"].notnull()) for name in ("softness", "local_entropy"))
    sums = [each.sum("particle") for each in (S.notnull(), S, entropy, S**2, entropy**2, S * entropy)]
    sums = xr.concat(sums, "sum").transpose("temperature", "replica", "time", "sum").values
    blocks = block_count(
        sums.shape[2], block_frames(10.0, ensemble["relaxation_time"], production["time"].values).values
    )
    units = [block_sums(of_T, n, axis=1).reshape(-1, 6) for of_T, n in zip(sums, blocks.tolist(), strict=True)]
    frames = [*(jackknife_error(pearson_of, each) for each in units), jackknife_error(pearson_of, *units)]

    errors = [*ensemble["pearson_err"].values, float(ensemble["pearson_pooled_err"])]
    np.testing.assert_allclose(errors, np.hypot(frames, training), rtol=1e-5)
    # either would be missed
    assert (np.minimum(frames, training) > 0.03 * np.maximum(frames, training)).all()


def test_errors_from_training_skip_a_frame_without_softness(tiny, tmp_path):
    path = Path(shutil.copytree(tiny / "tiny.zarr", tmp_path / "tiny.zarr"))
    settings = {"positions": "inherent", "variables": ["softness", "local_entropy"], "width": 0.1}
    radii = dg.open_store(path)["ka_0.0/examples"]["mu"].values
    settings |= {"mu": [radii[0], radii[-1], radii[1] - radii[0]], "samples_per_class": 500, "C": 1.0, "seed": 0}
    whole = training_errors(path, "ka_0.0", **settings)["local_entropy"]
    softness = zarr.open_array(path, path="ka_0.0/production/softness", mode="r+")
    softness[..., softness.shape[-2] // 2, :] = np.nan
    without = training_errors(path, "ka_0.0", **settings)["local_entropy"]
    assert np.isfinite(without).all()
    np.testing.assert_allclose(without, whole, rtol=0.3)
    assert (without != whole).all()


def test_the_joint_histogram_counts_every_A_particle_once(production, ensemble):
    assert int(ensemble["joint"].sum()) == int(production["softness"].notnull().sum())


def test_grouped_radial_distributions_average_to_the_one_of_their_particles(production, ensemble):
    edges = ensemble["stratum_edges"].sel(variable="softness").values
    row = production.isel(temperature=1).stack(frame=("replica", "time")).transpose("frame", "particle", "xyz", ...)
    bins = np.linspace(edges[0], edges[-1], 5)
    whole = (row["softness"] >= bins[0]) & (row["softness"] <= bins[-1])
    parts = [(row["softness"] >= low) & (row["softness"] < high) for low, high in itertools.pairwise(bins)]
    each = dg.radial_distribution(row["inherent"], row["species"], row["box"], 3.5, 0.05, whole)
    g = each.weighted(whole.sum("particle")).mean("frame")
    grouped = ensemble["g_grouped"].isel(temperature=1)
    mean = sum(grouped.isel(softness_bin=k) * float(part.sum()) for k, part in enumerate(parts)) / float(whole.sum())
    np.testing.assert_allclose(mean, g, atol=2e-3)


def test_every_number_has_an_uncertainty(ensemble):
    for name in ("g", "s2", "relaxation_time", "probability", "activation_energy", "activation_entropy", "onset_temperature",
                 "scaled_energy", "scaled_entropy"):  # fmt: skip
        assert f"{name}_err" in ensemble
    assert np.isfinite(ensemble["activation_energy_err"]).all()


def test_every_variable_says_its_unit_and_name(tiny):
    for node in dg.open_store(tiny / "tiny.zarr").subtree:
        for name, variable in node.data_vars.items():
            assert variable.attrs.get("units"), f"{node.path}/{name}"
            assert variable.attrs.get("long_name"), f"{node.path}/{name}"


def test_bins_of_a_joint_histogram_have_the_units_of_their_variables(ensemble):
    units = [ensemble[f"joint_{name}"].attrs["units"] for name in ("softness", "local_entropy")]

    assert units == ["1", "k_B"]


# --- whoever computes it ---


@pytest.mark.parametrize(("workers", "chunk"), [(1, 5), (2, 1)])
def test_results_do_not_depend_on_workers_or_chunks(finished_once, files, monkeypatch, workers, chunk):
    monkeypatch.setattr(layout, "CHUNK_FRAMES", chunk)
    assert not run_here(files, monkeypatch, workers=workers).failures
    paths = [folder / "files.zarr" for folder in (finished_once, files)]
    for run in ("production", "examples", "model"):
        one, other = (dg.open_store(path)[f"ka_0.0/{run}"].to_dataset().load() for path in paths)
        # to the bit where the arithmetic is per particle; sums over frames may round
        xr.testing.assert_equal(one.drop_vars("g", errors="ignore"), other.drop_vars("g", errors="ignore"))
    assert_same_store(*paths, rtol=1e-6)


def test_a_store_made_in_this_process_is_that_of_a_cluster_to_the_bit(finished_once, files, monkeypatch):
    assert not run_here(files, monkeypatch, workers=2).failures
    first, second = finished_once / "files.zarr", files / "files.zarr"
    chunks = [
        {str(file.relative_to(store)): file.read_bytes() for file in store.rglob("c/**/*") if file.is_file()}
        for store in (first, second)
    ]
    assert len(chunks[0]) > 100
    assert chunks[0] == chunks[1]


# --- what is done again, and what is not ---


def todo(folder, text=FILES) -> dict[str, int]:
    """Count the tasks left of each stage, were the study run now."""
    (folder / "study.yaml").write_text(text)
    ledger = Ledger(folder / "files.zarr")
    left: dict[str, int] = {}
    for task in pipeline.pending(pipeline.study_tasks(load_study(folder / "study.yaml")), ledger):
        if task.inputs is not None:
            left[task.stage] = left.get(task.stage, 0) + 1
    return left


def test_a_finished_study_has_nothing_left(finished, monkeypatch):
    assert todo(finished) == {}
    assert run_here(finished, monkeypatch).done == 0


@pytest.mark.parametrize(
    ("old", "new", "stages"),
    [
        ("strata: {bins: 3}", "strata: {bins: 4}", {"ensemble", "barriers"}),
        ("resamples: 20", "resamples: 21", {"barriers"}),
        ("samples_per_class: 500", "samples_per_class: 50", {"structure", "train", "softness", "ensemble", "barriers"}),
        ("bin_width: 0.05", "bin_width: 0.05, core: omit", {"ensemble", "barriers"}),
    ],
)
def test_a_changed_study_redoes_what_it_must_and_nothing_more(finished, old, new, stages):
    changed = FILES.replace(old, new)
    assert changed != FILES
    assert set(todo(finished, changed)) == stages


def test_a_changed_study_ends_as_a_fresh_one(finished, tmp_path_factory, monkeypatch):
    changed = FILES.replace("samples_per_class: 500", "samples_per_class: 50").replace("bins: 3", "bins: 4")
    assert not run_here(finished, monkeypatch, changed).failures
    fresh = tmp_path_factory.mktemp("fresh")
    assert not run_here(fresh, monkeypatch, changed).failures
    assert_same_store(finished / "files.zarr", fresh / "files.zarr")


def test_changed_files_are_read_again(finished, tiny):
    path = tiny / "tiny.trajectories/ka_0.0/r0/T0.8/production.gsd"
    before = path.stat()
    path.touch()
    try:
        left = todo(finished)
        assert left["convert"] == 2
        # to the end: figures are drawn again after these
        assert left["barriers"] == 1
    finally:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_damaged_file_stops_its_own_branch_only_and_a_mended_one_finishes(files, tiny, monkeypatch):
    copy = files / "copy"
    shutil.copytree(tiny / "tiny.trajectories", copy)
    monkeypatch.setenv("TINY", str(copy))
    damaged = copy / "ka_0.0/r1/T0.8/production.gsd"
    content = damaged.read_bytes()
    damaged.write_bytes(content[: len(content) // 2])
    outcome = run_here(files, monkeypatch)
    assert any(str(damaged) in cause for cause in outcome.failures.values())
    said = command_here("status", "study.yaml", folder=files).stdout
    assert f"failed: ka_0.0 convert and the stages that need it: {damaged}" in said
    run = dg.open_store(files / "files.zarr")["ka_0.0/production"].dataset
    assert run["hop"].isel(temperature=0).notnull().any(("time", "particle")).all()
    damaged.write_bytes(content)
    assert not run_here(files, monkeypatch).failures
    assert todo(files) == {}


def test_a_stage_can_be_run_alone_once_its_inputs_are_there(tiny, files, monkeypatch):
    (files / "files.yaml").write_text(FILES)
    early = command_here("run", "files.yaml", "--stage", "entropy", "--quiet", folder=files)
    assert early.returncode == 1
    assert "stage entropy needs convert" in early.stderr
    converted = command_here("run", "files.yaml", "--stage", "convert", folder=files)
    assert converted.returncode == 0
    assert "hops: 0 of 10" in converted.stdout
    assert "page" not in converted.stdout
    assert command_here("run", "files.yaml", "--stage", "entropy", "--quiet", folder=files).returncode == 0
    monkeypatch.chdir(files)
    assert {"convert", "entropy"}.isdisjoint(todo(files))


def test_a_store_without_its_ledger_is_refused(finished, monkeypatch):
    (finished / "files.zarr.ledger").unlink()
    with pytest.raises(StoreError, match="without its ledger") as caught:
        run_here(finished, monkeypatch)
    assert (caught.value.file.name, caught.value.remedy) == ("files.zarr", "move both together")


def test_a_study_of_another_shape_is_refused(finished, monkeypatch):
    with pytest.raises(StoreError, match=r"has replica \[1\], which the study does not list"):
        run_here(finished, monkeypatch, FILES.replace("replicas: 2", "replicas: 1"))


def test_missing_files_are_named_before_anything_is_written(files, monkeypatch):
    message = "no file of the production run at T = 1.5, replica 0; of this replica there are T = 0.8, T = 1"
    with pytest.raises(TrajectoryError, match=message):
        run_here(files, monkeypatch, FILES.replace("[1.0, 0.8]", "[1.5, 0.8]"))
    assert not (files / "files.zarr").exists()


def test_no_labelled_example_of_a_class_is_said(finished, monkeypatch):
    outcome = run_here(finished, monkeypatch, FILES.replace("soft: 0.1, hard: 0.08", "soft: 100.0, hard: 0.08"))
    assert any("no soft example" in cause for cause in outcome.failures.values())


def test_fewer_frames_than_a_window_is_said(files, monkeypatch):
    with pytest.raises(StudyError, match=r"production run is 20 τ long \(21 frames\), less than the"):
        run_here(files, monkeypatch, FILES.replace("window: 10.0", "window: 30.0"))


# --- however often it is stopped ---


def stop(folder, study, how, when, cluster) -> None:
    """Run a study, stop it as soon as `when()` is true, and check how it let go."""
    arguments = ["-m", "daskglass", "run", study, "--quiet", "--cluster", cluster]
    with started(*arguments, cwd=folder, stderr=subprocess.PIPE, text=True) as process:
        while not when():
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.05)
        process.send_signal(how)
        said = process.communicate(timeout=120)[1]
    if how != signal.SIGKILL:
        assert process.returncode == 1
        assert "interrupted" in said
        assert not list(folder.glob("*.lock"))


def done_tasks(store_path) -> int:
    return len(Ledger(store_path).marks)


def test_a_simulation_stopped_in_the_middle_continues_to_the_same_result(tiny, tmp_path):
    (tmp_path / "tiny.yaml").write_text(TINY)
    frames = tmp_path / "tiny.trajectories/ka_0.0/r1/T1/production.gsd.part"
    stop(tmp_path, "tiny.yaml", signal.SIGINT, frames.exists, "none")
    stop(tmp_path, "tiny.yaml", signal.SIGINT, lambda: done_tasks(tmp_path / "tiny.zarr") > 20, "local")
    done = command_here("run", "tiny.yaml", "--quiet", "--cluster", "none", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert_same_store(tiny / "tiny.zarr", tmp_path / "tiny.zarr")


@pytest.mark.parametrize(
    ("how", "cluster"), [(signal.SIGTERM, "local"), (signal.SIGTERM, "none"), (signal.SIGKILL, "local")], ids=str
)
def test_an_analysis_stopped_in_the_middle_continues_to_the_same_result(finished_once, files, how, cluster):
    (files / "files.yaml").write_text(FILES)
    stop(files, "files.yaml", how, lambda: done_tasks(files / "files.zarr") > 12, cluster)
    done = command_here("run", "files.yaml", "--quiet", folder=files)
    assert done.returncode == 0, done.stderr
    assert_same_store(finished_once / "files.zarr", files / "files.zarr")


# --- the graph itself ---


@pytest.mark.parametrize("text", [TINY, FILES])
def test_every_task_comes_after_those_it_waits_for(files, text, monkeypatch):
    (files / "study.yaml").write_text(text)
    monkeypatch.chdir(files)
    seen = set()
    for task in pipeline.study_tasks(load_study(files / "study.yaml")):
        assert {*task.needs, *task.after} <= seen
        assert task.key not in seen
        seen.add(task.key)


def test_no_stage_waits_for_a_later_one(files, monkeypatch):
    (files / "study.yaml").write_text(TINY)
    monkeypatch.chdir(files)
    tasks = {task.key: task for task in pipeline.study_tasks(load_study(files / "study.yaml"))}
    order = registry.names()

    for task in tasks.values():
        assert all(order.index(tasks[key].stage) <= order.index(task.stage) for key in (*task.needs, *task.after))
