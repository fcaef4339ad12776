"""Equations on xarray objects; no files, no cluster."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from daskglass.physics import (
        affine,
        barriers,
        bootstrap,
        descriptors,
        dynamics,
        entropy,
        hops,
        motion,
        neighborhood,
        predictors,
        propensity,
        receiver,
        scores,
        softness,
        strata,
        structure,
    )

__all__ = [
    "affine",
    "barriers",
    "bootstrap",
    "descriptors",
    "dynamics",
    "entropy",
    "hops",
    "motion",
    "neighborhood",
    "predictors",
    "propensity",
    "receiver",
    "scores",
    "softness",
    "strata",
    "structure",
]


def __getattr__(name: str) -> ModuleType:
    """Import a module when it is used: who only plans needs none of the compiled kernels below them."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(f"{__name__}.{name}")
