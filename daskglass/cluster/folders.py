"""Private folders in places where other users may write."""

from __future__ import annotations

import os
import stat
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path


def private_folder(parent: Path) -> Path:
    """Return this user's private folder below `parent`; create it if needed.

    Python loads code from it (compiled kernels, results that workers spilled), so other users must not write there. If
    another user owns the folder or may use it, a new one replaces it, with a warning.
    """
    usual = parent / f"daskglass-{os.getuid()}"
    parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        usual.mkdir(mode=0o700)
    if is_private(usual):
        return usual
    new = Path(tempfile.mkdtemp(prefix="daskglass-", dir=parent))
    warnings.warn(
        f"{usual}: other users may read it or write there; using {new} instead; delete the first", stacklevel=2
    )
    return new


def is_private(folder: Path) -> bool:
    """Whether a path is a real folder of this user that nobody else can read or write."""
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077
