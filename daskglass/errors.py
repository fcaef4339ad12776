"""Errors of daskglass: each names the problem, its place, and the fix."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
CLOSED = {errno.EACCES, errno.EPERM, errno.EROFS}


class DaskglassError(Exception):
    """Base of all errors that daskglass raises."""


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
    """Text of a system error: path, reason and remedy.

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
        return str(error)
    remedy = ": free some space, and rerun" * (number in FULL) + ": allow writing there, and rerun" * (number in CLOSED)
    return f"{os.fsdecode(where)}: {os.strerror(number)}{remedy}"


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an OSError while writing into a StoreError that names the file and the remedy."""
    try:
        yield
    except OSError as error:
        if (text := reason(error, path)) == str(error):
            # not from the system
            raise
        raise StoreError(text) from error
