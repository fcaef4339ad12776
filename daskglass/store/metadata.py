"""Attributes of groups, and the metadata of a store gathered in one file."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import zarr

from daskglass.store.aside import AsideStore, name_aside
from daskglass.store.durable import replace_file


def put_attributes(folder: Path, attributes: Mapping[str, Any]) -> None:
    """Replace the attributes of a group if they differ."""
    file = folder / "zarr.json"
    metadata = json.loads(file.read_text(encoding="utf-8"))
    if metadata.get("attributes") != attributes:
        replace_file(file, json.dumps(metadata | {"attributes": dict(attributes)}))


def attributes_of(folder: Path) -> Mapping[str, Any] | None:
    """Attributes of a group; None where there is none."""
    file = folder / "zarr.json"
    found: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return found.get("attributes")


def consolidate(path: Path) -> None:
    """Gather all metadata in one file, so that plain xarray opens the store fast and without warnings."""
    with warnings.catch_warnings(), name_aside(path) as aside:
        warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
        put = AsideStore(path, aside.parent)
        zarr.consolidate_metadata(put)
        put.publish()


def is_consolidated(path: Path) -> bool:
    """Whether all metadata are gathered in one file."""
    file = path / "zarr.json"
    return file.exists() and "consolidated_metadata" in json.loads(file.read_text(encoding="utf-8"))


def drop_consolidated(path: Path) -> None:
    """Delete the gathered metadata before anything is added to a store."""
    file = path / "zarr.json"
    metadata = json.loads(file.read_text())
    if metadata.pop("consolidated_metadata", None) is not None:
        replace_file(file, json.dumps(metadata))
