"""Molecular dynamics engines behind one small protocol: start, run, record, checkpoint, minimise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from daskglass.errors import EngineError
from daskglass.physics.systems import Mixture

if TYPE_CHECKING:
    import gsd.hoomd

Minimizer = Literal["fire", "cg"]

THERMODYNAMICS = "md/compute/ThermodynamicQuantities/"
ENERGY, PRESSURE, TEMPERATURE = (
    THERMODYNAMICS + key for key in ("potential_energy", "pressure", "kinetic_temperature")
)


@dataclass(frozen=True)
class Minima:
    """Inherent structures of a block of frames.

    Attributes
    ----------
    positions : (frames, particles, 3) float32, σ_AA, unwrapped and continuous with the frames minimised
    energy : (frames,) potential energy per particle, ε_AA
    force_rms : (frames,) √(Σ|f|²/N) of the final state, before rounding to float32, ε_AA/σ_AA
    evaluations : (frames,) force evaluations spent
    converged : (frames,) whether `force_rms` is within the tolerance
    """

    positions: NDArray[np.float32]
    energy: NDArray[np.float64]
    force_rms: NDArray[np.float64]
    evaluations: NDArray[np.int64]
    converged: NDArray[np.bool_]


class Simulation(Protocol):
    """One running NVT simulation; a context manager, closed at the end."""

    @property
    def step(self) -> int:
        """Time steps done since the simulation was started from its lattice."""

    def run(self, steps: int) -> None:
        """Integrate the equations of motion for this many steps."""

    def set_temperature(self, temperature: float) -> None:
        """Thermostat to this temperature (ε_AA/k_B) from here on."""

    def positions(self) -> NDArray[np.float64]:
        """Unwrapped positions, (particles, 3), σ_AA, in the order of particle ids."""

    def frame(self) -> gsd.hoomd.Frame:
        """Present state as a GSD frame, with energy (total), pressure and temperature in its log."""

    def save(self, path: Path) -> None:
        """Write a checkpoint from which `Engine.load` continues."""

    def close(self) -> None:
        """Give the engine's memory back."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Engine(Protocol):
    """A program that integrates and minimises mixtures."""

    def start(self, mixture: Mixture, particles: int, seed: int, temperature: float, timestep: float) -> Simulation:
        """Start from a simple cubic lattice with species and velocities drawn at random."""

    def load(self, path: Path, mixture: Mixture, timestep: float, temperature: float) -> Simulation:
        """Continue from a checkpoint, at this temperature."""

    def minimize(
        self,
        mixture: Mixture,
        positions: ArrayLike,
        species: ArrayLike,
        box: ArrayLike,
        tolerance: float = 1e-5,
        minimizer: Minimizer = "fire",
    ) -> Minima:
        """Bring every frame of a block to its inherent structure, each on its own and from rest.

        A frame's result does not depend on the block it comes in.

        Parameters
        ----------
        mixture : species and interactions
        positions : (frames, particles, 3), σ_AA, unwrapped
        species : (particles,) codes of the mixture's species
        box : (3,) or (frames, 3), edge lengths, σ_AA
        tolerance : of the root mean square force per particle, ε_AA/σ_AA
        minimizer : "fire" (Bitzek et al. 2006) or, where the engine has it, "cg" (Polak-Ribière conjugate gradients)

        Returns
        -------
        Minima; a frame that did not converge is marked so, not raised.

        Raises
        ------
        EngineError
            If a position is not finite, an array has the wrong shape, or the engine lacks the minimizer.
        """


def get_engine(name: str) -> Engine:
    """Return the engine of this name.

    Raises
    ------
    EngineError
        If the engine is unknown or not installed; the message says how to install it.
    """
    engines: dict[str, Callable[[], Engine]] = {"lammps": _lammps, "hoomd": _hoomd}
    if name not in engines:
        raise EngineError(f"unknown engine {name!r}; the engines are {' and '.join(engines)}")
    return engines[name]()


def _lammps() -> Engine:
    from daskglass.engines.lammps import Lammps

    return Lammps()


def _hoomd() -> Engine:
    from daskglass.engines.hoomd import Hoomd

    return Hoomd()
