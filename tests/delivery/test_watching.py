"""What is seen of a step: how far each source has told of it."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from delivery.pins import Pin
from delivery.policy import Policy
from delivery.position import Position
from delivery.watching import FEEDBACK, FeedbackSource, Sources, Span, Traffic, WatchError, empty
from evaluation.online import judge
from evaluation.sequential import Blocks
from tests.delivery.world import BEGIN

STEP = Position("canary", Pin("sha256:b", 2, weight=1), Pin("sha256:a", 1), BEGIN)


@dataclass
class Recorder:
    """A Prometheus that scrapes every 15 seconds, and a database that remembers what it was asked for."""

    asked: list[Span] = field(default_factory=list)

    def read(self, since: float, until: float, policy: Policy) -> Traffic:
        blocks = int((until - since) // policy.look_seconds)
        return Traffic(Span(since, policy.look_seconds, blocks), {name: empty(blocks) for name in ("errors", "slow")})

    def draws(self, since: float, until: float, policy: Policy) -> tuple[float, float]:
        return 0.0, 0.0


@dataclass(frozen=True)
class Database:
    """Remembers the time that it was asked about."""

    recorder: Recorder

    def read(self, digests: tuple[str, str], span: Span, attribution: int) -> dict[str, Blocks]:
        self.recorder.asked.append(span)
        return {name: empty(span.blocks) for name in FEEDBACK}


class Away(Recorder):
    """A canary whose every answer is an error, and everything but the count of answers is away."""

    def read(self, since: float, until: float, policy: Policy) -> Traffic:
        blocks = Blocks(*(np.full(3, float(count)) for count in (1000, 0, 1000, 1000)))
        return Traffic(Span(since, policy.look_seconds, 3), {"errors": blocks}, restarts=1, gone="No pod is ready.")

    def draws(self, since: float, until: float, policy: Policy) -> tuple[float, float]:
        raise WatchError("Nobody counts draws.")


class NoDatabase:
    """Cannot be asked."""

    def read(self, digests: tuple[str, str], span: Span, attribution: int) -> dict[str, Blocks]:
        raise WatchError("The database of feedback does not answer.")


@pytest.mark.parametrize("feedback", [None, NoDatabase()])
def test_what_traffic_proves_counts_while_the_rest_is_away(feedback: FeedbackSource | None) -> None:
    """A broken canary is taken back, whoever else cannot be asked; and without the rest nothing passes."""
    policy = Policy(look_seconds=15, settle_seconds=0)
    seen = Sources(Away(), feedback).watch(STEP, policy, BEGIN + 600)
    assert seen.trouble == "Nobody counts draws."
    assert (seen.restarts, seen.gone) == (1, "No pod is ready.")
    assert seen.blocks["errors"].canary_bad.sum() == 3000
    verdict = judge(replace(seen, gone=""), 50, policy.bars(), policy.levels())
    assert verdict.word == "fail"
    assert "errors" in verdict.reason


@pytest.mark.parametrize("attribution", [5, 15, 60])
def test_feedback_is_heard_as_soon_as_an_answer_has_had_its_time(attribution: int) -> None:
    """It waits for no scrape, never for more than one more block, and a later look only adds to what was counted."""
    recorder = Recorder()
    sources, policy = Sources(recorder, Database(recorder)), Policy(look_seconds=15, attribution_seconds=attribution)
    for seconds in range(100, 200, 7):
        sources.watch(STEP, policy, BEGIN + seconds)
        span = recorder.asked[-1]
        open_since = BEGIN + seconds - attribution
        assert span.end < open_since
        assert open_since - span.end < min(15, attribution) + 5
    assert len({(span.start, span.block) for span in recorder.asked}) == 1
    assert all(one.blocks <= other.blocks for one, other in zip(recorder.asked, recorder.asked[1:], strict=False))
