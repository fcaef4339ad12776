"""Minimisation by our own compiled loops; it simulates nothing and needs no other program."""

from __future__ import annotations

from numpy.typing import ArrayLike
from typing_extensions import override

from daskglass.engines import Minima, Minimizer
from daskglass.engines.states import minimize_frames
from daskglass.physics import minima
from daskglass.physics.systems import Mixture
from daskglass.registry import ENGINES, entry_of


class Native(Minimizer):
    """The kernels of daskglass; they release the interpreter lock."""

    @override
    def minimize(
        self,
        mixture: Mixture,
        positions: ArrayLike,
        species: ArrayLike,
        box: ArrayLike,
        tolerance: float = 1e-5,
        minimizer: str = "fire",
    ) -> Minima:
        entry_of(ENGINES["native"].minimizers, minimizer, "native minimizer")
        return minimize_frames(
            mixture,
            positions,
            species,
            box,
            tolerance,
            lambda frame, codes, edges: minima.minimum(frame, codes, edges, mixture, tolerance, minimizer),
        )
