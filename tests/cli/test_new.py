"""`daskglass new`: a study file to begin from."""

import os
import stat
from pathlib import Path

import pytest

from daskglass.cli.new import write
from daskglass.cluster.profiles import load_profile
from daskglass.errors import StudyError
from daskglass.registry import BATCH_SYSTEMS, TEMPLATES
from daskglass.study import templates
from daskglass.study.load import load_study
from tests.cli.test_commands import HEAVY, loaded_by
from tests.studies import command_here

ROOT = Path(__file__).parents[2]


def new(folder, *arguments):
    done = command_here("new", "mine", *arguments, folder=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def planned(folder):
    """What the next command prints."""
    done = command_here("run", "mine.yaml", "--dry-run", folder=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_templates_are_the_study_files_of_the_repository():
    assert templates.FOLDER.resolve() == ROOT / "pipelines"
    assert {f"{name}.yaml" for name in (*TEMPLATES, "validate")} == set(os.listdir(ROOT / "pipelines"))


@pytest.mark.parametrize("kind", TEMPLATES)
def test_a_study_from_a_template_is_that_template_under_its_own_name(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRAJECTORIES", "here")
    monkeypatch.setenv("ENSEMBLES", "here")
    printed = new(tmp_path, "--from", kind)
    assert ("say where the files are" in printed) == (kind in ("trajectories", "propensity"))
    study, source = load_study("mine.yaml"), load_study(ROOT / f"pipelines/{kind}.yaml")
    assert (study.study, study.store) == ("mine", "mine.zarr")
    assert study.model_dump(exclude={"study", "store"}) == source.model_dump(exclude={"study", "store"})
    text, before = Path("mine.yaml").read_text(), (ROOT / f"pipelines/{kind}.yaml").read_text()
    assert f"{kind}.yaml" not in text
    assert text.count("#") == before.count("#") > 0


def test_without_a_template_it_is_the_quickstart(tmp_path):
    assert "mine.yaml: begun from quickstart\nnext: daskglass run mine.yaml --dry-run" in new(tmp_path)
    assert "simulate" in planned(tmp_path)


def test_files_are_made_with_the_usual_permissions(tmp_path):
    before = os.umask(0o027)
    try:
        new(tmp_path, "--cluster", "slurm")
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o640}
    assert {path.name for path in tmp_path.iterdir()} == {"mine.yaml", "cluster.yaml"}


@pytest.mark.parametrize("kind", BATCH_SYSTEMS)
def test_a_cluster_file_has_the_profiles_of_its_batch_system_and_no_other(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert f"next: daskglass run mine.yaml --cluster {kind}" in new(tmp_path, "--cluster", kind)
    text = Path("cluster.yaml").read_text()
    assert {line.split()[1] for line in text.splitlines() if line.startswith("  type:")} == {kind}
    assert text.startswith("# Named clusters")
    assert load_profile(kind).kind == kind


@pytest.mark.parametrize("there", ["mine.yaml", "cluster.yaml"])
@pytest.mark.parametrize("dangling", [False, True])
def test_a_file_that_is_there_is_never_overwritten(there, dangling, tmp_path):
    if dangling:
        (tmp_path / there).symlink_to("nowhere")
    else:
        (tmp_path / there).write_text("mine\n")
    done = command_here("new", "mine", "--cluster", "slurm", folder=tmp_path)
    assert done.returncode == 2
    way_out = {"mine.yaml": "choose another name", "cluster.yaml": "leave --cluster out to keep it"}[there]
    assert f"daskglass: {there}: is there already, and is not overwritten: {way_out}, or move it away" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == [there]
    assert dangling or (tmp_path / there).read_text() == "mine\n"


def test_a_file_that_appears_meanwhile_is_not_overwritten(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("mine\n")
    with pytest.raises(StudyError, match="is there already"):
        write({file: "new\n"})
    assert file.read_text() == "mine\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a/b",), "'a/b' is not a name of a study"),
        (("..",), "'..' is not a name of a study"),
        (("my study",), "is not a name of a study"),
        (("-x",), "No such option"),
        (("é",), "is not a name of a study"),
        (("x\ny",), "is not a name of a study"),
        (("a\n",), "is not a name of a study"),
        (("a" * 101,), "no more than 100"),
        (("mine.yaml",), "'mine.yaml' is the name of a file; give that of the study, mine"),
        (("mine", "--from", "moon"), "unknown template 'moon': choose quickstart, trajectories"),
        (("mine", "--cluster", "moon"), "unknown batch system 'moon': choose slurm"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_written(arguments, message, tmp_path):
    done = command_here("new", *arguments, folder=tmp_path)
    assert done.returncode in (1, 2)
    assert message in " ".join(done.stderr.split()) or message in done.stderr
    assert "Traceback" not in done.stderr
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("name", ["1", "null", "true", "1e5", "No", "0432"])
def test_a_name_that_yaml_would_read_as_something_else_stays_a_name(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command_here("new", name, folder=tmp_path).returncode == 0
    assert load_study(f"{name}.yaml").study == name


@pytest.mark.parametrize(
    "arguments", [("new", "mine", "--cluster", "slurm"), ("cite",), ("cite", "--bibtex"), ("--version",)]
)
def test_what_needs_no_data_starts_without_heavy_imports(arguments, tmp_path):
    assert loaded_by(arguments, HEAVY | {"dask", "xarray", "pandas", "zarr"}, tmp_path) == "loaded []"


def test_an_edit_leaves_all_else_as_it_is():
    text = "a: 1  # one\nb:\n  # two\n  c: {d: [1, 2]}  # three\n  # four\n# five\ne: 2\n"
    assert templates.edited(text, {("b", "c", "d"): "x", ("e",): "3"}) == text.replace("[1, 2]", "x").replace(
        "e: 2", "e: 3"
    )
    assert templates.edited(text, {("b",): "c: 0"}) == "a: 1  # one\nb:\n  # two\n  c: 0\n  # four\n# five\ne: 2\n"
    with pytest.raises(StudyError, match=r"no key b\.f"):
        templates.edited(text, {("b", "f"): "x"})
