"""How the arms answered, from Prometheus: whole counts of raw samples, and no rate that was extrapolated.

Prometheus's HTTP API (https://prometheus.io/docs/prometheus/latest/querying/api/) returns the samples of a range
selector as they were scraped. A counter that falls was reset, and one that appears began at 0.
"""

import json
import math
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import numpy as np
from numpy.typing import NDArray

from delivery.policy import Policy
from delivery.watching import Span, Traffic, WatchError
from evaluation.sequential import Blocks
from segue.errors import NO_ANSWER

Floats = NDArray[np.float64]
ARMS = ("production", "canary")
_OF_ARMS = 'environment=~"production|canary",route="/predict"'
_DRAWS = 'segue_draws_total{environment=~"production|canary"}'
_REQUESTS = f"segue_requests_total{{{_OF_ARMS}}}"
_ANSWERS = f"segue_request_seconds_count{{{_OF_ARMS}}}"
_IN_TIME = 'segue_request_seconds_bucket{{{},le="{}"}}'
_UP = 'up{environment=~"production|canary"}'
_READY = 'segue_ready{environment=~"production|canary"}'
_TIMEOUT = 20


@dataclass(frozen=True, slots=True)
class Series:
    """One series of one arm: its labels, the moments of its samples (n,), their values (n,)."""

    labels: dict[str, str]
    times: Floats
    values: Floats

    @property
    def arm(self) -> str:
        """The environment that it is of."""
        return self.labels.get("environment", "")

    def increments(self, edges: NDArray[np.floating[Any]]) -> Floats:
        """Return by how much the counter rose between neighbouring edges, (len(edges) - 1,)."""
        rises = np.diff(self.values, prepend=0.0)
        rises = np.where(rises < 0, self.values, rises)  # it was reset, and has counted so far since
        if self.times[0] <= edges[0]:
            rises[0] = 0.0  # what it had before
        total = np.concatenate([[0.0], np.cumsum(rises)])
        return np.diff(total[np.searchsorted(self.times, edges, side="right")])


