"""What is seen of a step: how far each source has told of it."""

from dataclasses import dataclass, field

import pytest

from delivery.pins import Pin
from delivery.policy import Policy
from delivery.position import Position
from delivery.watching import FEEDBACK, Sources, Span, Traffic, empty
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
