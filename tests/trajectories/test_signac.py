"""signac projects as tables: state points give coordinates, and what is unclear is told."""

import sys
from pathlib import Path

import pytest

from daskglass.errors import StudyError, TrajectoryError
from daskglass.trajectories.mapping import find_sources
from daskglass.trajectories.signac import project_rows

signac = pytest.importorskip("signac", reason="signac is not installed")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Empty project in the working directory, in a folder with a name of all kinds of letters."""
    monkeypatch.chdir(tmp_path)
    return signac.init_project("my próject [1]")


def add(project, state_point, *files):
    job = project.open_job(state_point).init()
    for name in files:
        Path(job.path, name).parent.mkdir(parents=True, exist_ok=True)
        Path(job.path, name).touch()
    return job


def places(path, **rename):
    pattern, rows = project_rows(path)
    return [(s.system, s.run, s.temperature, s.replica) for s in find_sources(pattern, {}, rows, rename)]


def test_system_and_replica_come_from_state_points_and_temperature_from_the_path(project):
    for system in ("ka_0.0", "ka_0.2"):
        for replica in (0, 1):
            files = [f"runs/temp-{T}/traj.gsd" for T in ("0.45", "0.50")]
            add(project, {"system": system, "replica": replica}, *files)
    expected = [(s, "production", T, r) for s in ("ka_0.0", "ka_0.2") for T in (0.5, 0.45) for r in (0, 1)]
    assert places("my próject [1]/runs/temp-{temperature:g}/traj.gsd") == expected
    assert places("my próject [1]") == expected
    assert places("my próject [1]/") == expected


def test_each_file_lies_in_the_folder_of_the_job_of_its_state_point(project):
    jobs = {seed: add(project, {"seed": seed, "model": "ka", "kT": 0.45}, "out.gsd") for seed in (7, 8)}
    pattern, rows = project_rows("my próject [1]/out.gsd")
    found = find_sources(pattern, {}, rows, {"seed": "replica", "model": "system", "kT": "temperature"})
    assert {s.replica: s.path.resolve() for s in found} == {
        seed: Path(job.path, "out.gsd").resolve() for seed, job in jobs.items()
    }


def test_rows_hold_the_job_and_its_state_point_as_texts(project):
    job = add(project, {"a": {"b": {"c": 1e-5}, "d": "é"}, "kT": 0.1, "n": 3, "none": None, "yes": True, "list": [1]})
    _, rows = project_rows("my próject [1]/x.gsd")
    texts = {"a.b.c": "1e-05", "a.d": "é", "kT": "0.1", "n": "3", "none": "None", "yes": "True", "list": "[1]"}
    assert rows == [{"job.id": job.id} | texts]


def test_nested_keys_give_coordinates_by_their_dotted_names(project):
    add(project, {"model": {"name": "ka"}, "thermo": {"kT": 0.45}}, "x_0.45.gsd")
    rename = {"model.name": "system", "thermo.kT": "temperature"}
    assert places("my próject [1]/x_{thermo.kT:.2f}.gsd", **rename) == [("ka", "production", 0.45, 0)]


@pytest.mark.parametrize("root", ["$ROOT/my próject [1]", "~/my próject [1]", "./my próject [1]", "."])
def test_the_project_is_found_by_variables_home_and_doubled_braces(project, monkeypatch, tmp_path, root):
    add(project, {"system": "ka", "temperature": 1}, "{x}/a.gsd")
    monkeypatch.setenv("ROOT", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    if root == ".":
        monkeypatch.chdir("my próject [1]")
    assert places(f"{root}/{{{{x}}}}/a.gsd") == [("ka", "production", 1.0, 0)]


def test_the_longest_leading_project_is_taken(project, tmp_path):
    add(project, {"system": "outer", "temperature": 1}, "a.gsd")
    inner = signac.init_project("my próject [1]/inner")
    add(inner, {"system": "inner", "temperature": 1}, "inner/a.gsd")
    assert places("my próject [1]/inner/inner/a.gsd") == [("inner", "production", 1.0, 0)]


def test_a_lone_project_with_its_files_in_the_jobs_folders_needs_no_more(project):
    add(project, {"system": "a", "temperature": 1, "name": "n"}, "traj.gsd", "log.txt")
    add(project, {"system": "b", "temperature": 1, "name": "n"}, "other.gsd", "analysis/more.gsd")
    assert places("my próject [1]") == [("a", "production", 1.0, 0), ("b", "production", 1.0, 0)]


def test_a_lone_project_with_two_files_in_a_job_is_refused(project):
    add(project, {"system": "a", "temperature": 1}, "traj.gsd", "init.gsd")
    with pytest.raises(TrajectoryError, match=r"init\.gsd and .*traj\.gsd are both system a"):
        places("my próject [1]")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["init.gsd", "runs/temp-0.45/traj.gsd"], "GSD files both in their folders and in runs/temp-"),
        (["traj.lammpstrj"], "GSD files neither in their folders nor in runs/temp-"),
    ],
)
def test_a_lone_project_with_files_in_both_places_or_neither_is_refused(project, files, message):
    add(project, {"system": "a"}, *files)
    with pytest.raises(StudyError) as error:
        project_rows("my próject [1]")
    assert message in str(error.value)
    assert "append the file to the path" in str(error.value)


def test_a_job_without_its_file_is_reported(project):
    add(project, {"system": "a", "temperature": 1}, "traj.gsd")
    job = add(project, {"system": "b", "temperature": 1})
    with pytest.raises(TrajectoryError, match=rf"job\.id={job.id}, .*: no file matches .*{job.id}/traj\.gsd"):
        places("my próject [1]/traj.gsd")


def test_a_missing_key_is_reported_with_those_that_exist(project):
    add(project, {"system": "a", "kT": 1}, "traj.gsd")
    with pytest.raises(StudyError, match=r"no temperature .*rename.*the names are job\.id, kT, system"):
        places("my próject [1]/traj.gsd")


def test_a_folder_that_is_no_project_is_refused(tmp_path):
    (tmp_path / "x").mkdir()
    with pytest.raises(StudyError) as error:
        project_rows(f"{tmp_path}/x/{{temperature}}.gsd")
    assert f"{tmp_path}/x/{{temperature}}.gsd: no leading part of it is a signac project" in str(error.value)


def test_a_project_that_signac_cannot_open_is_reported(project):
    Path(project.path, ".signac/config").write_text("schema_version = 99\n")
    with pytest.raises(StudyError, match=r"my próject \[1\]: signac cannot open the project: .*99"):
        project_rows("my próject [1]/x.gsd")


def test_a_project_without_jobs_is_refused(project):
    with pytest.raises(StudyError, match="the signac project has no jobs"):
        project_rows("my próject [1]/x.gsd")


def test_a_damaged_state_point_is_reported_with_its_job(project):
    job = add(project, {"system": "a"})
    Path(job.path, "signac_statepoint.json").write_text("{")
    with pytest.raises(StudyError, match=f"signac cannot read a state point: .*{job.id}"):
        project_rows("my próject [1]/x.gsd")


def test_keys_that_collide_when_flattened_are_reported(project):
    job = add(project, {"job": {"id": 1}})
    with pytest.raises(StudyError, match=rf"job {job.id} has two values for job\.id in its state point"):
        project_rows("my próject [1]/x.gsd")


def test_without_signac_the_error_names_the_extra_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "signac", None)
    with pytest.raises(StudyError, match=r'pip install "daskglass\[signac\]"'):
        project_rows(str(tmp_path))


def test_reading_a_project_changes_nothing_in_it(project):
    add(project, {"system": "a", "temperature": 1}, "traj.gsd")
    before = {path: path.stat().st_mtime_ns for path in Path(project.path).rglob("*")}
    assert places("my próject [1]")
    assert {path: path.stat().st_mtime_ns for path in Path(project.path).rglob("*")} == before
