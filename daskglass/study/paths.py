"""Paths as users write them: `~` and $VARIABLES are expanded, addresses are refused."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from daskglass.errors import StoreError, StudyError

NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*")
VARIABLE = re.compile(rf"\$(?:({NAME.pattern})|\{{([^{{}}]*)\}})")
# pathlib leaves one slash of two; `me@host:/x` is one of scp, `C:\x` one of Windows
ADDRESS = re.compile(r"(?:\./)*([A-Za-z][A-Za-z0-9_+.@-]*)(?::[/\\]|::)|.*/([A-Za-z][A-Za-z0-9+.-]*)://")
OF_SHELLS = re.compile(r"\$[({]")


def expand_path(text: str, write: Callable[[str], str] = lambda value: value) -> str:
    """Expand `~` and $VARIABLES of a path; values are not expanded again.

    Parameters
    ----------
    text : as written in a study file, in cluster.yaml or on the command line
    write : how the value of `~` or of a variable is written into the text

    Raises
    ------
    StudyError
        If it is an address such as s3://bucket/x, a variable is not set or empty, the user of `~name` does not exist, or
        it contains syntax that only a shell expands.
    """
    expanded = expand_variables(text, write)
    if of_shell := OF_SHELLS.search(VARIABLE.sub("", text)):
        raise StudyError(f"{of_shell[0]} in {text!r} is shell syntax; only ~, $NAME and ${{NAME}} are expanded")
    check_no_address(expanded)
    if "\0" in expanded:
        raise StudyError(f"{expanded!r}: a path cannot contain a NUL character")
    return expanded


def check_no_address(path: str) -> None:
    """Refuse addresses such as s3://bucket/x, which would become a folder called `s3:`.

    Raises
    ------
    StudyError
        If it is one.
    """
    if address := ADDRESS.match(path):
        raise StudyError(
            f"{path!r} is an address, and {address[1] or address[2]}: is not supported",
            remedy="give a path on this machine",
        )


def expand_variables(text: str, write: Callable[[str], str] = lambda value: value) -> str:
    """Expand `~` and $VARIABLES of text that may be a path; see `expand_path`."""

    def value(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        if not NAME.fullmatch(name):
            raise StudyError(f"{found[0]} in {text!r} is shell syntax; only ~, $NAME and ${{NAME}} are expanded")
        if not os.environ.get(name):
            state = "empty" if name in os.environ else "not set"
            raise StudyError(f"environment variable {name}, used in {text!r}, is {state}")
        return write(os.environ[name])

    expanded = VARIABLE.sub(value, text)
    if not expanded.startswith("~"):
        return expanded
    home, slash, rest = expanded.partition("/")
    if os.path.expanduser(home) == home:
        raise StudyError(
            f"no user has the home folder {home!r} in {text!r}", remedy=f"write ./{home} for a name that begins with ~"
        )
    return write(os.path.expanduser(home)) + slash + rest


def follow(store: str | Path) -> Path:
    """Real path of a store: the target of a link, or the working folder for `.`.

    Ledger and lock lie beside a store under its name, so one store must have one name.
    """
    path = Path(store)
    return Path(os.path.realpath(path)) if path.name in ("", "..") or os.path.islink(path) else path


def check_no_file(path: Path) -> None:
    """Refuse a file, such as a study file, in place of a store.

    Raises
    ------
    StoreError
        If it is one.
    """
    if path.is_file():
        raise StoreError(
            "is a file, and no store",
            file=path,
            remedy="name the store, a folder such as first.zarr; a study file says it by `store`",
        )


def read_text(path: Path, most: int) -> str:
    """Read a plain UTF-8 text file of at most `most` characters.

    Raises
    ------
    StudyError
        If it cannot be read, is too long, or is not UTF-8.
    """
    try:
        if path.exists() and not path.is_file():
            # others may never end
            raise StudyError(f"cannot be read: it is {'a folder' if path.is_dir() else 'not a plain file'}", file=path)
        with path.open("rb") as file:
            data = file.read(4 * most + 1)
    except OSError as error:
        raise StudyError(f"cannot be read: {error.strerror}", file=path) from error
    try:
        # no character takes more than four bytes
        text = "" if len(data) > 4 * most else data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise StudyError(
            f"line {line} (byte {error.start}) is not UTF-8", file=path, remedy="save the file as UTF-8 text"
        ) from None
    if len(data) > 4 * most or len(text) > most:
        raise StudyError(f"longer than the limit of {most:,} characters", file=path)
    return text


def ledger_path(store: Path) -> Path:
    """Ledger of a store, beside it: Zarr readers complain about other files inside."""
    return store.with_name(f"{store.name}.ledger")


def lock_path(store: Path) -> Path:
    """Lock of a store: exists while a process writes to the store, and records which process and its progress."""
    return store.with_name(f"{store.name}.lock")
