"""Binary Kob-Andersen mixtures of variable well width, their pair potential and their temperatures."""

from __future__ import annotations

import itertools
import re
import warnings
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)  # fmt: skip

from daskglass.errors import StudyError

SIXTH_ROOT_OF_TWO = 2.0 ** (1.0 / 6.0)

REFERENCE_TEMPERATURES = (
    2.00, 1.80, 1.60, 1.40, 1.20, 1.00, 0.90, 0.80, 0.75, 0.70,
    0.67, 0.64, 0.61, 0.58, 0.55, 0.53, 0.51, 0.49, 0.47, 0.45,
)  # fmt: skip
DENSITY = {0.0: 1.20, 0.1: 1.18, 0.2: 1.16, 0.3: 1.14, 0.4: 1.12, 0.5: 1.10}
BUILT_IN = tuple(f"ka_{delta}" for delta in DENSITY if delta < 0.5)

# in reduced units nothing lies beyond; what does overflows single precision, or a count of time steps
LEAST, LARGEST = 1e-12, 1e12


def _within_reach(number: float) -> float:
    if number and not LEAST <= number <= LARGEST:
        raise ValueError(f"numbers lie between {LEAST:g} and {LARGEST:g} in reduced units")
    return number


# text such as "0432" and true are no numbers
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True), AfterValidator(_within_reach)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True), AfterValidator(_within_reach)]


