"""Paths as people write them: `~` and $VARIABLES are expanded, once and for all; addresses are refused."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from daskglass.errors import StudyError

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
        If it is an address such as s3://bucket/x, a variable is not set or empty, there is no such user as `~name`, or
        it holds what only a shell would expand.
    """
    expanded = expand_variables(text, write)
    if of_shell := OF_SHELLS.search(VARIABLE.sub("", text)):
        raise StudyError(f"{of_shell[0]} in {text!r} is for a shell: only ~, $NAME and ${{NAME}} are expanded")
    check_no_address(expanded)
    if "\0" in expanded:
        raise StudyError(f"{expanded!r}: a path cannot hold a NUL character")
    return expanded


def check_no_address(path: str) -> None:
    """Refuse s3://bucket/x and the like by name: as a path it would be a folder called `s3:`.

    Raises
    ------
    StudyError
        If it is one.
    """
    if address := ADDRESS.match(path):
        raise StudyError(
            f"{path!r} is an address, and {address[1] or address[2]}: is not supported: give a path of a file system of this "
            "machine"
        )


def expand_variables(text: str, write: Callable[[str], str] = lambda value: value) -> str:
    """Expand `~` and $VARIABLES of a word that may be a path; see `expand_path`."""

    def value(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        if not NAME.fullmatch(name):
            raise StudyError(f"{found[0]} in {text!r} is for a shell: only ~, $NAME and ${{NAME}} are expanded")
        if not os.environ.get(name):
            state = "empty" if name in os.environ else "not set"
            raise StudyError(f"environment variable {name} is {state}; used in {text!r}")
        return write(os.environ[name])

    expanded = VARIABLE.sub(value, text)
    if not expanded.startswith("~"):
        return expanded
    home, slash, rest = expanded.partition("/")
    if os.path.expanduser(home) == home:
        raise StudyError(f"nobody has the home {home!r} of {text!r}; a name that begins with ~ is written ./{home}")
    return write(os.path.expanduser(home)) + slash + rest


def follow(store: str | Path) -> Path:
    """Path of a store by a name of its own: where a link leads, or the name of the working folder for `.`.

    Ledger and lock of a store lie beside it, under its name: by another name they would not be found, nor hold others off.
    """
    path = Path(store)
    return Path(os.path.realpath(path)) if path.name in ("", "..") or os.path.islink(path) else path


def read_text(path: Path, most: int) -> str:
    """Read a file that people write: text in UTF-8 of at most `most` characters, from a plain file.

    Raises
    ------
    StudyError
        Naming the file, and the line of what is not UTF-8.
    """
    try:
        if path.exists() and not path.is_file():
            # others may never end, or can be read but once
            raise StudyError(
                f"{path}: cannot be read: it is {'a folder' if path.is_dir() else 'no plain file'}; give a file"
            )
        with path.open("rb") as file:
            data = file.read(4 * most + 1)
    except OSError as error:
        raise StudyError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        # no character takes more than four bytes
        text = "" if len(data) > 4 * most else data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise StudyError(f"{path}: not UTF-8 at byte {error.start}, line {line}: save it as text in UTF-8") from None
    if len(data) > 4 * most or len(text) > most:
        raise StudyError(f"{path}: more than {most:,} characters: no file that a person wrote")
    return text


def ledger_path(store: Path) -> Path:
    """File of a store's ledger, beside it (Zarr readers complain about foreign files inside)."""
    return store.with_name(f"{store.name}.ledger")


def lock_path(store: Path) -> Path:
    """File that is there while a process writes to a store, and says which, and what it is at."""
    return store.with_name(f"{store.name}.lock")