class Prometheus:
    """Prometheus's HTTP API at an address."""

    def __init__(self, address: str) -> None:
        self._address = address.rstrip("/")

    def read(self, since: float, until: float, policy: Policy) -> Traffic:
        """Return what both arms answered in whole blocks, counted anew after the last gap."""
        reach = until - since + policy.gap_seconds  # so far back that every counter shows what it had before
        up = self._series(_UP, until, reach)
        start, end, restarts, trouble = _covered(up, since, until, policy)
        gone = _gone(self._series(_READY, until, reach), since, until, policy)
        span = Span(start, policy.look_seconds, max(0, int((end - start) // policy.look_seconds)))
        if not span.blocks:
            trouble = trouble or "There are no counts of the canary yet."
            return Traffic(span, trouble=trouble, restarts=restarts, gone=gone)
        edges = span.start + span.block * np.arange(span.blocks + 1.0)
        requests = self._series(_REQUESTS, until, reach)
        answered = _by_arm(requests, edges)
        errors = _by_arm([one for one in requests if one.labels.get("status", "").startswith("5")], edges)
        timed = _by_arm(self._series(_ANSWERS, until, reach), edges)
        bucket = self._series(_IN_TIME.format(_OF_ARMS, float(policy.budget_seconds)), until, reach)
        if timed["canary"].sum() and not bucket:
            trouble = f"The service has no bucket of {policy.budget_seconds:g} s; name another as budget_seconds."
        in_time = _by_arm(bucket, edges)
        slow = {arm: np.maximum(timed[arm] - in_time[arm], 0.0) for arm in ARMS}
        blocks = {"errors": _blocks(answered, errors), "slow": _blocks(timed, slow)}
        return Traffic(span, blocks, trouble, restarts, gone)

    def draws(self, since: float, until: float, policy: Policy) -> tuple[float, float]:
        """Return what the services have counted as drawn to them; where they count nothing, nothing was drawn."""
        found = _by_arm(self._series(_DRAWS, until, until - since + policy.gap_seconds), np.array([since, until]))
        return float(found["production"].sum()), float(found["canary"].sum())

    def _series(self, selector: str, until: float, reach: float) -> list[Series]:
        answer = self._ask({"query": f"{selector}[{int(reach) + 1}s]", "time": f"{until:.3f}"})
        if answer["resultType"] != "matrix":
            raise WatchError(f"Prometheus at {self._address} answers with a {answer['resultType']}, not with samples.")
        return [_parse(one) for one in answer["result"] if one["values"]]

    def _ask(self, parameters: dict[str, str]) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310 - the address is a setting
            f"{self._address}/api/v1/query", urlencode(parameters).encode(), method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:  # noqa: S310
                told: dict[str, Any] = json.load(response)
        except urllib.error.HTTPError as error:
            reason = error.read(300).decode(errors="replace")
            raise WatchError(f"Prometheus at {self._address} refuses ({error.code}: {reason}).") from error
        except (*NO_ANSWER, ValueError) as error:
            raise WatchError(
                f"Prometheus at {self._address} does not answer ({error}); nothing passes until it does."
            ) from error
        if told.get("status") != "success":
            raise WatchError(f"Prometheus at {self._address} says {told.get('error', 'nothing')!r}.")
        data: dict[str, Any] = told["data"]
        return data


def _parse(one: dict[str, Any]) -> Series:
    times, values = zip(*one["values"], strict=True)
    return Series(one["metric"], np.array(times, float), np.array([float(value) for value in values]))


def _covered(up: list[Series], since: float, until: float, policy: Policy) -> tuple[float, float, int, str]:
    """Return from when to when both arms were scraped without a gap, the number of gaps, and what is wrong now."""
    start, end = since, until
    gaps: list[tuple[float, float]] = []
    for arm in ARMS:
        seen = [one.times[one.values == 1] for one in up if one.arm == arm]
        times = np.unique(np.concatenate([np.zeros(0), *seen]))
        times = times[(times >= since - policy.gap_seconds) & (times <= until)]
        if not times.size:
            return start, start, _stretches(gaps), f"Prometheus has scraped no pod of {arm} since {_ago(since, until)}."
        stops = np.concatenate([[since], times])
        broken = np.flatnonzero(np.diff(stops) > policy.gap_seconds)
        if broken.size:  # a block later, every counter has been scraped again
            gaps += [(float(stops[one]), float(stops[one + 1])) for one in broken]
            start = max(start, float(stops[broken[-1] + 1]) + policy.look_seconds)
        end = min(end, float(times[-1]))
        if until - times[-1] > policy.gap_seconds:
            return start, end, _stretches(gaps), f"Prometheus has scraped no pod of {arm} for {_ago(times[-1], until)}."
    return start, end, _stretches(gaps), ""


def _stretches(gaps: list[tuple[float, float]]) -> int:
    """Return how often the counting began anew: after gaps that overlap, of either arm, it did so once."""
    count, reach = 0, -math.inf
    for begin, end in sorted(gaps):
        count += begin > reach
        reach = max(reach, end)
    return count


def _gone(ready: list[Series], since: float, until: float, policy: Policy) -> str:
    """Return that the canary has no pod that is ready, while production has.

    Such pods count no errors: it is the gateway that answers their listeners, with 503.
    """
    last = {
        arm: max((float(t) for one in ready if one.arm == arm for t in one.times[one.values == 1]), default=0.0)
        for arm in ARMS
    }
    dark = until - max(last["canary"], since)
    if dark <= policy.gap_seconds or until - last["production"] > policy.gap_seconds:
        return ""
    return f"No pod of the canary has been ready for {dark:.0f} s, and those of production have."


def _ago(then: float, now: float) -> str:
    return f"{now - then:.0f} s"


def _by_arm(series: list[Series], edges: NDArray[np.floating[Any]]) -> dict[str, Floats]:
    return {
        arm: sum((one.increments(edges) for one in series if one.arm == arm), np.zeros(len(edges) - 1)) for arm in ARMS
    }


def _blocks(answers: dict[str, Floats], bad: dict[str, Floats]) -> Blocks:
    return Blocks(answers[ARMS[0]], bad[ARMS[0]], answers[ARMS[1]], bad[ARMS[1]])
