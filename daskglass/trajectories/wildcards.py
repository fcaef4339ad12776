"""Names with `*` that match files of one kind and not those of others, to be given to the command line."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from itertools import chain, takewhile

MOST_NAMED = 3


def name_one(kinds: Sequence[Sequence[str]]) -> str:
    """Advice to name files of one kind, by names with `*` where these tell them from the others."""
    named = [
        text for kind in kinds if (text := wildcard(kind, chain(*(other for other in kinds if other is not kind))))
    ]
    choices = " or ".join(f'--data "{text}"' for text in named[:MOST_NAMED])
    return "name those of one kind" + f": {choices}" * bool(choices)


def wildcard(files: Sequence[str], others: Iterable[str]) -> str:
    """Name with `*` that matches some files and none of the others; empty if these differ in no part of their names."""
    rows = [file.split("/") for file in files]
    if len({len(row) for row in rows}) == 1:
        text = "/".join(map(_alike, zip(*rows, strict=True)))
    else:
        folder = glob.escape(os.path.commonpath([os.path.dirname(file) for file in files]))
        text = os.path.join(folder, "**", _alike([row[-1] for row in rows]))
    # what is given in braces would be a field
    return "" if "{" in text or any(_matches(text, other) for other in others) else text


def _alike(names: Sequence[str]) -> str:
    """What names have at the start and at the end, with `*` between them, which takes in their numbers as a whole."""
    if len(set(names)) == 1:
        return glob.escape(names[0])
    first = re.sub(r"[0-9.]+$", "", _start(names))
    rests = [name[len(first) :] for name in names]
    last = _start([rest[::-1] for rest in rests])[::-1]
    return f"{glob.escape(first)}*{glob.escape(re.sub('^[0-9]+', '', last))}"


def _start(names: Sequence[str]) -> str:
    """What names begin with alike."""
    alike = takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    return "".join(letters[0] for letters in alike)


def _matches(text: str, path: str) -> bool:
    """Whether `glob` finds a path by a name with `*`; more than it finds below `**`."""
    if "**/" in text:
        return fnmatchcase(path, text.replace("**/", "*"))
    parts, folders = text.split("/"), path.split("/")
    return len(parts) == len(folders) and all(map(fnmatchcase, folders, parts))
