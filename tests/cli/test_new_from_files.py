"""`daskglass new --data`: a study file filled in by files of all kinds of layouts."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from daskglass.store.blocks import open_store
from daskglass.study.load import load_study
from tests.cli.test_new import new, planned
from tests.studies import command_here
from tests.trajectories.files import make_run, write_dump, write_gsd

RUN = replace(make_run(frames=31, particles=300, box=(8.0, 8.0, 8.0)), types=("A", "B"))
SMALL = replace(RUN, step=RUN.step[:21], position=RUN.position[:21], image=RUN.image[:21])
DUMPED = replace(RUN, types=("1", "2"))


def unknown(printed):
    """What a command said that it does not know."""
    return [line.removeprefix("not known: ") for line in printed.splitlines() if line.startswith("not known: ")]


def given(folder, monkeypatch):
    """Temperatures and replicas of the systems of the study that was written, and where its files are."""
    monkeypatch.chdir(folder)
    study = load_study("mine.yaml")
    return {s.system: (s.temperatures, s.replicas) for s in study.systems}, study.source.trajectories


@pytest.fixture
def make(tmp_path):
    """Write files of these names, whose folders are made: GSD, or dumps by their ending."""

    def write(*names, run=RUN):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".gsd":
                write_gsd(path, run)
            else:
                pack = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "zstd"}.get(path.suffix, "plain")
                write_dump(path, replace(run, types=("1", "2")), pack=pack)
        return tmp_path

    return write


def test_gsd_files_give_systems_temperatures_replicas_species_interval_and_box(make, monkeypatch):
    folder = make(*(f"data/ka/T{T}/r{k}/traj.gsd" for T in ("0.45", "0.50", "0.6") for k in (0, 1)))
    printed = new(folder, "--data", "data")
    systems, source = given(folder, monkeypatch)
    assert systems == {"mine": ((0.6, 0.5, 0.45), 2)}
    assert source.path == "data/ka/T{temperature}/r{replica}/traj.gsd"
    assert "300 particles (A: 240, B: 60) in a box of 8 × 8 × 8 σ; A is studied" in printed
    assert "31 frames, 250 time steps apart" in printed
    said = unknown(printed)
    assert len(said) == 2
    assert said[0].startswith("mine: the potential")
    assert said[1].startswith("the length of a time step: the line marked * says 0.004 τ, so that frames are 1 τ apart")
    assert "timestep: 0.004    # *" in (folder / "mine.yaml").read_text()
    # half the box
    assert load_study("mine.yaml").radial.r_max == 4.0
    assert "mine: 300 particles, 186 frames" in planned(folder)


def test_dumps_give_the_time_step_where_they_have_times(tmp_path, make):
    folder = make("T0.5.dump")
    text = (folder / "T0.5.dump").read_text()
    for step in RUN.step:
        text = text.replace(
            f"ITEM: TIMESTEP\n{step}\n", f"ITEM: UNITS\nlj\nITEM: TIME\n{step * 0.002:.10g}\nITEM: TIMESTEP\n{step}\n"
        )
    (folder / "T0.5.dump").write_text(text)
    printed = new(folder, "--data", "*.dump")
    assert "a time step is 0.002 τ by the times in the files" in printed
    assert "timestep: 0.002\n" in (folder / "mine.yaml").read_text()
    assert not any("time step" in text for text in unknown(printed))
    assert "marked *" not in printed


LAYOUTS = {
    # name: files, what is given to --data, pattern, temperatures, number of replicas, what is not known
    "nested, temp_ and run_": (
        [f"d/temp_{T}/run_{k:02d}/out.gsd" for T in ("0.45", "0.5") for k in (1, 2)],
        "d", "d/temp_{temperature}/run_{replica}/out.gsd", (0.5, 0.45), 2, (),
    ),
    "T= and seed in one name": (
        [f"d/T={T}_seed{k}.gsd" for T in ("0.45", "0.5") for k in (5, 7)],
        "d/*.gsd", "d/T={temperature}_seed{replica}.gsd", (0.5, 0.45), 2, (),
    ),
    "numbers alone": (
        [f"d/{T}/{k}.dump" for T in ("0.45", "0.5", "1") for k in (1, 2)],
        "d", "d/{temperature}/{replica}.dump", (1.0, 0.5, 0.45), 2, (),
    ),
    "compressed in several ways": (
        ["d/T0.45/traj.lammpstrj.gz", "d/T0.5/traj.lammpstrj.bz2", "d/T0.6/traj.lammpstrj"],
        "d", "d/T{temperature}/traj.{ending}", (0.6, 0.5, 0.45), 1, (),
    ),
    "beside other files": (
        ["d/T0.45/traj.gsd", "d/T0.5/traj.gsd", "d/readme.txt", "d/T0.5/log.lammps"],
        "d", "d/T{temperature}/traj.gsd", (0.5, 0.45), 1, (),
    ),
    "the temperature twice": (
        [f"d/from_T1.0/T{T}/traj_T{T}.gsd" for T in ("0.45", "0.5")],
        "d", "d/from_T1.0/T{temperature}/traj_T{temperature}.gsd", (0.5, 0.45), 1, (),
    ),
    "a replica missing": (
        ["d/T0.45_r0.gsd", "d/T0.5_r0.gsd", "d/T0.5_r1.gsd"],
        "d", "d/T{temperature}_r{replica}.gsd", (0.5, 0.45), 1, ("no file of T = 0.45, replica 1",),
    ),
    "one replica of each temperature, by other numbers": (
        ["d/T0.45_r1.gsd", "d/T0.5_r0.gsd", "d/T0.6_r0.gsd"],
        "d", "d/T{temperature}_r{seed}.gsd", (0.6, 0.5, 0.45), 1, (),
    ),
    "a seed for each temperature": (
        ["d/temp-0.550_seed42.gsd", "d/temp-0.700_seed43.gsd"],
        "d", "d/temp-{temperature}_seed{seed}.gsd", (0.7, 0.55), 1, (),
    ),
    "several seeds for each temperature": (
        [f"d/T{T}_seed{k}.gsd" for T, k in (("0.45", 5), ("0.45", 6), ("0.5", 7), ("0.5", 8))],
        "d", "d/T{temperature}_seed{replica}.gsd", (0.45,), 1, ("if the numbers are seeds, write {seed} for {replica}",),
    ),
    "two numbers that may be anything": (
        [f"d/{k}/{k + 2}_T0.{k}.gsd" for k in (5, 6)],
        "d", "d/{number_1}/{number_2}_T{temperature}.gsd", (0.6, 0.5), 1,
        ("what the numbers 5, 6 in the names mean", "what the numbers 7, 8 in the names mean"),
    ),
    "one file, a temperature in its name": (
        ["T0.45.gsd"], "T0.45.gsd", "T{temperature}.gsd", (0.45,), 1, (),
    ),
    "a pattern of one's own": (
        [f"d/x{T}y{k}.gsd" for T in ("0.45", "0.5") for k in (1, 2)],
        "d/x{temperature:g}y{replica}.gsd", "d/x{temperature:g}y{replica}.gsd", (0.5, 0.45), 2, (),
    ),
    "a training run beside": (
        ["d/T0.45/production.gsd", "d/T0.5/production.gsd", "d/T0.45/training.gsd"],
        "d", "d/T{temperature}/{run}.gsd", (0.5, 0.45), 1, (),
    ),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_gives_a_study_that_runs_and_says_what_it_does_not_know(layout, make, monkeypatch):
    names, data, pattern, temperatures, replicas, questions = LAYOUTS[layout]
    folder = make(*(name for name in names if name.endswith(("gsd", "dump")) or "lammpstrj" in name))
    for name in names:
        if not (folder / name).exists():
            (folder / name).write_text("no trajectory\n")
    printed = new(folder, "--data", data)
    systems, source = given(folder, monkeypatch)
    assert source.path == pattern
    assert systems == {"mine": (temperatures, replicas)}
    always = ("mine: the potential", "the length of a time step")
    said = [text for text in unknown(printed) if not text.startswith(always)]
    assert len(said) == len(questions)
    for text, question in zip(said, questions, strict=True):
        assert question in text
    assert ("no trajectories, or damaged, and left out: d/readme.txt" in printed) == ("readme" in str(names))
    planned(folder)


def test_systems_have_their_own_temperatures_particles_and_mixtures(make, monkeypatch):
    make("d/wahn/T0.8.gsd", "d/wahn/T1.gsd")
    folder = make("d/poly/T0.5.gsd", "d/poly/T0.6.gsd", run=replace(RUN, typeid=np.zeros(300, np.int8), types=("A",)))
    printed = new(folder, "--data", "d")
    systems, _ = given(folder, monkeypatch)
    assert systems == {"poly": ((0.6, 0.5), 1), "wahn": ((1.0, 0.8), 1)}
    assert "poly: 300 particles (A: 300)" in printed
    assert "wahn: 300 particles (A: 240, B: 60)" in printed
    assert len([text for text in unknown(printed) if "the potential" in text]) == 2
    assert "wahn: 300 particles" in planned(folder)


@pytest.mark.parametrize("written", [("045", "050"), ("0p45", "0p5"), ("45", "50"), ("0_45", "0_50")])
def test_a_temperature_without_its_point_is_no_number_and_a_table_makes_it_one(written, make, monkeypatch):
    folder = make(*(f"d/T{text}/traj.gsd" for text in written))
    printed = new(folder, "--data", "d")
    [question] = [text for text in unknown(printed) if "may mean several numbers" in text]
    assert question.startswith(f"the temperature: {written[0].partition('_')[0]} in the names")
    assert "columns temperature_written and temperature" in question
    assert not any("no temperature" in text for text in unknown(printed))
    assert "# constants: {temperature: 0.5}    # *" in (folder / "mine.yaml").read_text()
    done = command_here("run", "mine.yaml", "--dry-run", folder=folder)
    assert "no temperature for d/T{temperature_written}" in done.stderr
    if "_" in written[0]:
        return
    (folder / "d/runs.csv").write_text(f"temperature_written,temperature\n{written[0]},0.45\n{written[1]},0.5\n")
    text = (folder / "mine.yaml").read_text()
    (folder / "mine.yaml").write_text(text.replace("    format: gsd", "    format: gsd\n    table: d/runs.csv"))
    planned(folder)


def test_words_that_may_be_temperatures_are_systems_unless_a_table_says_otherwise(make, monkeypatch):
    folder = make("d/hot/traj.gsd", "d/cold/traj.gsd")
    printed = new(folder, "--data", "d")
    [question] = [text for text in unknown(printed) if text.startswith("the temperature")]
    assert "if cold and hot stand for temperatures, write {state} for {system} in `path`" in question
    path = folder / "mine.yaml"
    text = path.read_text()
    path.write_text(text.replace("# constants: {temperature: 0.5}", "constants: {temperature: 0.5}"))
    assert "d/hot/traj.gsd" in planned(folder)
    assert set(given(folder, monkeypatch)[0]) == {"hot", "cold"}
    (folder / "d/states.csv").write_text("state,temperature\nhot,1.0\ncold,0.5\n")
    lines = [line.replace("{system}", "{state}") for line in text.splitlines() if "{system: hot}" not in line]
    path.write_text(
        "\n".join(lines).replace("system: cold", "system: mine").replace("# constants", "table: d/states.csv #")
    )
    [line] = [line for line in planned(folder).splitlines() if "d/hot/traj.gsd" in line]
    assert line.replace("│", " ").split() == ["mine", "production", "1", "0", "d/hot/traj.gsd"]


def test_a_broken_link_beside_systems_is_said_and_stops_nothing(make, monkeypatch):
    folder = make("d/a/T0.5.gsd", "d/b/T0.5.gsd")
    (folder / "d/b/T0.6.gsd").symlink_to("nowhere")
    assert any(
        "links to nowhere, which does not exist: restore" in text for text in unknown(new(folder, "--data", "d"))
    )
    assert set(given(folder, monkeypatch)[0]) == {"a", "b"}


def test_numbers_with_a_word_of_no_known_meaning_are_systems_and_asked_about(make, monkeypatch):
    folder = make(*(f"d/beta{beta}/r{k}.gsd" for beta in ("2.0", "2.2") for k in (1, 2)))
    questions = unknown(new(folder, "--data", "d"))
    assert questions[0].startswith("what beta2.0, beta2.2 in the names mean: they are taken for systems")
    assert "if beta2.0 and beta2.2 stand for temperatures, write {state} for {system} in `path`" in questions[1]
    assert set(given(folder, monkeypatch)[0]) == {"beta2.0", "beta2.2"}


def test_a_column_of_a_table_that_may_be_the_temperature_is_named(make):
    folder = make("d/a1.gsd", "d/b2.gsd")
    (folder / "d/runs.csv").write_text("file,T_K\na1.gsd,0.45\nb2.gsd,0.5\n")
    printed = new(folder, "--data", "d")
    assert any(
        "say which column of d/runs.csv it is, such as `rename: {T_K: temperature}`" in text
        for text in unknown(printed)
    )
    path = folder / "mine.yaml"
    path.write_text(path.read_text().replace("format: gsd", "format: gsd\n    rename: {T_K: temperature}"))
    planned(folder)


def test_seeds_are_numbered_by_a_table(make):
    folder = make(*(f"d/T{T}_seed{k}.gsd" for T, k in (("0.45", 5), ("0.45", 6), ("0.5", 7), ("0.5", 8))))
    new(folder, "--data", "d")
    (folder / "d/seeds.csv").write_text("temperature,seed,replica\n0.45,5,0\n0.45,6,1\n0.5,7,0\n0.5,8,1\n")
    text = (folder / "mine.yaml").read_text().replace("{replica}", "{seed}")
    text = text.replace("format: gsd", "format: gsd\n    table: d/seeds.csv")
    (folder / "mine.yaml").write_text(
        text.replace("temperatures: [0.45], replicas: 1", "temperatures: [0.5, 0.45], replicas: 2")
    )
    assert "not in the study" not in planned(folder)
    assert all(f"seed{k}.gsd" in planned(folder) for k in (5, 6, 7, 8))


def test_no_temperature_at_all_is_said_and_left_to_the_author(make):
    folder = make("traj.gsd")
    printed = new(folder, "--data", "traj.gsd")
    assert "300 particles (A: 240, B: 60)" in printed
    [question] = [text for text in unknown(printed) if text.startswith("the temperature")]
    assert question.endswith("otherwise put it into the names, or into a table named by `table`")
    text = (folder / "mine.yaml").read_text()
    (folder / "mine.yaml").write_text(text.replace("# constants: {temperature: 0.5}", "constants: {temperature: 0.5}"))
    planned(folder)


@pytest.mark.parametrize(
    ("table", "pattern"),
    [
        ("job,T,seed\na1,0.45,1\nb2,0.45,2\nc3,0.5,1\nd4,0.5,2\n", "d/runs/{job}/traj.gsd"),
        ("file;kT;replica\nruns/a1/traj.gsd;0,45;1\nruns/b2/traj.gsd;0,45;2\nruns/c3/traj.gsd;0,5;1\nruns/d4/traj.gsd;0,5;2\n",
         "d/{file}"),
    ],
    ids=["by folder", "by file"],
)  # fmt: skip
def test_labels_come_from_a_table_beside_the_files(table, pattern, make, monkeypatch):
    folder = make(*(f"d/runs/{job}/traj.gsd" for job in ("a1", "b2", "c3", "d4")))
    (folder / "d/runs.csv").write_text(table)
    assert "labels by the table d/runs.csv" in new(folder, "--data", "d")
    systems, source = given(folder, monkeypatch)
    assert (source.path, source.table) == (pattern, "d/runs.csv")
    assert systems == {"mine": ((0.5, 0.45), 2)}
    planned(folder)


def test_a_table_and_names_give_labels_together(make, monkeypatch):
    folder = make(*(f"d/{job}/T{T}.gsd" for job in ("a1", "b2") for T in ("0.45", "0.5")))
    (folder / "d/runs.csv").write_text("job,seed\na1,1\nb2,2\n")
    new(folder, "--data", "d")
    systems, source = given(folder, monkeypatch)
    assert (source.path, source.table, source.rename) == (
        "d/{job}/T{temperature}.gsd",
        "d/runs.csv",
        {"seed": "replica"},
    )
    assert systems == {"mine": ((0.5, 0.45), 2)}
    planned(folder)


def test_a_file_per_frame_is_known_by_the_steps_in_the_names(make, monkeypatch, tmp_path):
    for T in ("0.45", "0.5"):
        (tmp_path / f"d/T{T}").mkdir(parents=True)
        for k, step in enumerate(RUN.step):
            one = replace(
                DUMPED, step=RUN.step[k : k + 1], position=RUN.position[k : k + 1], image=RUN.image[k : k + 1]
            )
            write_dump(tmp_path / f"d/T{T}/dump.{step}.gz", one, pack="gzip")
    printed = new(tmp_path, "--data", "d")
    systems, source = given(tmp_path, monkeypatch)
    assert source.path == "d/T{temperature}/dump.{step}.gz"
    assert "31 frames, 250 time steps apart" in printed
    assert systems == {"mine": ((0.5, 0.45), 1)}
    planned(tmp_path)


def test_files_of_other_lengths_are_read_as_far_as_the_shortest(make, monkeypatch):
    make("d/T0.5.gsd")
    folder = make("d/T0.4.gsd", run=SMALL)
    assert any(
        "production: files of 21 and 31 frames: the first 21" in text for text in unknown(new(folder, "--data", "d"))
    )
    assert given(folder, monkeypatch)[1].frames == 21
    planned(folder)


def test_a_training_run_may_be_longer_than_production(make, monkeypatch):
    make("d/T0.5/production.gsd", "d/T0.4/production.gsd", run=SMALL)
    folder = make("d/T0.4/training.gsd")
    printed = new(folder, "--data", "d")
    assert "production: 21 frames, 250 time steps apart\ntraining: 31 frames, 250 time steps apart" in printed
    assert given(folder, monkeypatch)[1].frames is None
    assert load_study("mine.yaml").softness.train_on.run == "training"
    assert "73 frames" in planned(folder)


def test_runs_of_several_lengths_have_one_limit(make, monkeypatch):
    make("d/T0.5/production.gsd", "d/T0.5/training.gsd", run=SMALL)
    folder = make("d/T0.4/production.gsd", "d/T0.4/training.gsd")
    new(folder, "--data", "d")
    assert given(folder, monkeypatch)[1].frames == 21
    planned(folder)


def test_the_species_that_is_studied_is_that_of_the_mixture(make):
    folder = make("d/ka_0.0_T0.5.gsd", run=replace(RUN, types=("B", "A"), typeid=1 - RUN.typeid))
    assert "300 particles (B: 60, A: 240) in a box of 8 × 8 × 8 σ; A is studied" in new(folder, "--data", "d")


def test_a_file_that_is_damaged_is_named_and_the_others_are_the_study(make, monkeypatch):
    folder = make("d/T0.5.gsd", "d/T0.6.gsd", "d/T0.7.gsd")
    whole = (folder / "d/T0.6.gsd").read_bytes()
    (folder / "d/T0.6.gsd").write_bytes(whole[:400])
    said = unknown(new(folder, "--data", "d"))
    assert any(text.startswith("d/T0.6.gsd: ") for text in said)
    assert given(folder, monkeypatch)[0] == {"mine": ((0.7, 0.5), 1)}
    planned(folder)


def test_names_of_types_cannot_write_into_the_study(make, monkeypatch):
    folder = make("d/T0.5.gsd", run=replace(RUN, types=("A\nstore: /elsewhere", "B")))
    new(folder, "--data", "d")
    monkeypatch.chdir(folder)
    assert load_study("mine.yaml").store == "mine.zarr"


def test_the_study_has_the_files_that_were_named_and_no_others_of_such_names(make, monkeypatch):
    folder = make("d/T0.45.gsd", "d/T0.5.gsd", "d/T0.6.gsd")
    assert "1 other file by such names" in new(folder, "--data", "d/T0.[45]*.gsd")
    assert given(folder, monkeypatch)[0] == {"mine": ((0.5, 0.45), 1)}
    assert "(not in the study)" in planned(folder)


def test_a_replica_that_was_named_alone_is_the_one_that_is_read(make):
    folder = make(*(f"d/T{T}_r{k}.gsd" for T in ("0.45", "0.5") for k in (0, 1, 2)))
    assert "2 replicas" in new(folder, "--data", "d/*_r[01].gsd")
    (folder / "mine.yaml").unlink()
    new(folder, "--data", "d/*_r2.gsd")
    printed = "".join(planned(folder).split())
    assert "d/T0.45_r2.gsd" in printed
    assert "_r0.gsd" not in printed
    (folder / "mine.yaml").unlink()
    folder = make(*(f"e/T{T}_r{k:02d}.gsd" for T in ("0.45", "0.5") for k in (1, 2)))
    new(folder, "--data", "e/*_r02.gsd")
    assert "e/T0.45_r02.gsd" in "".join(planned(folder).split())
    (folder / "mine.yaml").unlink()
    assert any("replicas 1 and 2 alone" in text for text in unknown(new(folder, "--data", "d/*_r[12].gsd")))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mine", "--data", "none/*.gsd"), "no file matches none/*.gsd: give a folder, or names such as"),
        (("mine", "--data", "none"), "no file matches none"),
        (("mine", "--data", "bare"), "bare: no files in this folder or below: name the folder that holds"),
        (("mine", "--data", "T{temperature}/x.gsd"), "no file matches T{temperature}/x.gsd"),
        (("mine", "--data", "s3://bucket"), "is not supported"),
        (("mine", "--data", "$NO_SUCH_ROOM/x"), "environment variable NO_SUCH_ROOM"),
        (("mine", "--data", "text"), "text: no trajectory among 2 files, such as text/empty.gsd"),
        (
            ("mine", "--data", "mixed"),
            "mixed: files of 2 formats: gsd (mixed/a.gsd) and lammps (mixed/b.dump): name those of one kind: "
            '--data "mixed/a.gsd" or --data "mixed/b.dump"',
        ),
        (
            ("mine", "--data", "odd"),
            "names follow no common pattern: odd/prod_beta1.82.gsd, odd/temp=0p70 run 3.gsd: rename",
        ),
        (
            ("mine", "--data", "kinds"),
            "files of several kinds by their names, such as kinds/T1/init.gsd, kinds/T1/traj.gsd",
        ),
        (("mine", "--data", "deep"), "files of several kinds by their folders"),
        (("mine", "--data", "cut"), "cut/T1.gsd: "),
        (("mine", "--data", "mixed/a.gsd", "--from", "quickstart"), "--from quickstart: mixed/a.gsd holds GSD files"),
    ],
)
def test_files_that_make_no_study_are_refused_and_nothing_written(arguments, message, make):
    folder = make(
        "mixed/a.gsd",
        "mixed/b.dump",
        "kinds/T1/init.gsd",
        "kinds/T1/traj.gsd",
        "deep/T1/a.gsd",
        "deep/T1/x/a.gsd",
        "cut/T1.gsd",
        "odd/prod_beta1.82.gsd",
        "odd/temp=0p70 run 3.gsd",
    )
    (folder / "bare").mkdir()
    (folder / "text").mkdir()
    (folder / "text/notes.txt").write_text("hello\n")
    (folder / "text/empty.gsd").touch()
    (folder / "cut/T1.gsd").write_bytes((folder / "cut/T1.gsd").read_bytes()[:300])
    before = sorted(os.listdir(folder))
    done = command_here("new", *arguments, folder=folder)
    assert done.returncode in (1, 2)
    assert message in " ".join(done.stderr.split()) or message in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(os.listdir(folder)) == before


def test_links_are_followed_and_lead_nowhere_twice(make, monkeypatch):
    folder = make("elsewhere/T0.45.gsd", "elsewhere/T0.5.gsd")
    (folder / "d").mkdir()
    (folder / "d/linked").symlink_to(folder / "elsewhere")
    (folder / "elsewhere/back").symlink_to(folder / "d")
    (folder / "d/gone.gsd").symlink_to("nowhere")
    new(folder, "--data", "d")
    assert given(folder, monkeypatch)[1].path == "d/linked/T{temperature}.gsd"


def test_a_table_that_cannot_be_read_or_is_of_something_else_stops_nothing(make, monkeypatch):
    folder = make("d/T0.45.gsd", "d/T0.5.gsd")
    (folder / "d/a.csv").write_text("x,y\n1\n")
    (folder / "d/thermo.csv").write_text("step,energy\n1,2\n")
    printed = new(folder, "--data", "d")
    assert "d/thermo.csv is not used: it has no column with the name" in printed
    assert "a table that is not used: source.trajectories.table: d/a.csv:2: 1 cells" in printed
    assert given(folder, monkeypatch)[1].table is None


def test_a_study_that_does_not_run_says_why(make):
    folder = make("d/T0.5.gsd", run=replace(RUN, box=np.full(3, 6.0), position=RUN.position * np.float32(0.75)))
    printed = new(folder, "--data", "d")
    assert "the study does not run yet: d/T0.5.gsd: mine has a box of 6.000 σ, too small" in printed
    assert "next: fill in what is not known, in mine.yaml; then daskglass run mine.yaml --dry-run" in printed


@pytest.mark.parametrize("state", [{"T": 0.45, "seed": 3}, {"thermo": {"kT": 0.45}, "replica": 3}])
def test_a_signac_project_gives_its_state_points(state, tmp_path, monkeypatch):
    signac = pytest.importorskip("signac", reason="signac is not installed")
    project = signac.init_project(tmp_path / "my project")
    for T in (0.45, 0.5):
        point = {key: ({"kT": T} if key == "thermo" else T if key == "T" else value) for key, value in state.items()}
        write_gsd(Path(project.open_job(point).init().path) / "traj.gsd", RUN)
    new(tmp_path, "--data", "my project")
    systems, source = given(tmp_path, monkeypatch)
    assert (source.format, source.path) == ("signac", "my project/traj.gsd")
    assert systems == {"mine": ((0.5, 0.45), 1)}
    planned(tmp_path)


def test_a_signac_project_whose_jobs_sweep_temperatures(tmp_path, monkeypatch):
    signac = pytest.importorskip("signac", reason="signac is not installed")
    project = signac.init_project(tmp_path / "project")
    for system in ("a", "b"):
        job = project.open_job({"system": system, "replica": 1}).init()
        for T in ("0.45", "0.50"):
            path = Path(job.path, f"runs/temp-{T}/traj.gsd")
            path.parent.mkdir(parents=True)
            write_gsd(path, RUN)
    new(tmp_path, "--data", "project")
    systems, source = given(tmp_path, monkeypatch)
    assert source.path == "project/runs/temp-{temperature}/traj.gsd"
    assert systems == {"a": ((0.5, 0.45), 1), "b": ((0.5, 0.45), 1)}
    planned(tmp_path)


def test_ensembles_begin_from_their_own_template(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    N, edge = 1000, (1000 / 1.2) ** (1 / 3)
    (tmp_path / "d").mkdir()
    for k in (1, 2, 3):
        start = rng.uniform(0, edge, (N, 3))
        np.savez(
            tmp_path / f"d/N1000T0.44_{k}_x.npz", types=(np.arange(N) >= 800).astype(int), initial_positions=start,
            positions=start + rng.normal(0, 0.1, (4, N, 3)),
        )  # fmt: skip
    printed = new(tmp_path, "--data", "d")
    assert "1,000 particles (by species code: 800, 200); ends of 4 trajectories" in printed
    assert [text.partition(":")[0] for text in unknown(printed)] == [
        "the lag of files", "the edge of the box", "the potential",
    ]  # fmt: skip
    text = (tmp_path / "mine.yaml").read_text()
    assert 'path: "d/N1000T{temperature}_{configuration}_x.npz"' in text
    (tmp_path / "mine.yaml").write_text(text.replace("# constants: {lag: 100}", "constants: {lag: 100}"))
    planned(tmp_path)


@pytest.mark.xdist_group("tiny")
def test_a_tiny_study_of_files_is_run_as_it_was_written(tiny, tmp_path):
    shutil.copytree(tiny / "tiny.trajectories", tmp_path / "files")
    printed = new(tmp_path, "--data", "files/**/production.gsd")
    assert "ka_0.0: T = 1.0, 0.8; 2 replicas" in printed
    assert "the potential" not in printed
    # as many frames and particles as these ask for less
    with (tmp_path / "mine.yaml").open("a") as file:
        file.write(
            "hops: {window: 10.0, soft: 0.1, hard: 0.08, hard_separation: 10.0}\nstrata: {bins: 3}\nbarriers: {resamples: 20}\n"
        )
    done = command_here("run", "mine.yaml", "--cluster", "none", "--system", "ka_0.0", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    run = open_store(tmp_path / "mine.zarr")["ka_0.0/production"].dataset
    assert run.temperature.values.tolist() == [1.0, 0.8]
    assert run.softness.notnull().any()
