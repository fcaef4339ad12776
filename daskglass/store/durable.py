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
    """Force files, and the entries of folders, to disk."""
    for path in paths:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        except OSError as error:
            # some file systems write folders at once, and do not support syncing them
            if error.errno != errno.EINVAL or not path.is_dir():
                raise
        finally:
            os.close(handle)


def sync_tree(folder: Path) -> None:
    """Force a folder and everything below it to disk, files before their folders."""
    for root, _, names in os.walk(folder, topdown=False):
        sync(*(Path(root, name) for name in names), Path(root))


def replace_file(file: Path, text: str, mode: int = 0o666) -> None:
    """Replace a text file in one step: readers see the old or the new text, also after a power cut.

    Parameters
    ----------
    file : to write
    text : new content
    mode : permissions, reduced by the umask
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
    """Sync files that were written aside, and rename each into place.

    Parameters
    ----------
    renames : file, and its place; missing folders are created
    below : folder that is on disk already; folders between it and the places are synced
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
    """Replace a folder by a new one that is on disk; the old one is kept as `old` until then, for `restore`."""
    if place.exists():
        os.replace(place, old)
    os.replace(new, place)
    # the new name first: until it is on disk, the old folder may be the only copy
    sync(place.parent)
    sync(old.parent)
    shutil.rmtree(old, ignore_errors=True)


def restore(place: Path, old: Path) -> None:
    """Undo an interrupted `replace_folder`: restore the old folder, or delete it if the new one is in place."""
    if not old.exists():
        return
    if place.exists():
        shutil.rmtree(old)
    else:
        os.replace(old, place)
        sync(place.parent)


def hard_link(file: Path, name: Path) -> bool:
    """Give a file a second name; False if the file system does not support hard links.

    Raises
    ------
    FileExistsError
        If a file of that name exists.
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
