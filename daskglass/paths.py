"""Paths as people write them: `~` and $VARIABLES are expanded, once and for all; addresses are refused."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from daskglass.errors import StudyError

VARIABLE = re.compile(r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([^{}]*)\})")
ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)(?::/|::)")  # pathlib leaves one slash of two


def expand_path(text: str, write: Callable[[str], str] = lambda value: value) -> str:
    """Expand `~` and $VARIABLES of a path; values are not expanded again.

    Parameters
    ----------
    text : as written in a study file, in cluster.yaml or on the command line
    write : how the value of `~` or of a variable is written into the text

    Raises
    ------
    StudyError
        If it is an address such as s3://bucket/x, a variable is not set, or there is no such user as `~name`.
    """
    expanded = expand_variables(text, write)
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
            f"{path!r} is an address, and {address[1]}: is not supported: give a path of a file system of this machine"
        )


def expand_variables(text: str, write: Callable[[str], str] = lambda value: value) -> str:
    """Expand `~` and $VARIABLES of a word that may be a path; see `expand_path`."""

    def value(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        if name not in os.environ:
            raise StudyError(f"environment variable {name} is not set; used in {text!r}")
        return write(os.environ[name])

    expanded = VARIABLE.sub(value, text)
    if not expanded.startswith("~"):
        return expanded
    home, slash, rest = expanded.partition("/")
    if os.path.expanduser(home) == home:
        raise StudyError(f"nobody has the home {home!r} of {text!r}; a name that begins with ~ is written ./{home}")
    return write(os.path.expanduser(home)) + slash + rest
