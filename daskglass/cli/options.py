"""Arguments and options that commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from daskglass.study.paths import expand_path, follow


def _store(path: Path) -> Path:
    return follow(expand_path(str(path)))


def expanded(path: Path | None) -> Path | None:
    """Expand `~` and variables that the shell left in a path; options that become a study are expanded there."""
    return None if path is None else Path(expand_path(str(path)))


StudyFile = Annotated[
    Path,
    typer.Argument(help="study file, such as pipelines/quickstart.yaml", show_default=False, callback=expanded),
]
Debug = Annotated[bool, typer.Option("--debug", help="print the traceback of an error")]
Store = Annotated[Path, typer.Argument(help="store, such as quickstart.zarr", show_default=False, callback=_store)]
Run = Annotated[
    str, typer.Option(help="run: production, training, relaxation, isoconfigurational; tables: ensemble, scoreboard")
]
Replica = Annotated[int | None, typer.Option(help="replica number")]
RANGE = "or a range such as 0.4:0.6, 0.4: or :0.6"
Cluster = Annotated[
    str | None,
    typer.Option(
        help="profile in cluster.yaml, or none: this process alone, as for less than half a minute of work; otherwise local",
        show_default=False,
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="print no progress")]
