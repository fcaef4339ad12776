"""Captions: what each figure shows, and from how much data."""

from __future__ import annotations

from daskglass.report.results import Results, SystemResults

TITLES = (
    "Interaction, structure and diffusion",
    "Reduced diffusion, softness and excess entropy",
    "Probability of rearrangement by stratum",
    "Softness against local pair excess entropy",
    "Structure and entropy by softness",
    "Collapse of the barriers",
)


def captions(results: Results) -> list[str]:
    """Caption of each figure, in their order."""
    first = results.systems[0]
    A = first.first
    several = len(results.systems) > 1
    inherent = all(system.inherent for system in results.systems)
    kind = "inherent structures" if inherent else "thermal configurations (this study has no inherent structures)"
    errors = (
        "Error bars are standard errors over replicas"
        if max(system.replicas for system in results.systems) > 1
        else "One replica: standard errors over replicas are not known"
    )
    data = _data(results)
    strata = first.ensemble.sizes["stratum"]
    bins = first.ensemble.sizes["softness_bin"]
    fitted = ", ".join(
        f"{_prefix(s, several)}{s.cold('softness')} and {s.cold('local_entropy')}" for s in results.systems
    )
    pairs = ", ".join(f"{_prefix(s, several)}{int(s.ensemble['joint'].sum()):,}" for s in results.systems)
    size = "species other than the first at 0.8 of their size" if len(first.neighbors) > 1 else "at full size"
    potentials = (
        "Pair potentials V_ij(r), zero at the cut-off; Δ shifts the potential and leaves its minimum in place."
        if any(system.mixture is not None for system in results.systems)
        else "Pair potentials: none is known of these trajectories."
    )
    return [
        f"(a) {potentials} "
        f"(b) One frame of {first.name} at the coldest temperature, in "
        f"{'its inherent structure' if inherent else 'thermal motion'}; "
        f"{A} coloured by softness, other species grey; spheres have diameter σ_ii, {size}. "
        f"(c) Thermal radial distribution functions around {A} at the coldest temperature of each system, shifted for "
        f"clarity. (d) Diffusion coefficient of {A} from the diffusive part of the mean squared displacement. "
        f"{errors}. {data}",
        f"Reduced diffusion coefficient D* = ρ^(1/3) (m/k_BT)^(1/2) D of {A} against (a) the mean softness and (b) the "
        f"thermal pair excess entropy, one point per temperature. {errors}. {data}",
        f"Fraction of {A} with p_hop above the threshold, in {strata} equal strata of softness (left) and of local "
        f"pair excess entropy (right). Filled points enter the Arrhenius fits (lines; dotted where extrapolated), open "
        f"points are hotter. Dashed: onset temperature T_A where the strata meet, with its standard error shaded. "
        f"Error bars: bootstrap over replicas and blocks of time. Supercooled temperatures fitted (softness and local "
        f"entropy): {fitted}. {data}",
        f"Joint histogram of softness and local pair excess entropy of {A}, all temperatures pooled (particles × "
        f"frames: {pairs}), their Pearson correlation r, and the onset temperatures from the strata of both; dashed: "
        f"equality. Correlations carry no error bar: their scatter over temperature is shown instead. {data}",
        f"Radial distribution functions around {A} in {bins} equal bins of softness, supercooled temperatures pooled, "
        f"from {kind}; insets enlarge the second shell. Last column: pair excess entropy of each bin, without errors. "
        f"{data}",
        f"Barriers of the strata of softness against the pair excess entropy of {kind} at the same softness: s⁽²⁾ of "
        f"the {bins} softness bins, interpolated linearly between their middles, at the middle of each stratum. "
        f"(a, b) scaled by ln P_R(T_A), (c) y_E against y_Σ − 1, equal (dashed) where all strata meet at T_A, (d, e) "
        f"unscaled. Error bars: bootstrap; those of (a, b) share the error of ln P_R(T_A). {data}",
    ]  # fmt: skip


def _prefix(system: SystemResults, several: bool) -> str:
    return f"{system.name} " if several else ""


def _data(results: Results) -> str:
    """Amount of data of every system; said once where it is the same."""
    amounts = {system.name: _amount(system) for system in results.systems}
    if len(set(amounts.values())) == 1:
        each = " each" if len(amounts) > 1 else ""
        return f"Data{each}: {next(iter(amounts.values()))}."
    return "Data: " + "; ".join(f"{name}: {amount}" for name, amount in amounts.items()) + "."


def _amount(system: SystemResults) -> str:
    sizes = system.production.sizes
    return ", ".join(
        f"{sizes[dim]:,} {word}{'s' * (sizes[dim] != 1)}"
        for dim, word in (
            ("particle", "particle"),
            ("temperature", "temperature"),
            ("replica", "replica"),
            ("time", "frame"),
        )
    )
