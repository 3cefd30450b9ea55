"""A promotion, one step at a time: look where Git says that it stands, ask how it fares, and make at most one commit.

    staging ─▶ canary at 0 ─▶ 1 ─▶ 5 ─▶ 25 ─▶ 50 ─▶ production ─▶ canary back to 0

Nothing is remembered but in Git. Killed between any two actions, the next call finds the same place and goes on.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from delivery.approval import missing_approval, proposal, proposed
from delivery.digests import short
from delivery.git import GitError
from delivery.gitops import Change
from delivery.pins import Pin, pin_path
from delivery.policy import Policy
from delivery.position import Position, held, locate, read_policy
from delivery.probing import Finding, Question, Services, probe, questions, shadow
from delivery.promotion import mirror, reservations, verified
from delivery.report import Report, check_pass
from delivery.road import Road
from delivery.rollback import Reason, give_back, roll_back
from delivery.status import fetch
from delivery.trailers import evidence
from delivery.under_load import measured, under_load
from delivery.watching import Sources
from evaluation.online import judge
from segue.errors import PromotionError, SegueError

Outcome = Literal["rest", "moved", "waits", "rolled back", "went back"]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Promoter:
    """Who promotes, and by what means.

    Attributes:
        road: Where the bundles and the pins are.
        services: Asks an environment.
        sources: Tell how a canary fares.
        now: The time, in seconds since 1970.
        asked_by: Who or what asked; kept in every commit.
    """

    road: Road
    services: Services
    sources: Sources
    now: Callable[[], float]
    asked_by: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """What came of one look.

    Attributes:
        outcome: ``moved``, ``waits``, ``rolled back``, ``went back``, or ``rest`` where nothing is on its way.
        position: Where the promotion stood.
        reason: Why, in a sentence.
        commit: The commit that was made, or "".
        notes: Further sentences.
    """

    outcome: Outcome
    position: Position
    reason: str
    commit: str = ""
    notes: tuple[str, ...] = ()

    @property
    def over(self) -> bool:
        """Whether another look would change nothing."""
        return self.outcome not in ("moved", "waits")

    @property
    def arrived(self) -> bool:
        """Whether the newest candidate stands in production."""
        pins = (self.position.pin.digest, self.position.production.digest)
        return self.outcome == "rest" and bool(pins[0]) and pins[0] == pins[1]

    @property
    def exit_code(self) -> int:
        """0: it moved or has arrived; 3: it waits for evidence; 4: it was taken back; 1: nothing is on its way."""
        taken_back = dict.fromkeys(("rolled back", "went back"), 4)
        return 0 if self.arrived else {"moved": 0, "waits": 3, "rest": 1, **taken_back}[self.outcome]

    def to_text(self) -> str:
        """Return it in one line."""
        made = f" (commit {self.commit[:10]})" if self.commit else ""
        return f"{self.position.name}: {self.outcome}{made}: {self.reason}"


def advance(promoter: Promoter, again: bool = False, since: float | None = None) -> Step:
    """Take the next step of the promotion that is on its way, if there is one and the evidence allows it.

    Args:
        promoter: Who promotes.
        again: Try a candidate once more that went back undecided.
        since: From when on somebody has looked, in seconds since 1970; if nobody says, from now on. A step that no
            listener meets may stand for days and harms nobody, and one refused answer takes no production back: the
            deadline of staging, of a canary without a share and of the handover counts from then.

    Raises:
        SegueError: Git cannot be asked or refuses.
    """
    road = promoter.road
    commit = road.repository.head()
    policy, position = read_policy(road, commit), locate(road, commit, again)
    if position.stage == "idle":
        return Step("rest", position, position.why)
    finding = _judge(promoter, commit, position, policy)
    if finding.word == "fail":
        return _fail(promoter, position, finding)
    if policy.hold:
        return Step("waits", position, f"Held ({policy.hold}). {finding.reason}")
    if finding.word == "pass":
        return _go_on(promoter, position, policy, finding, again)
    if _overdue(promoter, commit, position, policy, since):
        return _give_back(promoter, position, policy, finding)
    return Step("waits", position, finding.reason)


def _overdue(promoter: Promoter, commit: str, position: Position, policy: Policy, since: float | None) -> bool:
    """Return whether a step was undecided for too long; while it is held, or proven and not approved, it is not."""
    now, begun = promoter.now(), position.begun
    if position.stage != "canary" or not position.pin.weight:
        begun = max(begun, now if since is None else since)
    if now < begun + policy.deadline_seconds or proposed(promoter.road, commit, position):
        return False
    return now >= begun + policy.deadline_seconds + held(promoter.road, commit, begun, now)


def follow(promoter: Promoter, say: Say, sleep: Callable[[float], None], again: bool = False) -> Step:
    """Take step after step until the promotion is over, looking as often as the policy says.

    Git that is away is asked again until a step's deadline is over; the first step decides whether to try ``again``.

    Raises:
        SegueError: Git stayed away, or something cannot be used as it is.
    """
    policy, began, away_since, told = Policy(), promoter.now(), 0.0, ""
    while True:
        try:
            policy = read_policy(promoter.road, promoter.road.repository.head())
            step = advance(promoter, again, began)
        except GitError as error:
            away_since = away_since or promoter.now()
            if promoter.now() >= away_since + policy.deadline_seconds:
                raise
            say(f"Git is away, and is asked again: {error}")
        else:
            away_since, again = 0.0, again and step.outcome == "waits"
            if (line := step.to_text()) != told:
                say(line)
            told = line
            if step.over:
                return step
            for note in step.notes:
                say(note)
            if step.outcome == "moved":
                continue
        sleep(policy.look_seconds)


def _judge(promoter: Promoter, commit: str, position: Position, policy: Policy) -> Finding:
    """Return how the candidate fares where it stands."""
    road, pin = promoter.road, position.pin
    if bad := road.quarantine(commit).find(pin.digest):
        return Finding("fail", f"It is quarantined: {bad.reason}")
    if position.stage == "canary" and pin.weight:
        verdict = judge(
            promoter.sources.watch(position, policy, promoter.now()), pin.weight, policy.bars(), policy.levels()
        )
        return Finding(verdict.word, verdict.reason, {one.name.title(): one.to_text() for one in verdict.comparisons})
    try:
        report = _newest_pass(road, pin)
        bundle = fetch(road, pin, report)
    except PromotionError as error:
        return Finding("fail", str(error))
    except SegueError as error:  # the store is away, or lacks what was pinned
        return Finding("inconclusive", str(error))
    asked = questions(bundle, policy.smoke_playlists)
    finding = probe(promoter.services, position.environment, pin.digest, asked, policy)
    if finding.word != "pass" or position.stage != "staging":
        return finding
    if position.production:
        finding = finding.then(shadow(promoter.services, (pin.digest, position.production.digest), asked, policy))
    if finding.word != "pass" or policy.hold or not policy.load_seconds:  # who is held is not asked all day
        return finding
    return finding.then(_under_load(promoter, position, asked, policy))


def _under_load(promoter: Promoter, position: Position, asked: Sequence[Question], policy: Policy) -> Finding:
    """Return how staging stands a load, which the registry keeps where it settled something.

    The commit carries the figures too, so a registry that is away holds nobody up.
    """
    finding, load = under_load(promoter.services, position.environment, position.pin.digest, asked, policy)
    if finding.word == "inconclusive":
        return finding
    try:
        evidence = measured(load, policy, f"**{finding.word}**: {finding.reason}")
        promoter.road.registry.measured(position.pin.version, f"load {position.environment}", evidence)
    except SegueError as error:
        return replace(finding, reason=f"{finding.reason} The registry does not have these figures: {error}")
    return finding


def _newest_pass(road: Road, pin: Pin) -> Report:
    """Return the judgement of a pinned bundle, which has to be its newest one and a pass."""
    report = Report.parse(road.store.newest_report(pin.digest, pin.report), f"The report of {pin.digest}")
    check_pass(report, pin.digest)
    return report


def _next(position: Position, policy: Policy) -> tuple[str, Pin]:
    """Return which pin is written next."""
    if position.stage == "staging":
        return "canary", replace(position.pin, weight=0)
    if position.stage == "handover":
        return "canary", replace(position.pin, weight=0)
    share = policy.after(position.pin.weight) if position.production else None  # without listeners, none to learn from
    if share is None:
        return "production", replace(position.pin, weight=100)
    return "canary", replace(position.pin, weight=share)


def _go_on(promoter: Promoter, position: Position, policy: Policy, finding: Finding, again: bool) -> Step:
    """Commit the next step, on top of what stands then, if the promotion stands there as it was judged."""
    road = promoter.road
    environment, pin = _next(position, policy)
    missing, lost, said = "", False, False

    def decide(commit: str) -> Change | None:
        nonlocal missing, lost, said
        lost = locate(road, commit, again) != position or bool(road.quarantine(commit).find(pin.digest))
        lost = lost or read_policy(road, commit) != policy
        needed = policy.approval and environment == "production"
        missing = missing_approval(road, commit, position) if needed and not lost else ""
        said = bool(missing) and proposed(road, commit, position)
        if lost or said:
            return None
        return (_proposal if missing else _change)(promoter, position, environment, pin, finding)

    notes: list[str] = []
    if (environment == "canary" and position.stage == "staging") or environment == "production":
        try:
            notes = reservations(verified(road, pin), position.production)
        except SegueError as error:
            return Step("waits", position, str(error))
    commit = road.repository.change(decide)
    if lost:
        return Step("moved", position, "Somebody else was quicker; looking again.")
    if missing:
        return Step("waits", position, missing, "" if said else commit)
    return Step("moved", position, finding.reason, commit, (*notes, *mirror(road, commit)))


def _proposal(promoter: Promoter, position: Position, environment: str, pin: Pin, finding: Finding) -> Change:
    """Return the commit that keeps that everything is proven, while nobody has said yes."""
    more = {"Judged": position.name, "Judgement": finding.word, **finding.evidence}
    trailers = evidence("propose", environment, pin, "pass", promoter.asked_by, **more)
    subject = f"Propose version {pin.version} ({short(pin.digest)}) for {environment}"
    return Change(proposal(position), subject, finding.reason, trailers)


def _change(promoter: Promoter, position: Position, environment: str, pin: Pin, finding: Finding) -> Change:
    more = {"Judged": position.name, "Judgement": finding.word, **finding.evidence}
    trailers = evidence("promote", environment, pin, "pass", promoter.asked_by, **more)
    share = f" at {pin.weight} %" if environment == "canary" else ""
    subject = f"Promote version {pin.version} ({short(pin.digest)}) to {environment}{share}"
    if position.stage == "handover":
        subject = f"Hand all listeners of version {pin.version} ({short(pin.digest)}) over to production"
    return Change({pin_path(environment): pin.to_yaml(environment)}, subject, finding.reason, trailers)


def _fail(promoter: Promoter, position: Position, finding: Finding) -> Step:
    move = roll_back(promoter.road, position.environment, _reason(promoter, position, finding, finding.reason))
    return Step("rolled back", position, finding.reason, move.commit, move.notes)


def _give_back(promoter: Promoter, position: Position, policy: Policy, finding: Finding) -> Step:
    why = f"Undecided after {policy.deadline_seconds:g} s: {finding.reason}"
    given = _reason(promoter, position, finding, why)
    go = roll_back if position.stage == "handover" else give_back
    move = go(promoter.road, position.environment, given)
    return Step("went back", position, why, move.commit, move.notes)


def _reason(promoter: Promoter, position: Position, finding: Finding, why: str) -> Reason:
    more = {"Judged": position.name, "Judgement": finding.word, **finding.evidence}
    return Reason(why, promoter.asked_by, more, bad=position.pin.digest)
