"""Profiles of cluster.yaml."""

from __future__ import annotations

import os
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import yaml
from dask.utils import parse_timedelta

from daskglass.cluster.checks import CERTIFICATES, OWN, OWN_OF_BATCH_SYSTEMS, expand_value, problems
from daskglass.cluster.job_script import NO_CLUSTER, Profile
from daskglass.cluster.shipped import FILE, SHIPPED
from daskglass.errors import StudyError
from daskglass.study.yaml_file import MOST_PROBLEMS, line_of, read_yaml

WAIT = "24h"


def load_profile(name: str, file: Path | None = None) -> Profile:
    """Read a profile from the given file, from cluster.yaml in the working folder, or from the built-in one.

    `local` and `none`, for no cluster at all, always exist.

    Raises
    ------
    StudyError
        If the file lacks the profile, or the profile is not valid; lists file, line, profile and key of each problem.
    """
    path = file or (Path(FILE) if os.path.lexists(FILE) else SHIPPED)
    root, content = _read(path)
    if NO_CLUSTER in content:
        raise StudyError(f"{path}:{line_of(root, (NO_CLUSTER,))}: {NO_CLUSTER}: means no cluster; give it another name")
    if name == NO_CLUSTER:
        return Profile(name, NO_CLUSTER, wait=0.0)
    profiles = {"local": {"type": "local"}} | content
    if name not in profiles:
        raise StudyError(f"unknown cluster {name!r}; {path} has {', '.join(map(str, islice(profiles, MOST_PROBLEMS)))}")
    given = profiles[name]
    found = [((name, *keys), message) for keys, message in islice(problems(given), MOST_PROBLEMS)]
    if found:
        raise StudyError(
            "\n".join(f"{path}:{line_of(root, keys)}: {'.'.join(map(str, keys))}: {message}" for keys, message in found)
        )
    return _profile(name, given)


def _read(path: Path) -> tuple[yaml.Node | None, dict[Any, Any]]:
    _, root, content = read_yaml(path)
    if not isinstance(content, dict):
        raise StudyError(f"{path}:1: the file must map names to profiles")
    return root, content


def _profile(name: str, given: Mapping[str, Any]) -> Profile:
    kind = given["type"]
    values = {key: expand_value(key, value) for key, value in given.items() if value is not None}
    ours = OWN.get(kind, OWN_OF_BATCH_SYSTEMS)
    own = {key: values[key] for key in ours if key in values and key != "type"}
    files = {key: Path(own[key]) for key in CERTIFICATES if key in own}
    wait = parse_timedelta(own.get("wait", WAIT))
    options = {key: value for key, value in values.items() if key not in ours}
    return Profile(name=name, kind=kind, options=options, **(own | files | {"wait": wait}))
