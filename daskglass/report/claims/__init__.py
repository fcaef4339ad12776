"""Claims of the paper, each tested against the numbers of a study."""

from __future__ import annotations

from collections.abc import Callable

from daskglass.report.claims import one_line, strata, trends
from daskglass.report.claims.verdicts import RULE, Claim, Finding, decided
from daskglass.report.results import Results, SystemResults

__all__ = ["RULE", "Claim", "judge"]


def judge(results: Results) -> list[Claim]:
    """Judge each claim of the paper by the numbers of a study."""

    def each(text: str, rule: str, test: Callable[[SystemResults], Finding]) -> Claim:
        return decided(text, rule, [test(system) for system in results.systems])

    return [
        each(
            "ln P_R of every stratum is linear in 1/T, for softness and for local s⁽²⁾", strata.ARRHENIUS, strata.arrhenius
        ),
        each(
            "at the coldest T, P_R varies more between strata of softness than between strata of local s⁽²⁾",
            strata.WIDER, strata.wider,
        ),
        each("P_R varies ten-fold between strata of softness at the coldest T", strata.TEN, strata.tenfold),
        decided(
            "the Pearson correlation of softness and local s⁽²⁾ rises with Δ, to about 0.5",
            trends.CORRELATION, trends.correlation(results),
        ),
        each("softness and local s⁽²⁾ give the same onset temperature T_A", strata.ONSET, strata.onset),
        each("s⁽²⁾ rises monotonically with softness", trends.MONOTONIC, trends.monotonic),
        *(
            decided(
                f"the activation {plural} of all systems collapse on one line in s⁽²⁾", one_line.COLLAPSE,
                *one_line.collapsed(results, of),
            )
            for of, plural in (("entropy", "entropies"), ("energy", "energies"))
        ),
    ]  # fmt: skip