class Pair(BaseModel):
    """Interaction of one pair of species: well depth ε (units of ε_AA) and size σ (units of σ_AA)."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    epsilon: Positive
    sigma: Positive


class Mixture(BaseModel):
    """A mixture of expanded Lennard-Jones particles, in units of σ_AA and ε_AA.

    The built-in ones are Kob-Andersen mixtures [1]_ with a potential shifted by Δ [2]_.

    Parameters
    ----------
    species : tuple of str
        Names, in the order of their codes.
    fractions : tuple of float
        Number fraction of each species; they sum to 1.
    pairs : dict of str to Pair
        Well depth ε and size σ of each unordered pair of species, once, by the two names joined, such as "AB".
    delta : float, optional
        Shift Δ of the potential in σ_AA, 0 ≤ Δ < 2^{1/6} min σ_ij; see `pair_energy`.
    cutoff : float, optional
        Cut-off of r in units of σ_ij.
    density : float
        Number density ρ = N/V in σ_AA^-3.
    cutoff_shift : {"energy", "force"}, optional
        What the potential is shifted by to end at the cut-off: a constant, so that its energy is zero there; or a line,
        so that its force is zero too.

    Raises
    ------
    pydantic.ValidationError
        If a name or number is not allowed, a pair is missing, or the fractions do not sum to 1. It is a `ValueError`.

    References
    ----------
    .. [1] W. Kob and H. C. Andersen, "Testing mode-coupling theory for a supercooled binary Lennard-Jones mixture I:
       The van Hove correlation function", Physical Review E 51, 4626 (1995).
    .. [2] I. R. Graham, P. E. Arratia and R. A. Riggleman, "Exploring the Relationship Between Softness and Excess
       Entropy in Glass-forming Systems", arXiv:2302.00866 (2023).

    Examples
    --------
    >>> mixture = dg.Mixture(
    ...     species=("A", "B"),
    ...     fractions=(0.8, 0.2),
    ...     pairs={
    ...         "AA": {"epsilon": 1.0, "sigma": 1.0},
    ...         "AB": {"epsilon": 1.5, "sigma": 0.8},
    ...         "BB": {"epsilon": 0.5, "sigma": 0.88},
    ...     },
    ...     density=1.2,
    ... )
    >>> mixture == dg.built_in("ka_0.0")[0]
    True
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    species: tuple[str, ...] = Field(min_length=1, max_length=100)
    fractions: tuple[Positive, ...]
    pairs: Mapping[str, Pair]
    delta: NotNegative = 0.0
    cutoff: Positive = 2.5
    density: Positive
    cutoff_shift: Literal["energy", "force"] = "energy"

    @model_serializer(mode="wrap")
    def _by_what_differs(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # a hash of a mixture that could not be shifted by its force stays what it was
        return {name: value for name, value in plain(self).items() if (name, value) != ("cutoff_shift", "energy")}

    @field_validator("species")
    @classmethod
    def _names(cls, species: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(species)) != len(species) or not all(re.fullmatch(r"[A-Za-z]\w*", name) for name in species):
            raise ValueError(f"species must be distinct plain names such as A, B; got {list(species)}")
        return species

    @model_validator(mode="after")
    def _consistent(self) -> Mixture:
        if len(self.fractions) != len(self.species) or not np.isclose(sum(self.fractions), 1.0, atol=1e-6):
            raise ValueError(
                f"fractions must give one number per species {list(self.species)} and sum to 1; "
                f"got {list(self.fractions)}"
            )
        expected = {a + b for a, b in itertools.combinations_with_replacement(self.species, 2)}
        if set(self.pairs) != expected:
            raise ValueError(f"pairs must be exactly {sorted(expected)}; got {sorted(self.pairs)}")
        smallest = SIXTH_ROOT_OF_TWO * min(pair.sigma for pair in self.pairs.values())
        if self.delta >= smallest:
            raise ValueError(f"delta must stay below 2^(1/6) of the smallest sigma, {smallest:.4f}; got {self.delta}")
        if self.cutoff <= SIXTH_ROOT_OF_TWO:
            raise ValueError(f"cutoff must lie beyond the minimum at 2^(1/6) sigma; got {self.cutoff}")
        return self

    def pair(self, first: str, second: str) -> Pair:
        """Return the interaction of two species, in either order.

        Parameters
        ----------
        first : str
            Name of a species.
        second : str
            Name of the other species.

        Returns
        -------
        Pair
            Well depth `epsilon` in ε_AA and size `sigma` in σ_AA.

        Raises
        ------
        StudyError
            If there is no such species.

        Examples
        --------
        >>> mixture, temperatures = dg.built_in("ka_0.0")
        >>> mixture.pair("B", "A")
        Pair(epsilon=1.5, sigma=0.8)
        """
        if unknown := [name for name in (first, second) if name not in self.species]:
            raise StudyError(f"no species {unknown[0]!r}: there are {list(self.species)}")
        return self.pairs.get(first + second) or self.pairs[second + first]

    @property
    def longest_cutoff(self) -> float:
        """Largest distance at which any pair interacts, in σ_AA.

        Examples
        --------
        >>> mixture, temperatures = dg.built_in("ka_0.0")
        >>> mixture.longest_cutoff
        2.5
        """
        return self.cutoff * max(pair.sigma for pair in self.pairs.values())

    def counts(self, particles: int) -> tuple[int, ...]:
        """Count the particles of each species; the last species absorbs the rounding.

        Parameters
        ----------
        particles : int
            Number N of particles in all.

        Returns
        -------
        tuple of int
            Numbers of particles, in the order of `species`.

        Raises
        ------
        StudyError
            If `particles` is no whole number, or so small that rounding leaves less than none of the last.

        Examples
        --------
        >>> mixture, temperatures = dg.built_in("ka_0.0")
        >>> mixture.counts(1201)
        (961, 240)
        """
        particles = _whole(particles)
        counts = [round(particles * fraction) for fraction in self.fractions[:-1]]
        if sum(counts) > particles:
            raise StudyError(f"{particles} particles are too few for {len(self.species)} species")
        return (*counts, particles - sum(counts))

    def box_length(self, particles: int) -> float:
        """Edge of the cubic box of N particles, (N/ρ)^{1/3}.

        Parameters
        ----------
        particles : int
            Number N of particles in all.

        Returns
        -------
        float
            Length in σ_AA.

        Raises
        ------
        StudyError
            If `particles` is no whole number, 1 or more.

        Examples
        --------
        >>> mixture, temperatures = dg.built_in("ka_0.0")
        >>> round(mixture.box_length(1200), 6)
        10.0
        """
        return float((_whole(particles) / self.density) ** (1.0 / 3.0))


def _whole(particles: int) -> int:
    if isinstance(particles, bool) or not isinstance(particles, int | np.integer) or particles < 1:
        raise StudyError(f"particles must be a whole number, 1 or more; got {particles!r}")
    return int(particles)


def built_in(name: str) -> tuple[Mixture, tuple[float, ...]]:
    """Return the mixture and the temperatures of a built-in system, `ka_0.0` to `ka_0.4`.

    80:20 Kob-Andersen mixtures [1]_ whose well width varies by Δ, the number in the name, at equal depth of
    supercooling (Sec. II of [2]_). `ka_0.5` is known to crystallise: it is returned with a warning.

    Parameters
    ----------
    name : str
        Name of the system.

    Returns
    -------
    mixture : Mixture
        Composition, density and pair potential.
    temperatures : tuple of float
        Temperatures in ε_AA/k_B, from high to low.

    Raises
    ------
    StudyError
        For an unknown name.

    References
    ----------
    .. [1] W. Kob and H. C. Andersen, "Testing mode-coupling theory for a supercooled binary Lennard-Jones mixture I:
       The van Hove correlation function", Physical Review E 51, 4626 (1995).
    .. [2] I. R. Graham, P. E. Arratia and R. A. Riggleman, "Exploring the Relationship Between Softness and Excess
       Entropy in Glass-forming Systems", arXiv:2302.00866 (2023).

    Examples
    --------
    >>> mixture, temperatures = dg.built_in("ka_0.2")
    >>> mixture.delta, mixture.density, temperatures[0], temperatures[-1]
    (0.2, 1.16, 3.25, 0.73)
    """
    match = re.fullmatch(r"ka_(0\.[0-5])", str(name))
    if match is None:
        raise StudyError(f"unknown system {name!r}: built-in ones are {', '.join(BUILT_IN)}; others need a `mixture:`")
    delta = float(match[1])
    if delta == 0.5:
        warnings.warn("ka_0.5 is known to crystallise; check its structure before trusting results", stacklevel=2)
    return kob_andersen(delta), temperatures(delta)


def kob_andersen(delta: float) -> Mixture:
    """80:20 Kob-Andersen mixture whose potential is shifted by Δ (Graham et al. 2023, Sec. II)."""
    return Mixture(
        species=("A", "B"),
        fractions=(0.8, 0.2),
        pairs={
            "AA": Pair(epsilon=1.0, sigma=1.0),
            "AB": Pair(epsilon=1.5, sigma=0.8),
            "BB": Pair(epsilon=0.5, sigma=0.88),
        },
        delta=delta,
        density=DENSITY[delta],
    )


def temperature_scale(delta: float) -> float:
    """T(Δ)/T(0) = (ρ/1.2)^{2/3} / (1 − 2^{1/6} Δ)², by which the temperatures of the study grow with Δ."""
    return float((DENSITY[delta] / DENSITY[0.0]) ** (2.0 / 3.0) / (1.0 - SIXTH_ROOT_OF_TWO * delta) ** 2)


def temperatures(delta: float) -> tuple[float, ...]:
    """Temperatures of the study, from hot to cold, rounded to 0.01."""
    return tuple(round(temperature_scale(delta) * T, 2) for T in REFERENCE_TEMPERATURES)
