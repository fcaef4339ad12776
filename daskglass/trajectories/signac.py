"""signac projects: the state points of their jobs, as rows of a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from itertools import accumulate, takewhile
from typing import Any

from daskglass.errors import StudyError
from daskglass.trajectories.patterns import PATH, Field, find_matches, parse_pattern

# places of a job's file, if the path gives none
LAYOUTS = ("{job.file}.gsd", "runs/temp-{temperature:g}/{job.file}.gsd")


def project_rows(path: str) -> tuple[str, list[dict[str, str]]]:
    """Read the state points of a signac project.

    Parameters
    ----------
    path : folder of the project, followed by the file within each job's folder, with or without fields:
        `PROJECT/runs/temp-{temperature:g}/traj.gsd`. The project is the longest part before the first field that is
        one. The default file is the GSD file in each job's folder, or in each `runs/temp-{temperature:g}/` below.

    Returns
    -------
    pattern of the files for `find_sources`, with the field `{job.id}` for the folder of a job
    rows, one per job: its `job.id` and its state point as texts, nested keys joined by dots

    Raises
    ------
    StudyError
        If signac is not installed, the path contains no project, the project has no jobs, a state point cannot be read
        or has two values for a key, or the files are ambiguous.
    """
    try:
        signac = import_module("signac")
    except ImportError as error:
        raise StudyError(
            f"reading signac projects needs signac ({error})", remedy='pip install "daskglass[signac]"'
        ) from None
    root, inside, project = _split(signac, path)
    try:
        jobs = {job.id: job.cached_statepoint for job in project}
    except (signac.errors.Error, KeyError, OSError) as error:
        raise StudyError(f"{PATH}: {root}: signac cannot read a state point: {error}") from None
    if not jobs:
        raise StudyError(f"{PATH}: {root}: the signac project has no jobs")
    pattern = f"{root}/workspace/{{job.id}}/"
    return pattern + (inside or _layout(pattern, path)), [_row(root, name, jobs[name]) for name in sorted(jobs)]


def _split(signac: Any, path: str) -> tuple[str, str, Any]:
    """Path of the project, path of the file within a job's folder, and the project."""
    parse_pattern(path)
    leading = accumulate(path.split("/"), lambda left, right: f"{left}/{right}")
    roots = list(takewhile(lambda part: not part or _literal(part) is not None, leading))
    for root in filter(None, reversed(roots)):
        try:
            project = signac.get_project(_literal(root), search=False)
        except LookupError:
            continue
        except (signac.errors.Error, OSError) as error:
            raise StudyError(f"{PATH}: {root}: signac cannot open the project: {error}") from None
        return root, path.removeprefix(root).lstrip("/"), project
    raise StudyError(
        f"{PATH}: {path}: no leading part of it is a signac project, with a .signac/config",
        remedy="convert projects of signac 1 with `signac migrate`",
    )


def _literal(part: str) -> str | None:
    pieces = parse_pattern(part)
    return None if any(isinstance(piece, Field) for piece in pieces) else "".join(map(str, pieces))


def _layout(pattern: str, path: str) -> str:
    found = [layout for layout in LAYOUTS if find_matches(parse_pattern(pattern + layout))]
    if len(found) == 1:
        return found[0]
    raise StudyError(
        f"{PATH}: {path}: the jobs have GSD files {'both' if found else 'neither'} in their folders "
        f"{'and' if found else 'nor'} in runs/temp-{{temperature:g}}/",
        remedy=f"append the file to the path, such as {path}/runs/temp-{{temperature:g}}/traj.gsd",
    )


def _row(root: str, job: str, state_point: Mapping[str, Any]) -> dict[str, str]:
    row = {"job.id": job}
    for key, value in _flat(state_point):
        if key in row:
            raise StudyError(f"{PATH}: {root}: job {job} has two values for {key} in its state point")
        row[key] = value if isinstance(value, str) else repr(value)
    return row


def _flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value
