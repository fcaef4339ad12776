"""Errors of daskglass: each names the problem, its place, and the fix."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
CLOSED = {errno.EACCES, errno.EPERM, errno.EROFS}


class DaskglassError(Exception):
    """Base of all errors that daskglass raises.

    Attributes
    ----------
    problem : str
        What is wrong. A name of a setting in it, or in the remedy, is made by `setting`.
    file : Path or str
        Where; None where it is in no file.
    frame : int
        Where; None where it is in no frame.
    remedy : str
        What to do about it; empty where the problem tells.
    words : Mapping
        What settings are called, by their keys, where it is not by these.
    """

    def __init__(
        self, problem: str = "", *, file: Path | str | None = None, frame: int | None = None, remedy: str = ""
    ) -> None:
        super().__init__(problem)
        self.problem, self.file, self.frame, self.remedy = problem, file, frame, remedy
        self.words: Mapping[str, str] = {}

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of the settings that the error names."""
        return tuple(dict.fromkeys(_SETTING.findall(self._marked())))

    def __str__(self) -> str:
        return _SETTING.sub(lambda mark: self.words.get(mark[1], mark[1]), self._marked())

    def _marked(self) -> str:
        frame = None if self.frame is None else f"frame {self.frame}"
        return ": ".join(str(part) for part in (self.file, frame, self.problem, self.remedy) if part or part == 0)


_OPEN, _CLOSE = "\x0e", "\x0f"  # shift out, shift in: in no text of ours
_SETTING = re.compile(f"{_OPEN}(.*?){_CLOSE}")


def setting(key: str) -> str:
    """Name a setting in an error by its key in the study file; who shows the error may have another word for it."""
    return f"{_OPEN}{key}{_CLOSE}"


@contextmanager
def in_words(words: Mapping[str, str]) -> Iterator[None]:
    """Let errors call settings by other words than their keys."""
    try:
        yield
    except DaskglassError as error:
        error.words = words
        raise


class StudyError(DaskglassError, ValueError):
    """A study file, or a value in it, is not valid."""


class TrajectoryError(DaskglassError, ValueError):
    """A trajectory file is missing, damaged, or does not match the study."""


class StoreError(DaskglassError, ValueError):
    """A store is missing, locked by another process, or made for another study."""


class DataError(DaskglassError, ValueError):
    """An array passed to a public function is not valid."""


class EngineError(DaskglassError, RuntimeError):
    """A simulation engine is missing or failed."""


class ClusterError(DaskglassError, RuntimeError):
    """Workers do not start, or are lost."""


def reason(error: OSError, path: Path | None = None) -> str:
    """Text of a system error: path, reason and remedy; see `system_error`."""
    return str(system_error(error, path))


def system_error(error: OSError, path: Path | None = None) -> StoreError:
    """Error that names the file, the reason and the remedy of a system error; without a file if it is not the system's.

    Parameters
    ----------
    error : raised by the system, or by a library that writes files
    path : file that was written, for errors without a path
    """
    # HDF5 and Arrow give the number only in their texts
    found = re.search(r"errno[ =]+(\d+)", str(error))
    number = error.errno or (int(found[1]) if found else 0)
    where = error.filename or path
    if where is None or not number:
        return StoreError(str(error))
    remedy = "free some space, and rerun" * (number in FULL) + "allow writing there, and rerun" * (number in CLOSED)
    return StoreError(os.strerror(number), file=os.fsdecode(where), remedy=remedy)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an OSError while writing into a StoreError that names the file and the remedy."""
    try:
        yield
    except OSError as error:
        if (ours := system_error(error, path)).file is None:
            raise
        raise ours from error
