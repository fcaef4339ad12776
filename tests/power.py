"""Kills and power cuts: what of a folder is there afterwards when processes end without warning.

Processes are run with a shim that keeps, at every `os.fsync`, what is then on disk for certain: the contents of a file, or
the names in a folder. A power cut kills them all and leaves of every file and name either what was synced or what was written
since, each for itself and at random; of a file that was never synced, that may be nothing at all.
"""

from __future__ import annotations

import ctypes
import json
import os
import random
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

SHIM = f"""\
import os, sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from tests import power
power.install()
"""
ROOT, SYNCED = "POWER_ROOT", "POWER_SYNCED"
FOLDER = ".folder"  # behind what is kept of a folder
_libc = ctypes.CDLL(None, use_errno=True)


def identity(path: str | Path) -> str:
    """What tells a file or folder from all that had its number before: the number, and when it was made."""
    found = ctypes.create_string_buffer(256)
    if _libc.statx(-100, os.fsencode(path), 0x100, 0x900, found):
        raise FileNotFoundError(path)
    number = int.from_bytes(found.raw[32:40], "little")
    seconds, rest = int.from_bytes(found.raw[80:88], "little"), int.from_bytes(found.raw[88:92], "little")
    return f"{number}-{seconds}-{rest}"


def listing(folder: str | Path) -> dict[str, str]:
    """Names in a folder, and what they name."""
    names = {}
    for name in os.listdir(folder):
        with suppress(FileNotFoundError):
            names[name] = identity(os.path.join(folder, name))
    return names


def keep(path: str, synced: Path) -> None:
    """Keep what is on disk now of a file or folder."""
    aside = synced / uuid.uuid4().hex
    with suppress(FileNotFoundError):
        place = synced / identity(path)
        if os.path.isdir(path):
            aside.write_text(json.dumps(listing(path)))
            os.replace(aside, place.with_suffix(FOLDER))
        else:
            shutil.copyfile(path, aside)
            os.replace(aside, place)


def install() -> None:
    """Keep what this process syncs."""
    os.fsync = keeping(os.environ[ROOT], Path(os.environ[SYNCED]))


def keeping(root: str, synced: Path) -> Callable[[int], None]:
    """`os.fsync` that keeps what it syncs in a folder."""
    fsync = os.fsync

    def sync(handle: int) -> None:
        fsync(handle)
        path = os.readlink(f"/proc/self/fd/{handle}")
        if path == root or path.startswith(f"{root}/"):
            keep(path, synced)

    return sync


def certain(folder: Path, synced: Path) -> dict[str, bytes]:
    """Files that a cut leaves in a folder whatever it takes, and their contents, by names relative to it."""

    def below(what: str, name: str) -> None:
        kept = synced / what
        if (listed := kept.with_suffix(FOLDER)).exists():
            for each, identity_of in json.loads(listed.read_text()).items():
                below(identity_of, f"{name}/{each}" if name else each)
        elif kept.exists():
            found[name] = kept.read_bytes()

    found: dict[str, bytes] = {}
    below(identity(folder), "")
    return found


class Machine:
    """Processes that work in a folder, and lose power.

    `root` is the folder; all in it counts as synced when a process is started after a cut, or at first.
    """

    def __init__(self, root: Path, seed: int) -> None:
        self.root, self.draw = root.resolve(), random.Random(seed)
        self.beside = self.root.with_name(f"{self.root.name}.machine")
        self.synced = self.beside / "synced"
        (self.beside / "site").mkdir(parents=True)
        (self.beside / "site" / "sitecustomize.py").write_text(SHIM)
        self._all_synced()

    def _all_synced(self) -> None:
        shutil.rmtree(self.synced, ignore_errors=True)
        self.synced.mkdir()
        for folder, _, names in os.walk(self.root):
            for name in names:
                keep(os.path.join(folder, name), self.synced)
            keep(folder, self.synced)

    def start(self, *arguments: str) -> subprocess.Popen:
        """Start a command of daskglass."""
        path = os.pathsep.join([str(self.beside / "site"), *filter(None, [os.environ.get("PYTHONPATH")])])
        return subprocess.Popen(
            [sys.executable, "-m", "daskglass", *arguments], cwd=self.root, text=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path, ROOT: str(self.root), SYNCED: str(self.synced)},
        )  # fmt: skip

    def kill(self) -> None:
        """Kill all that runs."""
        while running := self._running():
            for process in running:
                with suppress(psutil.Error):
                    process.suspend()
            for process in running:
                with suppress(psutil.Error):
                    process.kill()
            psutil.wait_procs(running, 5)

    def cut_power(self) -> None:
        """Kill all that runs, and leave of the folder what a power cut leaves."""
        self.kill()
        live = {identity(path): str(path) for path in [self.root, *self.root.rglob("*")]}
        after = self.beside / "after"
        self._rebuild(identity(self.root), live, after)
        shutil.rmtree(self.root)
        os.replace(after, self.root)
        self._all_synced()

    def _running(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get(ROOT) == str(self.root) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def _rebuild(self, what: str, live: dict[str, str], place: Path) -> None:
        kept, now = self.synced / what, live.get(what)
        folder = kept.with_suffix(FOLDER)
        if folder.exists() or (now and os.path.isdir(now)):
            names = json.loads(folder.read_text()) if folder.exists() else {}
            place.mkdir()
            written = listing(now) if now else names
            for name in sorted({*names, *written}):
                choices = [each[name] for each in (names, written) if name in each]
                gone = (name in names) != (name in written)
                if not (gone and self.draw.random() < 0.5):
                    self._rebuild(self.draw.choice(choices), live, place / name)
            return
        if kept.exists() and (now is None or self.draw.random() < 0.5):
            shutil.copyfile(kept, place)
            return
        data = Path(now).read_bytes() if now else b""
        if kept.exists() and kept.read_bytes() == data:
            place.write_bytes(data)
        else:
            place.write_bytes(self.draw.choice([data, data[: len(data) // 2], b""]))


def disturbed(
    machine: Machine,
    arguments: Sequence[str],
    progress: Callable[[], int],
    end: Callable[[], None],
    times: int,
    stride: int,
) -> int:
    """Run a command and end it so many times, each at most `stride` steps of progress later and two seconds; let it finish.

    Returns how often it was ended, which is less than asked where it was complete before.

    Raises
    ------
    AssertionError
        If it fails by itself, with what it says.
    """
    for number in range(times):
        process, wanted = machine.start(*arguments), progress() + machine.draw.randint(0, stride)
        while process.poll() is None and progress() < wanted:
            time.sleep(0.01)
        with suppress(subprocess.TimeoutExpired):
            process.wait(2 * machine.draw.random())
        ended = process.returncode
        end()
        _, said = process.communicate()
        assert ended in (None, 0), said
        if ended == 0:
            return number
    process = machine.start(*arguments)
    _, said = process.communicate(timeout=600)
    assert process.returncode == 0, said
    return times
