"""Panels of figures: each function draws a table into the axes it is given, or into the current ones, and returns them.

Tables are those that public functions return and those of a store. Curves and points have labels for a legend, which is
left to `ax.legend()`.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "plot.liquid": (
        "pair_potential", "radial_distribution", "scattering_function", "diffusivity", "reduced_diffusivity",
    ),
    "plot.particles": ("slab", "snapshot"),
    "plot.softness": ("joint_histogram", "by_softness"),
    "plot.rearrangement": ("rearrangement_probability", "arrhenius", "onset_temperature", "barriers", "collapse"),
    "plot.prediction": ("score", "noise_ceiling", "receiver_operating_curve", "weights"),
}  # fmt: skip
_MODULE = {name: module for module, names in _HOME.items() for name in names}

__all__ = list(_MODULE)


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: compiled kernels take seconds."""
    if name not in _MODULE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"daskglass.{_MODULE[name]}"), name)


def __dir__() -> list[str]:
    return __all__
