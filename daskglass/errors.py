"""Everything daskglass refuses, by name; each error says what was wrong, where, and what would be right."""

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
    """Base of all errors raised by daskglass on purpose."""


class StudyError(DaskglassError, ValueError):
    """A study file, or a value in it, cannot be used."""


class TrajectoryError(DaskglassError, ValueError):
    """A trajectory file is missing, damaged, or holds what the study does not describe."""


class StoreError(DaskglassError, ValueError):
    """A store is missing, held by another process, or laid out for another study."""


class DataError(DaskglassError, ValueError):
    """An array handed to a function of the science API breaks that function's contract."""


class EngineError(DaskglassError, RuntimeError):
    """A simulation engine is missing or failed."""


class ClusterError(DaskglassError, RuntimeError):
    """Workers cannot be had, or are lost."""


def reason(error: OSError, path: Path | None = None) -> str:
    """Say what the system refused, at which path, and the remedy.

    Parameters
    ----------
    error : as the system, or a library that writes files, raised it
    path : what was written, for errors that do not say
    """
    # HDF5 and Arrow give the number in their texts only
    found = re.search(r"errno[ =]+(\d+)", str(error))
    number = error.errno or (int(found[1]) if found else 0)
    where = error.filename or path
    if where is None or not number:
        return str(error)
    remedy = ": free some space, and rerun" * (number in FULL) + ": allow writing there, and rerun" * (number in CLOSED)
    return f"{os.fsdecode(where)}: {os.strerror(number)}{remedy}"


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Let what the system refuses while a file or folder is written name it, and the remedy.

    Raises
    ------
    StoreError
        In place of an OSError.
    """
    try:
        yield
    except OSError as error:
        if (said := reason(error, path)) == str(error):
            # nothing that the system said
            raise
        raise StoreError(said) from error
