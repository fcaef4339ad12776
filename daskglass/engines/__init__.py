"""Molecular dynamics engines behind one small protocol: start, run, record, checkpoint, minimise."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from daskglass.physics.systems import Mixture
from daskglass.registry import ENGINES, check_threads, entry_of, load, simulating

if TYPE_CHECKING:
    import gsd.hoomd

    from daskglass.engines.states import State

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
        """Integrate the equations of motion for this many steps.

        Raises
        ------
        EngineError
            If the engine gives up, in its own words.
        """

    def set_temperature(self, temperature: float) -> None:
        """Thermostat to this temperature (ε_AA/k_B) from here on; a thermostat already running starts afresh."""

    def isolate(self) -> None:
        """Take the thermostat away: from here on energy is conserved."""

    def forces(self) -> NDArray[np.float64]:
        """Forces, (particles, 3), ε_AA/σ_AA, in the order of particle ids."""

    def positions(self) -> NDArray[np.float64]:
        """Unwrapped positions, (particles, 3), σ_AA, in the order of particle ids."""

    def frame(self) -> gsd.hoomd.Frame:
        """Present state as a GSD frame: positions wrapped and centred on the origin, images, and thermodynamics.

        Energy (total), pressure and temperature are in its log.

        Raises
        ------
        EngineError
            If the energy is not finite any more.
        """

    def save(self, path: Path) -> None:
        """Write a checkpoint from which `Engine.load` continues, with the state of the thermostat.

        Raises
        ------
        EngineError
            If it cannot be written.
        """

    def close(self) -> None:
        """Give the engine's memory back."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Minimizer(Protocol):
    """A program that minimises mixtures.

    Raises
    ------
    EngineError
        If the program is missing or cannot be used, with the command that installs it.
    """

    def minimize(
        self,
        mixture: Mixture,
        positions: ArrayLike,
        species: ArrayLike,
        box: ArrayLike,
        tolerance: float = 1e-5,
        minimizer: str = "fire",
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
        minimizer : "fire" (Bitzek et al. 2006) or, where the engine has it, "cg" (Polak-Ribière conjugate gradients) or
            "descent" (steepest descent with control of its error)

        Returns
        -------
        Minima; a frame that did not converge is marked so, not raised.

        Raises
        ------
        EngineError
            If a position is not finite, an array has the wrong shape, or a frame cannot be minimised at all, say in a
            box too small for the cut-off.
        StudyError
            If the engine lacks the minimizer.
        """


class Engine(Minimizer, Protocol):
    """A program that integrates mixtures, and minimises them."""

    def start(self, mixture: Mixture, particles: int, seed: int, temperature: float, timestep: float) -> Simulation:
        """Start from the lattice and the velocities of `daskglass.engines.states.initial_state`.

        Parameters
        ----------
        mixture : species, interactions and density
        particles : number of particles N
        seed : of every random choice
        temperature : ε_AA/k_B
        timestep : τ_A

        Raises
        ------
        EngineError
            If the engine cannot simulate such a system, say in a box too small for the cut-off.
        """
        from daskglass.engines.states import initial_state

        return self.begin(mixture, initial_state(mixture, particles, seed, temperature), seed, temperature, timestep)

    def begin(self, mixture: Mixture, state: State, seed: int, temperature: float, timestep: float) -> Simulation:
        """Start from positions and velocities that are given.

        Parameters
        ----------
        mixture : species and interactions
        state : positions in [0, box), velocities, species and box; see `daskglass.engines.states`
        seed : of every random choice
        temperature : of the thermostat, ε_AA/k_B
        timestep : τ_A

        Raises
        ------
        EngineError
            If the engine cannot simulate such a system, say in a box too small for the cut-off.
        """

    def load(self, path: Path, mixture: Mixture, timestep: float, temperature: float) -> Simulation:
        """Continue from a checkpoint.

        Parameters
        ----------
        path : file written by `Simulation.save`
        mixture : the mixture it was written for
        timestep : τ_A
        temperature : of the thermostat from here on, ε_AA/k_B

        Raises
        ------
        EngineError
            If it cannot be read, or holds other species.
        """


def get_engine(name: str, threads: int = 1) -> Engine:
    """Return the engine of this name, which simulates on this number of threads.

    Raises
    ------
    StudyError
        If there is none of this name, it only minimises, or it has one thread only.
    EngineError
        If it is not installed; the message says how to install it.
    """
    entry = entry_of(simulating(), name, "engine")
    check_threads(name, threads)
    engine: Engine = load(entry.place)(threads) if entry.threaded else load(entry.place)()
    return engine


def get_minimizer(name: str) -> Minimizer:
    """Return the engine of this name, which may do no more than minimise.

    Raises
    ------
    StudyError
        If there is none of this name.
    EngineError
        If it is not installed; the message says how to install it.
    """
    engine: Minimizer = load(entry_of(ENGINES, name, "engine").place)()
    return engine
