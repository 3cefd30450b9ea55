"""What is seen of a canary's step: the ports that the sources stand behind, and what they say put together."""

from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from delivery.policy import Policy
from delivery.position import Position
from evaluation.online import Watched
from evaluation.sequential import Blocks
from segue.errors import SegueError

TRAFFIC = ("errors", "slow")
FEEDBACK = ("skipped", "unliked")
_KEPT_WITHIN = 2
"""Seconds from when feedback is received until the database has it, and by which clocks differ."""


class WatchError(SegueError):
    """A source cannot be asked, or does not answer as it should."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time in blocks of equal length.

    Attributes:
        start: In seconds since 1970.
        block: Seconds of a block.
        blocks: How many there are.
    """

    start: float
    block: int
    blocks: int

    @property
    def end(self) -> float:
        """Where the last block ends."""
        return self.start + self.block * self.blocks


@dataclass(frozen=True, slots=True)
class Traffic:
    """What the two arms answered.

    Attributes:
        span: The time that was counted.
        blocks: Guard to its counts.
        trouble: Why it cannot be trusted now, or "".
        restarts: How many gaps there were; the span begins after the last one.
        gone: Why listeners of the canary are surely not answered, or "".
    """

    span: Span
    blocks: dict[str, Blocks] = field(default_factory=dict)
    trouble: str = ""
    restarts: int = 0
    gone: str = ""


class TrafficSource(Protocol):
    """Knows how the arms answered: Prometheus, or what stands in for it."""

    def read(self, since: float, until: float, policy: Policy) -> Traffic:
        """Return what was answered between two moments, in seconds since 1970.

        Raises:
            WatchError: It cannot be asked.
        """
        ...

    def draws(self, since: float, until: float, policy: Policy) -> tuple[float, float]:
        """Return how many requests were drawn to production and to the canary between two moments.

        Who comes back with the gateway's cookie is not drawn again, and not counted.

        Raises:
            WatchError: It cannot be asked.
        """
        ...


class FeedbackSource(Protocol):
    """Knows what listeners did with the answers."""

    def read(self, digests: tuple[str, str], span: Span, attribution: int) -> dict[str, Blocks]:
        """Return guard to counts of answers with feedback, by the block in which they were given.

        Args:
            digests: Production's bundle and the canary's.
            span: When the answers were given; what came of them was known by its end plus ``attribution``.
            attribution: Seconds after an answer in which its feedback counts.

        Raises:
            WatchError: It cannot be asked.
        """
        ...


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the online verdict comes from; a source that nobody named is None."""

    traffic: TrafficSource | None = None
    feedback: FeedbackSource | None = None

    def watch(self, position: Position, policy: Policy, now: float) -> Watched:
        """Return what was seen of a step until now; whatever is missing is trouble, and never a pass.

        What is bad counts from the first listener on. Only how requests are split is not looked at before the commit
        can have reached the route, and nothing passes before that.
        """
        if self.traffic is None:
            return Watched({}, trouble="Nothing tells how the canary fares; name Prometheus with SEGUE_PROMETHEUS.")
        since = position.begun + policy.look_seconds  # what was asked before the commit is scraped as late as this
        settled = max(since, position.begun + policy.settle_seconds)
        early = f"The commit has {policy.settle_seconds:g} s to reach the route." if now < settled else ""
        if now < since + policy.look_seconds:
            return Watched({}, trouble=early or "Nothing was seen of the canary yet.")
        try:
            traffic = self.traffic.read(since, now, policy)
        except WatchError as error:
            return Watched({}, trouble=str(error))
        # What traffic proves counts, whether or not the rest can be asked.
        seen = Watched(traffic.blocks, trouble=traffic.trouble or early, restarts=traffic.restarts, gone=traffic.gone)
        split = max(settled, traffic.span.start), traffic.span.end
        if split[0] < split[1]:
            try:
                seen = replace(seen, draws=self.traffic.draws(*split, policy))
            except WatchError as error:
                seen = replace(seen, trouble=seen.trouble or str(error))
        try:
            return self._with_feedback(seen, position, policy, traffic.span.start, now)
        except WatchError as error:
            return replace(seen, trouble=seen.trouble or str(error))

    def _with_feedback(self, seen: Watched, position: Position, policy: Policy, start: float, now: float) -> Watched:
        wanted = [name for name in policy.guards if name not in TRAFFIC]
        if not wanted:
            return seen
        if unknown := [name for name in wanted if name not in FEEDBACK]:
            return replace(seen, trouble=f"Nobody counts {unknown[0]}; guards are {', '.join(TRAFFIC + FEEDBACK)}.")
        if self.feedback is None:
            trouble = (
                f"Nothing tells what listeners did; name the database of feedback with SEGUE_DATABASE_URL, or take "
                f"{' and '.join(wanted)} out of the guards in k8s/promotion.yaml."
            )
            return replace(seen, trouble=seen.trouble or trouble)
        digests = (position.production.digest, position.pin.digest)
        found = self.feedback.read(digests, _attributed(start, policy, now), policy.attribution_seconds)
        return replace(seen, blocks={**seen.blocks, **{name: found[name] for name in wanted}})


def _attributed(start: float, policy: Policy, now: float) -> Span:
    """Return the time whose answers have had theirs for feedback.

    The database waits for no scrape, so this reaches further than the traffic's span, and in finer blocks where
    feedback comes fast: listeners who skip are heard the sooner.
    """
    block = max(1, min(policy.look_seconds, policy.attribution_seconds))
    over = now - policy.attribution_seconds - _KEPT_WITHIN
    return Span(start, block, max(0, int((over - start) // block)))


def empty(blocks: int = 0) -> Blocks:
    """Return counts of nothing."""
    return Blocks(*(np.zeros(blocks) for _ in range(4)))
