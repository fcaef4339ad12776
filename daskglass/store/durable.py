"""Files that survive a power cut: written aside, synced, renamed into place, and their folder synced."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Iterable
from pathlib import Path

NO_HARD_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV})


def sync(*paths: Path) -> None:
    """Have files, and the names that folders hold, on disk when this returns."""
    for path in paths:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        except OSError as error:
            # file systems that keep names without being asked say that a folder cannot be synced
            if error.errno != errno.EINVAL or not path.is_dir():
                raise
        finally:
            os.close(handle)


def sync_tree(folder: Path) -> None:
    """Have a folder and all below it on disk, files before the folders that name them."""
    for root, _, names in os.walk(folder, topdown=False):
        sync(*(Path(root, name) for name in names), Path(root))


def replace_file(file: Path, text: str, mode: int = 0o666) -> None:
    """Write a text file whole: a reader, and who comes after a power cut, sees the old or the new one, never half.

    Parameters
    ----------
    file : to write
    text : that it is to hold
    mode : permissions, of which the process's umask takes some away
    """
    aside = file.with_name(f".{file.name}.{uuid.uuid4().hex}.part")
    try:
        handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with open(handle, "w", encoding="utf-8") as written:
            written.write(text)
            written.flush()
            os.fsync(written.fileno())
        os.replace(aside, file)
    except OSError:
        aside.unlink(missing_ok=True)
        raise
    sync(file.parent)


def publish(renames: Iterable[tuple[Path, Path]], below: Path) -> None:
    """Sync files that were written aside, and rename each to its place, in one step each.

    Parameters
    ----------
    renames : file, and its place; folders on the way are made
    below : folder that is on disk already: those between it and the places are synced
    """
    renames = list(renames)
    sync(*(aside for aside, _ in renames))
    folders: dict[Path, None] = {}
    for aside, place in renames:
        place.parent.mkdir(parents=True, exist_ok=True)
        os.replace(aside, place)
        for folder in (place.parent, *place.parent.parents):
            folders[folder] = None
            if folder == below:
                break
    sync(*folders)


def replace_folder(new: Path, place: Path, old: Path) -> None:
    """Put a folder, all of which is on disk, in the place of another, which is kept as `old` until then; see `restore`."""
    if place.exists():
        os.replace(place, old)
    os.replace(new, place)
    # the new name first: until it is on disk, the old folder may be all that there is
    sync(place.parent)
    sync(old.parent)
    shutil.rmtree(old, ignore_errors=True)


def restore(place: Path, old: Path) -> None:
    """Bring a folder back that `replace_folder` was interrupted in replacing; remove it where the new one is there."""
    if not old.exists():
        return
    if place.exists():
        shutil.rmtree(old)
    else:
        os.replace(old, place)
        sync(place.parent)


def hard_link(file: Path, name: Path) -> bool:
    """Give a file a second name; False where the file system has one name a file.

    Raises
    ------
    FileExistsError
        If there is a file of that name.
    """
    try:
        os.link(file, name)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in NO_HARD_LINKS:
            raise
        return False
    return True
