"""How tests become verdicts: one rule for all claims."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from daskglass.report.statistics import LEVEL, MOST, POWER, Tested, holm

Verdict = Literal["confirmed", "refuted", "not decidable here"]
YES: Verdict = "confirmed"
NO: Verdict = "refuted"
OPEN: Verdict = "not decidable here"

RULE = (
    f"A claim is confirmed if every departure from it is surely smaller than the stated margin, and refuted if one is surely "
    f"larger; the collapse is refuted if systems surely depart from one line at all, unless by less than the margin. Either is "
    f"wrong with a probability of at most {100 * LEVEL:g} % for each claim. To confirm, each test must pass at that level; to "
    f"refute, Holm’s method shares it out. What “would be found” is the smallest departure that this study refutes with a "
    f"probability of {100 * POWER:g} %."
)


@dataclass(frozen=True)
class Claim:
    """A claim and how it is decided.

    Attributes
    ----------
    text, rule : the claim, and how it is tested
    verdict, reasons : of a study
    power : departures that would be found; empty if nothing is tested
    remedy : what would decide it; empty if it is decided
    """

    text: str
    rule: str
    verdict: Verdict
    reasons: tuple[str, ...]
    power: str
    remedy: str


@dataclass(frozen=True)
class Finding:
    """What one system, or all together, contribute to a claim.

    Attributes
    ----------
    name : of the system; empty for all together
    numbers : measured
    tests : none where nothing can be tested
    show : name of the departure that would be found, of any size
    remedy : what must be there before this can be decided; empty where it is only more of `more`
    more : what reduces the errors
    """

    name: str
    numbers: str
    tests: tuple[Tested, ...] = ()
    show: Callable[[float], str] | None = None
    remedy: str = ""
    more: str = "frames or replicas"


def decided(text: str, rule: str, findings: Sequence[Finding], notes: Sequence[str] = ()) -> Claim:
    """Decide a claim: confirmed if all tests confirm it, refuted if one does."""
    tests = [test for finding in findings for test in finding.tests]
    rejected = holm([test.beyond for test in tests])
    verdicts, first = list[Verdict](), 0
    for finding in findings:
        last = first + len(finding.tests)
        verdicts.append(_of_one(finding, bool(rejected[first:last].any())))
        first = last
    verdict = NO if NO in verdicts else OPEN if OPEN in verdicts else YES
    level = LEVEL / max(1, len(tests))
    alike = len(set(verdicts)) == 1
    reasons = [_reason(f, "" if alike else each) for f, each in zip(findings, verdicts, strict=True)]
    still = [f for f, each in zip(findings, verdicts, strict=True) if each == OPEN]
    remedy = _remedy(still, level) if verdict == OPEN else ""
    return Claim(text, rule, verdict, (*notes, *reasons), _power(findings, level), remedy)


def _of_one(finding: Finding, rejected: bool) -> Verdict:
    if rejected:
        return NO
    sure = finding.tests and all(test.within <= LEVEL for test in finding.tests)
    return YES if sure else OPEN


def _reason(finding: Finding, verdict: str) -> str:
    name = " ".join(part for part in (finding.name, verdict) if part)
    return f"{name}: {finding.numbers}" if name else finding.numbers


def _power(findings: Sequence[Finding], level: float) -> str:
    """Smallest departures that would be found: one by one, or of all systems the least and the most."""
    found: dict[str, list[tuple[float, str]]] = {}
    for k, finding in enumerate(findings):
        if finding.show is not None and finding.tests:
            size = max(test.found(level) for test in finding.tests)
            found.setdefault("systems" if finding.name else str(k), []).append((size, finding.show(size)))
    texts = [" to ".join(dict.fromkeys((min(sizes)[1], max(sizes)[1]))) for sizes in found.values()]
    return f"Would be found: {'; '.join(texts)}" if texts else ""


def _remedy(findings: Sequence[Finding], level: float) -> str:
    """What would decide the open parts; systems of the same remedy together."""
    of: dict[str, list[str]] = {}
    for finding in findings:
        of.setdefault(finding.remedy or _times(finding, level), []).append(finding.name)
    named = [f"{text} ({', '.join(filter(None, names))})" if any(names) else text for text, names in of.items()]
    return f"To decide it: {'; '.join(named)}"


def _times(finding: Finding, level: float) -> str:
    """How many times as much data decide with the usual power, if the departures are as measured.

    One departure beyond its margin refutes, all within theirs confirm.
    """
    beyond = [test.times(level) for test in finding.tests if test.outside]
    times = min(beyond) if beyond else max(test.times(level) for test in finding.tests if test.within > LEVEL)
    if times > MOST:
        return f"more than {MOST:,.0f} times as many {finding.more}, as departures lie at the margin, or on both sides of it"
    return f"at most about {np.ceil(times):.0f} times as many {finding.more}"
