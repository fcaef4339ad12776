"""Softness, excess entropy and rearrangement barriers of glass-forming liquids, as lazy xarray data on Dask."""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "store.blocks": ("open_store",),
    "store.queries": ("query",),
    "store.export": ("write_gsd",),
    "study.load": ("load_study",),
    "physics.structure": ("structure_functions", "radial_distribution"),
    "physics.hops": ("hop_indicator", "rearrangement_labels"),
    "physics.dynamics": (
        "scattering_function", "relaxation_time", "mean_squared_displacement", "diffusivity", "reduced_diffusivity",
    ),
    "physics.affine": ("without_affine_motion",),
    "physics.entropy": ("excess_entropy", "local_excess_entropy"),
    "physics.softness": ("Softness", "recall_precision"),
    "physics.strata": ("strata", "rearrangement_probability"),
    "physics.barriers": ("arrhenius", "onset_temperature", "supercooled", "collapse"),
    "physics.bootstrap": ("bootstrap",),
    "physics.systems": ("Mixture", "built_in"),
    "physics.energies": ("pair_energy", "pair_force", "local_energy"),
    "physics.neighborhood": ("local_density", "neighborhood_average"),
    "physics.order": ("bond_order",),
    "physics.minima": ("inherent_structures",),
    "physics.descriptors": ("structural_features",),
    "physics.propensity": ("propensity",),
    "physics.scores": ("score", "score_difference"),
    "physics.predictors": ("LinearPredictor",),
    "physics.receiver": ("receiver_operating_curve",),
}  # fmt: skip
_NAMESPACES = ("plot",)  # modules of functions of their own
_MODULE = {name: module for module, names in _HOME.items() for name in names}

__all__ = ["__version__", *_MODULE]


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: compiled kernels and scikit-learn take seconds."""
    if name == "__version__":
        from importlib.metadata import version

        return version("daskglass")
    if name in _NAMESPACES:
        return importlib.import_module(f"daskglass.{name}")
    if name not in _MODULE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"daskglass.{_MODULE[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, *_NAMESPACES]
