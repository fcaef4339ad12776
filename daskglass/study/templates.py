"""Study files to begin from: templates, edited in place so that their comments stay."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml

from daskglass.errors import StudyError
from daskglass.registry import TEMPLATES, entry_of
from daskglass.study.values import LONGEST_NAME, NAME

FOLDER = Path(__file__).with_name("pipelines")
PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./+-]*")


def check_name(name: str) -> None:
    """Check that a study, and files named after it, can have this name.

    Raises
    ------
    StudyError
        If they cannot.
    """
    if not re.fullmatch(NAME, name) or len(name) > LONGEST_NAME:
        raise StudyError(
            f"{name[:LONGEST_NAME]!r} is not a name of a study: use only letters, digits and _ . + -, begin with a letter or "
            f"digit, and no more than {LONGEST_NAME}; files are written into the working folder"
        )
    if name.endswith((".yaml", ".yml")):
        raise StudyError(f"{name!r} is the name of a file; give that of the study, {name.rpartition('.')[0]}")


def template(kind: str, name: str) -> str:
    """Text of a template, as the study of a name.

    Raises
    ------
    StudyError
        If there is no such template.
    """
    entry_of(dict.fromkeys(TEMPLATES), kind, "template")
    text = (FOLDER / f"{kind}.yaml").read_text(encoding="utf-8").replace(f"pipelines/{kind}.yaml", f"{name}.yaml")
    return edited(text, {("study",): quoted(name), ("store",): quoted(f"{name}.zarr")})


def edited(text: str, values: Mapping[tuple[str, ...], str]) -> str:
    """Put other values, written in YAML, at some keys of a study file, and leave all else as it is.

    Raises
    ------
    StudyError
        If the file lacks a key.
    """
    spans = sorted(((*_span(text, keys), value) for keys, value in values.items()), reverse=True)
    for start, stop, value in spans:
        text = text[:start] + value + text[stop:]
    return text


def text_at(text: str, keys: Iterable[str]) -> str:
    """Text of the value of a key of a study file.

    Raises
    ------
    StudyError
        If the file lacks the key.
    """
    start, stop = _span(text, keys)
    return text[start:stop]


def quoted(text: str) -> str:
    """Write a text in YAML: in quotes, unless it can only be a text without them."""
    plain = PLAIN.fullmatch(text) and text.lower() not in ("null", "true", "false")
    return text if plain else json.dumps(text, ensure_ascii=False)


def _span(text: str, keys: Iterable[str]) -> tuple[int, int]:
    """Where the value of a key begins and ends."""
    node = yaml.compose(text, yaml.SafeLoader)
    for key in keys:
        if isinstance(node, yaml.SequenceNode) and key.isdecimal():
            node = node.value[int(key)]
            continue
        found = [value for name, value in node.value if name.value == key] if isinstance(node, yaml.MappingNode) else []
        if not found:
            raise StudyError(f"the study has no key {'.'.join(keys)}")
        node = found[0]
    assert node is not None
    start, stop = node.start_mark.index, node.end_mark.index
    # of a block, the end is the next key, behind comments that belong to that one
    return start, start + len(re.sub(r"(\n[ \t]*(#.*)?)+$", "", text[start:stop]))
