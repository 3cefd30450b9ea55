"""A world for promotions: pins take effect at once, services and listeners behave as one wishes, the clock is ours."""

import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from delivery.advance import Promoter, Step, advance, follow
from delivery.gitops import Change
from delivery.load import Load
from delivery.pins import Pin, pin_path
from delivery.policy import POLICY, Policy
from delivery.probing import Answer, Question
from delivery.road import Road
from delivery.watching import Sources, Span, Traffic, WatchError
from evaluation.sequential import Blocks

BEGIN = 1_800_000_000.0
AHEAD = 8


@dataclass(frozen=True, slots=True)
class Ways:
    """How a bundle behaves: each the chance that an answer is such a one."""

    errors: float = 0.001
    slow: float = 0.01
    skipped: float = 0.3
    unliked: float = 0.5
    status: int = 200
    seconds: float = 0.002
    stuck: bool = False


@dataclass
class World:
    """Everything around a promotion that is not Git."""

    road: Road
    patch: pytest.MonkeyPatch
    rate: float = 200.0
    ways: dict[str, Ways] = field(default_factory=dict)
    time: float = BEGIN
    prometheus: str = "up"
    ready: bool = True
    log: list[str] = field(default_factory=list)
    _pins: dict[tuple[str, str], Pin] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.sleep(0)

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        """Turn the clock, Git's too; it runs ahead, so that a step takes few looks and the tests little of Git."""
        self.time += AHEAD * seconds
        for who in ("AUTHOR", "COMMITTER"):
            self.patch.setenv(f"GIT_{who}_DATE", f"@{int(self.time)} +0000")

    def rule(self, **fields: object) -> None:
        """Commit a policy."""
        given = {"settle_seconds": 0, "attribution_seconds": 15, **fields}
        data = Policy(**given).model_dump_json().encode()  # type: ignore[arg-type]  # JSON is YAML
        self.road.repository.change(lambda _: Change({POLICY: data}, "Say how to promote"))

    def promoter(self, asked_by: str = "") -> Promoter:
        return Promoter(self.road, self, Sources(self, Feedback(self)), self.now, asked_by)

    def advance(self, again: bool = False) -> Step:
        return advance(self.promoter(), again)

    def follow(self, again: bool = False) -> Step:
        return follow(self.promoter(), self.log.append, self.sleep, again)

    def behaviour(self, environment: str) -> Ways:
        return self.ways.get(self.digest(environment), Ways())

    def pin(self, environment: str) -> Pin:
        """Return what stands now; asked for every answer, so that Git is asked only where its branch has moved."""
        moved = (self.road.repository.path / ".git" / "refs" / "heads" / "main").read_text()
        if (moved, environment) not in self._pins:
            self._pins[moved, environment] = self.road.pin(moved.strip(), environment)
        return self._pins[moved, environment]

    def digest(self, environment: str) -> str:
        return self.pin(environment).digest

    def weight(self) -> int:
        return self.pin("canary").weight

    def ask(self, environment: str, question: Question) -> Answer:
        """Answer as a service does."""
        if not self.ready or not self.digest(environment):
            raise WatchError(f"Nobody answers at {environment}.")
        ways = self.behaviour(environment)
        first = 0 if ways.stuck else zlib.crc32(repr(question).encode()) % 1000
        uris = tuple(f"track:{first + place}" for place in range(10))
        return Answer(ways.status, self.digest(environment), uris, ways.seconds)

    def load(self, environment: str, digest: str, asked: Sequence[Question], rate: float, seconds: float) -> Load:
        """Answer under load as at any other time, in no time."""
        ways, sent = self.behaviour(environment), int(rate * seconds)
        status = ways.status if self.ready else 0
        return Load(seconds, [ways.seconds] * (sent if status == 200 else 0), statuses=Counter({status: sent}))

    def read(self, since: float, until: float, policy: Policy) -> Traffic:
        """Count as Prometheus does: the same blocks at every look."""
        if self.prometheus == "away":
            raise WatchError("Prometheus does not answer.")
        span = Span(since, policy.look_seconds, int((until - since) // policy.look_seconds))
        trouble = "Prometheus has scraped no pod of canary for 90 s." if self.prometheus == "gap" else ""
        made = {name: self.blocks(name, span, self.rate) for name in ("errors", "slow")}
        return Traffic(span, made, trouble)

    def draws(self, since: float, until: float, policy: Policy) -> tuple[float, float]:
        """Count every answer as a listener of its own."""
        total = self.read(since, until, policy).blocks["errors"]
        share = 0.5 if self.prometheus == "mismatch" else 1.0
        return float(total.control.sum()), share * float(total.canary.sum())

    def blocks(self, name: str, span: Span, rate: float) -> Blocks:
        """Draw what was answered, the same for the same time."""
        counts, weight = np.zeros((4, span.blocks)), self.weight()
        chances = [getattr(self.behaviour(environment), name) for environment in ("production", "canary")]
        for block in range(span.blocks):
            draw = np.random.default_rng([zlib.crc32(name.encode()), int(span.start) + block * span.block])
            canary = draw.binomial(int(rate * span.block), weight / 100)
            arms = (int(rate * span.block) - canary, canary)
            for arm, chance in enumerate(chances):
                counts[2 * arm : 2 * arm + 2, block] = arms[arm], draw.binomial(arms[arm], chance)
        return Blocks(*counts)


@dataclass(frozen=True, slots=True)
class Feedback:
    """Half of the answers get a reaction."""

    world: World

    def read(self, digests: tuple[str, str], span: Span, attribution: int) -> dict[str, Blocks]:
        assert digests == tuple(map(self.world.digest, ("production", "canary")))
        return {name: self.world.blocks(name, span, self.world.rate / 2) for name in ("skipped", "unliked")}


def subjects(road: Road, environment: str = "canary") -> list[str]:
    """Return what was done to an environment, oldest first, without names of bundles."""
    commits = road.repository.history(road.repository.head(), pin_path(environment))
    return [road.repository.describe(one)["subject"].split(") ")[-1] for one in reversed(commits)]
