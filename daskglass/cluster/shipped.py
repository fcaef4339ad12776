"""The cluster.yaml that daskglass brings along."""

from __future__ import annotations

import re
from pathlib import Path

from daskglass.registry import BATCH_SYSTEMS, entry_of

FILE = "cluster.yaml"
SHIPPED = Path(__file__).with_name(FILE)


def profiles_of(batch_system: str) -> str:
    """Text of a cluster.yaml with the profiles of one batch system, and what explains them.

    Raises
    ------
    StudyError
        If there is no batch system of this name.
    """
    entry_of(BATCH_SYSTEMS, batch_system, "batch system")
    head, *profiles = SHIPPED.read_text(encoding="utf-8").split("\n\n")
    kept = [profile for profile in profiles if re.search(rf"^  type: {batch_system}$", profile, re.MULTILINE)]
    return "\n\n".join([head, *kept]).rstrip() + "\n"
