"""Structural variables: one number per particle and frame that is to foresee motion; a line each.

Strata, barriers, onset temperature, correlation with softness, and scores against propensity follow for every one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import xarray as xr

from daskglass.physics.defaults import DENSITY_CUTOFF
from daskglass.physics.systems import Mixture
from daskglass.variables import KINDS

AVERAGED = "_averaged"  # in names of averages over generations of neighbours
PREDICTED, MARGIN = "predicted_propensity", "propensity_margin"
PREDICTIONS = {PREDICTED: "linear predictor", MARGIN: "support-vector machine"}
SHELL, SHELL_WIDTH = 1.1, 0.15  # σ, of the nearest neighbours, whose bond order counts


@dataclass(frozen=True)
class Structure:
    """Particles whose structural variables are asked for.

    Attributes
    ----------
    position, species, box : over (…, particle, xyz), (particle), (…, xyz)
    mixture : their potential; None if unknown
    radii, width : of their structure functions, σ
    """

    position: xr.DataArray
    species: xr.DataArray
    box: xr.DataArray
    mixture: Mixture | None
    radii: tuple[float, ...]
    width: float

    @cached_property
    def structure_functions(self) -> xr.DataArray:
        """G of particles of all species."""
        from daskglass.physics.structure import structure_functions

        everyone = self.species >= 0
        return structure_functions(self.position, self.species, self.box, self.radii, self.width, everyone)


@dataclass(frozen=True)
class StructuralVariable:
    """A variable of the store that particles are binned by, and scored with.

    Attributes
    ----------
    name : of the variable, over particles; NaN where it is not defined
    label, units : for texts and attributes
    symbol : for axes, in LaTeX; the label where there is none
    of : computes it for all particles of a structure; None where a stage of its own does
    needs : what of `mixture`, `mu` and `width` it is computed from, beside positions
    reach : how far around a particle it looks, σ; boxes must be twice as long
    """

    name: str
    label: str
    units: str = "1"
    symbol: str = ""
    of: Callable[[Structure], xr.DataArray] | None = None
    needs: tuple[str, ...] = ()
    reach: float = 0.0

    @property
    def suffix(self) -> str:
        """Ending of what the ensemble holds of its correlation with softness: `pearson`, `pearson_pooled`, `joint`."""
        return "" if self.name == "local_entropy" else f"_{self.name}"

    def lacks(self, mixture: Mixture | None, edge: float) -> str:
        """What a system of this potential and shortest edge of its box, σ, lacks for it; empty where nothing."""
        if "mixture" in self.needs and mixture is None:
            return "a known potential"
        if self.reach > edge / 2 * (1 + 1e-6):
            return f"a box of {2 * self.reach:g} σ; its shortest edge is {edge:.3g} σ"
        return ""


def _local_entropy(structure: Structure) -> xr.DataArray:
    from daskglass.physics.entropy import local_excess_entropy

    return local_excess_entropy(structure.structure_functions)


def _local_energy(structure: Structure) -> xr.DataArray:
    from daskglass.physics.energies import local_energy

    if structure.mixture is None:
        raise TypeError("local_energy: the plan has no mixture")
    return local_energy(structure.position, structure.species, structure.box, structure.mixture)


def _local_density(structure: Structure) -> xr.DataArray:
    from daskglass.physics.neighborhood import local_density

    return local_density(structure.position, structure.species, structure.box)


def _local_bond_order(structure: Structure) -> xr.DataArray:
    from daskglass.physics.order import bond_order

    return bond_order(structure.position, structure.species, structure.box, 6, [SHELL], SHELL_WIDTH).isel(distance=0)


SOFTNESS = StructuralVariable("softness", "softness", symbol="$S$")
LOCAL_ENTROPY = StructuralVariable(
    "local_entropy", "local pair excess entropy", "k_B", r"$s^{(2)}_i$ ($k_\mathrm{B}$)", of=_local_entropy,
    needs=("mu", "width"),
)  # fmt: skip
OF_PAPER = (SOFTNESS, LOCAL_ENTROPY)
STRUCTURAL_VARIABLES: list[StructuralVariable] = [
    *OF_PAPER,
    StructuralVariable(
        "local_energy",
        "local potential energy",
        "epsilon",
        r"$E_i$ ($\varepsilon$)",
        _local_energy,
        ("mixture",),
    ),
    StructuralVariable("local_density", "local density", "1", r"$\rho_i$", _local_density, reach=DENSITY_CUTOFF),
    StructuralVariable("local_bond_order", "local bond order", "1", r"$Q_{6,i}$", _local_bond_order),
]


def names(mixture: Mixture | None, edge: float) -> tuple[str, ...]:
    """Names of the structural variables that a system of this potential and shortest edge of its box lacks nothing for."""
    return tuple(variable.name for variable in STRUCTURAL_VARIABLES if not variable.lacks(mixture, edge))


def written(suffix: str) -> tuple[str, ...]:
    """Names of what is computed in one kind of positions of a configuration: variables, and their averages over neighbours."""
    return tuple(f"{name}{averaged}{suffix}" for name in computed() for averaged in ("", AVERAGED))


def computed() -> tuple[str, ...]:
    """Names of the structural variables that are functions of a structure alone."""
    return tuple(variable.name for variable in STRUCTURAL_VARIABLES if variable.of)


def scored() -> tuple[str, ...]:
    """Names of all that is scored: softness, variables in every kind of positions, and predictions."""
    return (SOFTNESS.name, *(name for suffix in KINDS for name in written(suffix)), *PREDICTIONS)


def indicator(variable: str, generation: int) -> str:
    """Name on the scoreboard of a generation of an average: `local_energy_thermal, 2`."""
    return f"{variable.replace(AVERAGED, '')}, {generation}"


def parts(indicator: str) -> tuple[str, str, int]:
    """Structural variable, kind of positions and generation of an indicator on the scoreboard; 0 of none."""
    variable, _, generation = indicator.partition(", ")
    suffix = next((each for each in KINDS if each and variable.endswith(each)), "")
    return variable.removesuffix(suffix), suffix, int(generation or 0)


def named(names: Iterable[str]) -> list[StructuralVariable]:
    """Structural variables of these names, as a store has them; of a name that nobody registered, with that as label."""
    known = {variable.name: variable for variable in STRUCTURAL_VARIABLES}
    return [known.get(name, StructuralVariable(name, name.replace("_", " "))) for name in names]
