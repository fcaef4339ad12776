"""Folders that are this user's alone, in places where others may write."""

from __future__ import annotations

import os
import stat
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path


def private_folder(parent: Path) -> Path:
    """Return this user's folder below one that others may write to; it is made where it does not exist.

    Python loads code from such folders (kernels that were compiled, results that workers spilled), so nobody else may write
    there. Where somebody else made the folder, or may write to it, a new one takes its place, with a warning.
    """
    usual = parent / f"daskglass-{os.getuid()}"
    parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        usual.mkdir(mode=0o700)
    if is_private(usual):
        return usual
    new = Path(tempfile.mkdtemp(prefix="daskglass-", dir=parent))
    warnings.warn(f"{usual}: others may write there, or read it: {new} is used; remove the first", stacklevel=2)
    return new


def is_private(folder: Path) -> bool:
    """Whether a path is a folder, not a link, that belongs to this user and that nobody else can read or write."""
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077
