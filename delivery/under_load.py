"""How a bundle in staging stands a steady load: measured, judged by the policy, and told in a sentence.

Fail closed: only a load that was answered from end to end by the bundle itself is a measurement. What staging refuses
or does not answer tells of its pods and not of the bundle, so it is asked again later.
"""

import math
from collections.abc import Sequence

from delivery.load import Load
from delivery.policy import POLICY, Policy
from delivery.probing import Finding, Question, Services
from delivery.registry import Evidence
from evaluation.online import Word

_TRIES = 3
"""A neighbour on the machine makes one load slow; who is slow in each of so many is slow."""
_LATE = 0.25
"""Share of the limit by which our own requests may leave late; beyond it slowness is no proof against a bundle."""
_NOT_READY = (0, 429, 502, 503, 504)
"""Answers by what stands before the bundle; 0 is none at all."""


def under_load(
    services: Services, environment: str, digest: str, asked: Sequence[Question], policy: Policy
) -> tuple[Finding, Load]:
    """Ask an environment at the policy's rate and return how that is judged, with the load that was judged last.

    Args:
        services: Whom to ask.
        environment: Which of them.
        digest: Of the bundle that has to answer.
        asked: The playlists, again and again in turn.
        policy: How much is asked, and what is enough.
    """
    finding, load = Finding("inconclusive", "Nothing was asked."), Load()
    for _ in range(_TRIES):
        load = services.load(environment, digest, asked, policy.load_rate, policy.load_seconds)
        finding = _judged(environment, load, policy)
        if finding.word != "fail" or _failed(load):
            break
    return finding, load


def measured(load: Load, policy: Policy, note: str) -> Evidence:
    """Return a load as the registry keeps it."""
    parameters = {"rate": f"{policy.load_rate:g}", "seconds": f"{policy.load_seconds:g}"}
    parameters |= {"p95_limit_seconds": f"{policy.load_p95_seconds:g}", "errors_limit": f"{policy.load_errors:g}"}
    figures = load.figures()
    latencies = {f"milliseconds.{name}": value for name, value in figures.pop("milliseconds").items()}
    numbers = {name: float(value) for name, value in (figures | latencies).items()}
    return Evidence(parameters, {name: value for name, value in numbers.items() if math.isfinite(value)}, note=note)


def _judged(environment: str, load: Load, policy: Policy) -> Finding:
    asked = f"{policy.load_rate:g} requests/s for {policy.load_seconds:g} s"
    failed, not_ready, most = _failed(load), _not_ready(load), policy.load_errors * load.sent
    if not load.sent:
        return _finding("inconclusive", f"{asked} are too few to be a load.", load, policy)
    if load.strange:
        others = f"{load.strange} of {load.sent} answers were another bundle's"
        return _finding("inconclusive", f"{environment} was asked {asked}, and {others}.", load, policy)
    if failed > most:
        reason = f"{environment} fails under {asked}: {failed} of {load.sent} requests ({_statuses(load)})."
        return _finding("fail", reason, load, policy)
    if not_ready > most or not load.latencies:
        reason = (
            f"{environment} could not be measured under {asked}: {not_ready} of {load.sent} requests were turned away "
            f"or not answered ({_statuses(load)}). 429 is its limit of rate: keep load_rate in {POLICY} below it."
        )
        return _finding("inconclusive", reason, load, policy)
    return _in_time(asked, load, policy)


def _in_time(asked: str, load: Load, policy: Policy) -> Finding:
    p95, late, limit = load.percentile(95), load.generator_late, policy.load_p95_seconds
    reason = f"under {asked} the 95th percentile of {load.sent} answers is {1e3 * p95:.1f} ms"
    if p95 <= limit:
        return _finding("pass", f"{reason[0].upper()}{reason[1:]}.", load, policy)
    allowed = f"load_p95_seconds allows {1e3 * limit:g} ms"
    if late > _LATE * limit:
        busy = f"the requests themselves left up to {1e3 * late:.1f} ms late, so this machine was too busy to tell"
        return _finding("inconclusive", f"Whether it is too slow is open: {reason}, {allowed}; {busy}.", load, policy)
    return _finding("fail", f"It is too slow: {reason}, in the last of {_TRIES} tries, and {allowed}.", load, policy)


def _finding(word: Word, reason: str, load: Load, policy: Policy) -> Finding:
    return Finding(word, reason, {"Load": f"{word} {_told(load, policy)}"})


def _told(load: Load, policy: Policy) -> str:
    times = " ".join(f"p{place}={1e3 * load.percentile(place):.1f}ms" for place in (50, 95, 99))
    rate = load.figures()["answers_a_second"]
    return (
        f"n={load.sent} rate={rate:.1f}/s {times} failed={_failed(load)} refused={_not_ready(load)} "
        f"limits={1e3 * policy.load_p95_seconds:g}ms,{policy.load_errors:g}"
    )


def _failed(load: Load) -> int:
    return sum(count for status, count in load.statuses.items() if status not in (200, *_NOT_READY))


def _not_ready(load: Load) -> int:
    return sum(load.statuses[status] for status in _NOT_READY)


def _statuses(load: Load) -> str:
    """Return how often each answer came that is no 200."""
    counts = sorted((status, count) for status, count in load.statuses.items() if status != 200)
    return ", ".join(f"{status or 'no answer'}: {count}" for status, count in counts)
