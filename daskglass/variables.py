"""The one registry of variables: their dimensions, types, units and names, as in every store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import xarray as xr


def flags(values: Iterable[int], meanings: Iterable[str]) -> dict[str, Any]:
    """Attributes that say what codes mean, as the CF conventions have it."""
    return {"flag_values": list(values), "flag_meanings": " ".join(meaning.replace(" ", "_") for meaning in meanings)}


@dataclass(frozen=True)
class Variable:
    """A named variable of the store, with what its attributes say besides its name and units."""

    name: str
    dims: tuple[str, ...]
    dtype: str
    units: str
    long_name: str
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def attrs(self) -> dict[str, Any]:
        """Attributes every array of this name carries."""
        return {"long_name": self.long_name, "units": self.units, **self.more}

    @property
    def fill_value(self) -> float | int:
        """Value of what has not been written: NaN, or -1 for codes."""
        return float("nan") if np.issubdtype(self.dtype, np.floating) else -1


RUN = ("temperature", "replica")
FRAMES = (*RUN, "time")
PARTICLES = (*FRAMES, "particle")
# units, as texts for people have them; others as they are
UNITS = {"tau": "τ", "sigma": "σ", "sigma**2": "σ²", "epsilon": "ε", "epsilon/k_B": "ε/k_B", "1": ""}
ALONG = ("time", "configuration")  # what frames lie along, in runs of either kind
ENSEMBLES = (*RUN, "configuration", "lag")

_VARIABLES = (
    # coordinates
    Variable("temperature", ("temperature",), "float64", "epsilon/k_B", "temperature"),
    Variable("replica", ("replica",), "int64", "1", "independent replica"),
    Variable("time", ("time",), "float64", "tau", "time since the first frame"),
    Variable("configuration", ("configuration",), "int64", "1", "configuration that trajectories start from"),
    Variable("trajectory", ("trajectory",), "int64", "1", "trajectory from a configuration"),
    Variable("lag", ("lag",), "float64", "tau", "time between two frames"),
    Variable("mu", ("mu",), "float64", "sigma", "radius of a structure function"),
    Variable("r", ("r",), "float64", "sigma", "distance"),
    Variable("distance", ("distance",), "float64", "sigma", "distance of a shell of neighbours"),
    Variable("species", ("particle",), "int8", "1", "species code"),
    # `dimension` and `boundary` as H5MD has them
    Variable(
        "box", ("xyz",), "float64", "sigma", "edge lengths of the periodic box",
        {"dimension": 3, "boundary": ["periodic", "periodic", "periodic"]},
    ),
    # trajectories
    Variable("position", (*PARTICLES, "xyz"), "float32", "sigma", "unwrapped position"),
    Variable("inherent", (*PARTICLES, "xyz"), "float32", "sigma", "unwrapped position in the inherent structure"),
    Variable("inherent_force", FRAMES, "float64", "epsilon/sigma", "root-mean-square force after minimisation"),
    Variable("inherent_energy", FRAMES, "float64", "epsilon", "potential energy per particle of the inherent structure"),
    Variable("potential_energy", FRAMES, "float64", "epsilon", "potential energy per particle"),
    Variable("pressure", FRAMES, "float64", "epsilon/sigma**3", "pressure"),
    # per particle
    Variable("hop", PARTICLES, "float32", "sigma**2", "hop indicator p_hop"),
    Variable(
        "label", PARTICLES, "int8", "1", "rearrangement label: 1 soft, 0 hard, -1 neither",
        flags((-1, 0, 1), ("neither", "hard", "soft")),
    ),
    Variable("softness", PARTICLES, "float32", "1", "softness"),
    Variable("bond_order", (*PARTICLES, "distance"), "float32", "1", "bond-orientational order of a shell"),
    # isoconfigurational ensembles
    Variable("propensity", (*ENSEMBLES, "particle"), "float64", "sigma", "propensity of motion"),
    Variable(
        "propensity_half", (*ENSEMBLES, "half", "particle"), "float64", "sigma",
        "propensity of motion, of either half of the trajectories",
    ),
    Variable(
        "final_position", (*RUN, "configuration", "trajectory", "lag", "particle", "xyz"), "float32", "sigma",
        "unwrapped position at the end of a lag",
    ),
    Variable("predicted_propensity", (*ENSEMBLES, "particle"), "float32", "sigma", "propensity by a linear predictor"),
    Variable(
        "propensity_margin", (*ENSEMBLES, "particle"), "float32", "1",
        "distance from the plane between propensities above and below the median, in margins",
    ),
    Variable("cage", (*PARTICLES, "xyz"), "float32", "sigma", "centre of the cage of a particle"),
    Variable(
        "mean_potential_energy", ENSEMBLES, "float64", "epsilon", "potential energy per particle, mean over trajectories"
    ),
    Variable("mean_pressure", ENSEMBLES, "float64", "epsilon/sigma**3", "pressure, mean over trajectories"),
    Variable("trajectories", ENSEMBLES, "int64", "1", "number of trajectories; -1 unknown"),
    Variable("G", ("example", "neighbor", "mu"), "float32", "1", "structure function"),
    # bulk
    Variable("density", (), "float64", "1/sigma**3", "number density"),
    Variable("g", (*RUN, "neighbor", "r"), "float64", "1", "radial distribution function around A"),
    Variable(
        "g_thermal", (*RUN, "neighbor", "r"), "float64", "1",
        "radial distribution function around A, thermal positions",
    ),
    Variable("s2", RUN, "float64", "k_B", "pair excess entropy of A"),
    Variable("scattering", (*RUN, "lag"), "float64", "1", "self-intermediate scattering function of A"),
    Variable(
        "scattering_err", (*RUN, "lag"), "float64", "1", "standard error of the scattering function, over parts of the time"
    ),
    Variable("msd", (*RUN, "lag"), "float64", "sigma**2", "mean squared displacement of A"),
    Variable(
        "msd_err", (*RUN, "lag"), "float64", "sigma**2", "standard error of the displacement, over parts of the time"
    ),
    Variable("relaxation_time", RUN, "float64", "tau", "relaxation time τ_α"),
    Variable("diffusivity", RUN, "float64", "sigma**2/tau", "diffusion coefficient of A"),
    Variable("reduced_diffusivity", RUN, "float64", "1", "reduced diffusion coefficient D*"),
    # barriers
    Variable("probability", ("temperature", "stratum"), "float64", "1", "probability of rearrangement P_R"),
    Variable("events", ("temperature", "stratum"), "int64", "1", "number of rearranging particle-frames"),
    Variable("samples", ("temperature", "stratum"), "int64", "1", "number of particle-frames"),
    Variable("activation_energy", ("stratum",), "float64", "epsilon", "activation energy ΔE"),
    Variable("activation_entropy", ("stratum",), "float64", "k_B", "activation entropy Σ"),
    Variable("scaled_energy", ("stratum",), "float64", "1", "scaled activation energy y_E"),
    Variable("scaled_entropy", ("stratum",), "float64", "1", "scaled activation entropy y_Σ"),
    Variable("onset_probability", (), "float64", "1", "probability of rearrangement at the onset temperature"),
    Variable("scatter", ("stratum",), "float64", "1", "scatter of ln P_R common to all temperatures"),
    Variable("reduced_chi_squared", ("stratum",), "float64", "1", "χ² per degree of freedom without the common scatter"),
    Variable("onset_temperature", (), "float64", "epsilon/k_B", "onset temperature T_A"),
)  # fmt: skip


# functions of a structure; of configurations also averaged over generations of neighbours, in thermal and in cage positions
_STRUCTURAL = (
    Variable("local_entropy", PARTICLES, "float32", "k_B", "local pair excess entropy"),
    Variable("local_energy", PARTICLES, "float32", "epsilon", "potential energy of a particle"),
    Variable("local_density", PARTICLES, "float32", "1", "local density"),
    Variable("local_bond_order", PARTICLES, "float32", "1", "bond-orientational order Q_6 of the nearest neighbours"),
)
KINDS = {"": "", "_thermal": ", thermal positions", "_cage": ", centres of cages"}


def _of_configurations(variable: Variable) -> Iterator[Variable]:
    for suffix, positions in KINDS.items():
        name, of = f"{variable.name}{suffix}", f"{variable.long_name}{positions}"
        yield replace(variable, name=name, long_name=of)
        averaged = (*PARTICLES[:-1], "generation", "particle")
        yield replace(
            variable,
            name=f"{variable.name}_averaged{suffix}",
            dims=averaged,
            long_name=f"{of}, averaged over neighbours",
        )


def over(dims: tuple[str, ...], variable: Variable) -> Variable:
    """Return a variable over other dimensions."""
    return replace(variable, dims=dims)


VARIABLES = {variable.name: variable for variable in (*_VARIABLES, *_STRUCTURAL)}
for _structural in _STRUCTURAL:
    VARIABLES |= {variable.name: variable for variable in _of_configurations(_structural)}


def named(array: xr.DataArray, name: str, **attrs: object) -> xr.DataArray:
    """Name an array by a variable of the registry and give it that variable's attributes."""
    array = array.rename(name)
    array.attrs = {**VARIABLES[name].attrs, **attrs}
    return array


def described(table: xr.Dataset, coordinates: bool = False) -> xr.Dataset:
    """Copy a table with units and a name on every variable, or coordinate too, that has none of its own."""
    table = table.copy()
    for name, variable in table.variables.items():
        if name in table.coords and not coordinates:
            continue
        of = str(name).removesuffix("_err")
        base = VARIABLES.get(of)
        text = base.long_name if base else of.replace("_", " ")
        variable.attrs.setdefault("units", base.units if base else "1")
        variable.attrs.setdefault("long_name", text if of == name else f"standard error of the {text}")
    return table
