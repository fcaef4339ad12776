"""What a person sees on a terminal, in a pipe and in a notebook: bars, lines, tables that fit, and what to do next."""

import fcntl
import io
import os
import pty
import re
import shutil
import struct
import sys
import termios
import time

import pytest
import zarr
from rich.console import Console

from daskglass.cli import bars as terminal
from daskglass.pipeline.progress import pace
from daskglass.store.lock import locked
from tests.cli.test_fitted import words
from tests.pipeline.test_progress import failed, finished, plan, seen, write
from tests.studies import FILES, command_here

CONTROL = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
LONG = "a_glass_former_of_my_own_with_a_rather_long_name"


def on_terminal(*arguments, folder, columns=80, **env):
    """What a command prints on a terminal of some width, with all control sequences, and its exit status."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(folder)
        os.environ.update({"TERM": "xterm", "COLUMNS": str(columns), **env})
        os.execv(sys.executable, [sys.executable, "-m", "daskglass", *arguments])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    printed = b""
    while True:
        try:
            printed += os.read(terminal, 4096)
        except OSError:
            # its other end is closed
            break
    os.close(terminal)
    return printed.decode().replace("\r\n", "\n"), os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


# --- tables ---


@pytest.fixture(scope="module")
def wide(tiny, tmp_path_factory):
    """Folder of the tiny study, with a store and a study of a system of a long name."""
    folder = tmp_path_factory.mktemp("wide")
    shutil.copytree(tiny, folder, dirs_exist_ok=True)
    zarr.open_group(folder / "wide.zarr", mode="w")
    shutil.copytree(tiny / "tiny.zarr/ka_0.0", folder / "wide.zarr" / LONG)
    (folder / "wide.yaml").write_text(
        FILES.replace("system: ka_0.0", f"system: {LONG}").replace("$TINY", "tiny.trajectories")
    )
    return folder


ASKED = [name for word in ("events", "probability", "probability_err", "activation_energy", "activation_entropy_err",
                           "stratum_middle") for name in ("--variable", word)]  # fmt: skip
TABLES = [
    ("status", "tiny.yaml"),
    ("status", "wide.yaml"),
    ("run", "tiny.yaml", "--dry-run"),
    ("run", "wide.yaml", "--dry-run"),
    ("info", "wide.zarr"),
    ("watch", "tiny.zarr"),
    ("compare", "wide.zarr", "wide.zarr"),
    ("query", "wide.zarr", "--run", "ensemble", *ASKED),
    ("query", "wide.zarr", "--variable", "hop", "--variable", "softness", "--variable", "local_entropy"),
]


@pytest.mark.xdist_group("tiny")
@pytest.mark.parametrize("columns", [60, 80])
@pytest.mark.parametrize("arguments", TABLES, ids=" ".join)
def test_every_table_fits_the_screen_and_every_word_of_it_is_whole(wide, arguments, columns):
    def shown(width):
        printed = command_here(*arguments, folder=wide, env={**os.environ, "COLUMNS": str(width)})
        assert not printed.stderr
        return re.sub("    # .*", "", printed.stdout)

    fitted, whole = shown(columns), shown(1000)
    tables = [line for line in fitted.splitlines() if line not in whole.splitlines()]
    assert max(map(len, tables), default=0) <= columns
    assert set(words(whole)) <= set(words(fitted))


@pytest.mark.xdist_group("tiny")
def test_sentences_below_a_table_are_folded_on_a_terminal_and_whole_in_a_pipe(tiny):
    piped = command_here("run", "tiny.yaml", "--dry-run", folder=tiny).stdout
    printed, _ = on_terminal("run", "tiny.yaml", "--dry-run", folder=tiny)
    shown = CONTROL.sub("", printed)
    assert max(map(len, piped.splitlines())) > 80 >= max(map(len, shown.splitlines()))
    assert words(shown) == words(piped)


# --- bars and lines ---

TOTALS = {"ka_0.0": {"simulate": 12, "inherent": 12_000}, LONG: {"simulate": 4, "train": 1}}
HALF = [
    plan(totals=TOTALS),
    *(finished(f"simulate-ka_0.0/production/T0.8/r{k}", at=10_000.0 + k, seconds=1.0) for k in range(8)),
]


def bars(columns, *entries):
    console = Console(file=io.StringIO(), width=columns)
    console.print(terminal.bars(seen(*entries)))
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_a_run_has_one_line_for_each_stage_with_its_rate_and_time_left(columns):
    lines = bars(columns, *HALF)
    assert [line.split()[0] for line in lines] == ["simulate", "inherent", "train"]
    assert max(map(len, lines)) <= min(columns, terminal.WIDEST)
    assert re.search(r"━ +8/16 +23/min +4 s left$", lines[0])
    assert re.search(r" 0/12,000$", lines[1].rstrip())


def test_failed_tasks_of_a_stage_are_seen_in_place_of_its_rate():
    lines = bars(60, *HALF, failed("simulate-ka_0.0/production/T0.8/r9", "disk full"))
    assert re.search(r"━ +8/16 +1 failed +4 s left$", lines[0])


def test_a_finished_stage_has_no_rate():
    lines = bars(60, *HALF, finished("train-" + LONG))
    assert re.search(r"━ +1/1$", lines[2].rstrip())


@pytest.mark.parametrize(("tasks", "text"), [(123.4, "123/s"), (2.0, "2.0/s"), (0.5, "30/min"), (0.005, "18/h")])
def test_the_rate_of_tasks_is_said_shortly(tasks, text):
    assert pace(tasks) == text


def test_off_a_terminal_a_stage_has_a_line_as_it_begins_and_ends_and_few_between(tmp_path, capsys, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    store = tmp_path / "two.zarr"
    with locked(store) as tell, terminal.show_progress(store, quiet=False) as progress:
        write(store, plan(at=time.time()), finished("train-ka_0.0", seconds=30.0))
        tell({"workers": 1, "running": {}})
        for done in range(101):
            progress("inherent", done, 100)
            clock[0] += 0.35
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "inherent: 0 of 100"
    assert lines[-1] == "inherent: 100 of 100"
    assert [line.split(";")[0] for line in lines[1:-1]] == [f"inherent: {k} of 100" for k in (30, 60, 90)]
    assert all("left" in line for line in lines[1:-1])


@pytest.fixture
def half_done(finished_once, files):
    """Folder of a finished study of files, of which one stage is to be done again."""
    shutil.copytree(finished_once, files, dirs_exist_ok=True)
    shutil.rmtree(files / "files.zarr/ka_0.0/production/softness")
    return files


AGAIN = ("run", "study.yaml", "--cluster", "none", "--stage", "softness")


@pytest.mark.xdist_group("tiny")
@pytest.mark.parametrize("columns", [60, 80])
def test_on_a_terminal_a_run_draws_its_bars_in_place(half_done, columns):
    printed, status = on_terminal(*AGAIN, folder=half_done, columns=columns)
    assert status == 0, printed
    assert "\x1b[1A" in printed
    drawn = [line.split("\r")[-1] for line in CONTROL.sub("", printed).splitlines()]
    ended = drawn.index("files.zarr: 8 tasks done")
    assert max(map(len, drawn[:ended])) <= columns
    softness = [line for line in drawn if line.startswith("softness")]
    assert softness[0].split()[2] == "0/8"
    assert softness[-1].split()[2] == "8/8"


@pytest.mark.xdist_group("tiny")
def test_a_command_of_a_notebook_prints_lines_though_its_output_is_a_terminal(half_done):
    printed, status = on_terminal(*AGAIN, folder=half_done, JPY_PARENT_PID="1")
    assert status == 0
    assert "\x1b" not in printed
    assert "softness: 8 of 8" in printed.splitlines()


# --- what to do next ---


@pytest.mark.xdist_group("tiny")
def test_the_last_lines_of_a_run_name_commands_that_work(tiny):
    lines = command_here("run", "tiny.yaml", folder=tiny).stdout.splitlines()
    opened, asked, explored = (line.removeprefix("next:").split("#")[0].split() for line in lines[-3:])
    assert opened[0] == "open"
    assert (tiny / opened[1]).is_file()
    found = command_here(*asked[1:], folder=tiny)
    assert found.returncode == 0
    assert "relaxation_time" in found.stdout
    assert explored == ["daskglass", "explore", "tiny.zarr"]


@pytest.mark.xdist_group("tiny")
def test_a_failed_run_says_which_command_continues(half_done, monkeypatch):
    def fail(*arguments, **options):
        raise ValueError("no frames")

    monkeypatch.setattr("daskglass.physics.softness.Softness.transform", fail)
    done = command_here(*AGAIN, folder=half_done)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"daskglass: 8 tasks failed; fix the cause, then: daskglass {' '.join(AGAIN)}"
    )


@pytest.mark.xdist_group("tiny")
def test_an_interrupted_run_says_which_command_continues_and_does_not_begin_again(half_done, monkeypatch):
    def stop(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("daskglass.physics.softness.Softness.transform", stop)
    done = command_here("run", "study.yaml", "--cluster", "none", "--from", "softness", folder=half_done)
    assert done.returncode == 1
    assert done.stderr == "daskglass: interrupted; to continue: daskglass run study.yaml --cluster none\n"
