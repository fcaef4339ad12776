"""Claims of the paper, each tested against the numbers of a study."""

from __future__ import annotations

from collections.abc import Callable

from daskglass.registry import listed
from daskglass.report.claims import one_line, strata, trends
from daskglass.report.claims.verdicts import RULE, Claim, Finding, decided
from daskglass.report.results import Results, SystemResults
from daskglass.stages.structural import LOCAL_ENTROPY, SOFTNESS, StructuralVariable

__all__ = ["RULE", "Claim", "judge"]


def judge(results: Results, other: StructuralVariable = LOCAL_ENTROPY) -> list[Claim]:
    """Judge each claim of the paper by the numbers of a study; or the same of another variable than local s⁽²⁾."""
    of_paper, name = other == LOCAL_ENTROPY, strata.words(other)
    linear = (SOFTNESS, other) if of_paper else (other,)
    spreading = SOFTNESS if of_paper else other
    bins = "s⁽²⁾" if of_paper else f"the mean {name}"

    def each(text: str, rule: str, test: Callable[[SystemResults], Finding]) -> Claim:
        return decided(text, rule, [test(system) for system in results.systems])

    return [
        each(
            f"ln P_R of every stratum is linear in 1/T, for {listed(map(strata.words, linear), 'and for')}",
            strata.ARRHENIUS, lambda system: strata.arrhenius(system, *linear),
        ),
        each(
            f"at the coldest T, P_R varies more between strata of softness than between strata of {name}",
            strata.WIDER, lambda system: strata.wider(system, other),
        ),
        each(
            f"P_R varies ten-fold between strata of {strata.words(spreading)} at the coldest T",
            strata.TEN, lambda system: strata.tenfold(system, spreading),
        ),
        decided(
            f"the Pearson correlation of softness and {name} rises{'' if of_paper else ' in size'} with Δ, to about 0.5",
            trends.CORRELATION, trends.correlation(results, other),
        ),
        each(
            f"softness and {name} give the same onset temperature T_A", strata.ONSET,
            lambda system: strata.onset(system, other),
        ),
        each(
            f"{bins} rises{'' if of_paper else ' or falls'} monotonically with softness",
            trends.MONOTONIC, lambda system: trends.monotonic(system, other),
        ),
        *(
            decided(
                f"the activation {plural} of all systems collapse on one line in {bins}", one_line.COLLAPSE,
                *one_line.collapsed(results, of, other),
            )
            for of, plural in (("entropy", "entropies"), ("energy", "energies"))
        ),
    ]  # fmt: skip
