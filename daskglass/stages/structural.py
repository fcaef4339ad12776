"""Structural variables: one number per particle and frame that is to foresee motion; a line each.

Strata, barriers, and correlations with softness are computed for every one of `STRUCTURAL_VARIABLES`, scores against
propensity for every one of `INDICATORS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import xarray as xr

from daskglass.physics.systems import Mixture
from daskglass.variables import KINDS

AVERAGED = "_averaged"  # in names of averages over generations of neighbours
PREDICTED = "predicted_propensity"


@dataclass(frozen=True)
class Structure:
    """Particles whose structural variables are asked for.

    Attributes
    ----------
    position, species, box : over (…, particle, xyz), (particle), (…, xyz)
    mixture : their potential
    radii, width : of their structure functions, σ
    """

    position: xr.DataArray
    species: xr.DataArray
    box: xr.DataArray
    mixture: Mixture
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
    """A variable of the store that particles are binned by, or scored with.

    Attributes
    ----------
    name : of the variable, over particles; NaN where it is not defined
    label, units : for texts and attributes
    symbol : for axes, in LaTeX; the label where there is none
    suffix : of what the ensemble holds of its correlation with softness: `pearson`, `pearson_pooled`, `joint`
    of : computes it for all particles of a structure; None where a stage of its own does
    """

    name: str
    label: str
    units: str = "1"
    symbol: str = ""
    suffix: str = ""
    of: Callable[[Structure], xr.DataArray] | None = None


def _local_entropy(structure: Structure) -> xr.DataArray:
    from daskglass.physics.entropy import local_excess_entropy

    return local_excess_entropy(structure.structure_functions)


def _local_energy(structure: Structure) -> xr.DataArray:
    from daskglass.physics.energies import local_energy

    return local_energy(structure.position, structure.species, structure.box, structure.mixture)


def _local_density(structure: Structure) -> xr.DataArray:
    from daskglass.physics.neighborhood import local_density

    return local_density(structure.position, structure.species, structure.box)


SOFTNESS = StructuralVariable("softness", "softness", symbol="$S$")
LOCAL_ENTROPY = StructuralVariable(
    "local_entropy", "local pair excess entropy", "k_B", r"$s^{(2)}_i$ ($k_\mathrm{B}$)", of=_local_entropy
)
STRUCTURAL_VARIABLES: list[StructuralVariable] = [SOFTNESS, LOCAL_ENTROPY]
INDICATORS: list[StructuralVariable] = [
    LOCAL_ENTROPY,
    StructuralVariable("local_energy", "local potential energy", "epsilon", r"$E_i$ ($\varepsilon$)", of=_local_energy),
    StructuralVariable("local_density", "local density", symbol=r"$\rho_i$", of=_local_density),
]


def names() -> tuple[str, ...]:
    """Names of the structural variables that particles are binned by."""
    return tuple(variable.name for variable in STRUCTURAL_VARIABLES)


def written(suffix: str) -> tuple[str, ...]:
    """Names of the indicators in one kind of positions, and of their averages over neighbourhoods."""
    return tuple(
        f"{variable.name}{averaged}{suffix}" for variable in INDICATORS if variable.of for averaged in ("", AVERAGED)
    )


def scored() -> tuple[str, ...]:
    """Names of all that is scored: softness, indicators in every kind of positions, and predictions."""
    return (SOFTNESS.name, *(name for suffix in KINDS for name in written(suffix)), PREDICTED)


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
    known = {variable.name: variable for variable in (*STRUCTURAL_VARIABLES, *INDICATORS)}
    return [known.get(name, StructuralVariable(name, name.replace("_", " "))) for name in names]
