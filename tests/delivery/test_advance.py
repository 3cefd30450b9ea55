"""From staging to production and back, a commit a step: what goes on, what goes back, and what waits."""

import subprocess
from dataclasses import replace

import pytest

from delivery.advance import Step
from delivery.approval import APPROVAL, approve
from delivery.gitops import Change, Repository
from delivery.pins import pin_path
from delivery.promotion import Order, promote
from delivery.road import Road
from delivery.rollback import roll_back
from delivery.status import audit
from segue.bundle import Bundle
from segue.errors import PromotionError
from tests.delivery.conftest import Publish
from tests.delivery.memory_registry import MemoryRegistry
from tests.delivery.world import Ways, World, subjects

TO_PRODUCTION = ["canary at 0 %", "canary at 1 %", "canary at 5 %", "canary at 25 %", "canary at 50 %"]


@pytest.fixture
def world(road: Road, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(road, monkeypatch)


@pytest.fixture
def candidate(world: World, bundles: list[Bundle], publish_bundle: Publish) -> str:
    """One bundle in production and the next one in staging."""
    world.rule()
    publish_bundle(bundles[0])
    for environment in ("staging", "canary", "production"):
        promote(world.road, Order(environment, bundles[0].digest, weight=0 if environment == "canary" else None))
    publish_bundle(bundles[1])
    promote(world.road, Order("staging", bundles[1].digest))
    world.sleep(1000)
    return bundles[1].digest


def test_the_first_model_has_no_listeners_to_learn_from(
    world: World, bundles: list[Bundle], publish_bundle: Publish
) -> None:
    """It is tried in staging and in the canary without a share, and then stands in production."""
    publish_bundle(bundles[0])
    promote(world.road, Order("staging"))
    step = world.follow()
    assert (step.arrived, world.digest("production"), world.weight()) == (True, bundles[0].digest, 0)
    assert subjects(world.road)[1:] == ["to canary at 0 %"]


def test_an_equal_model_goes_through_all_shares_a_commit_each(world: World, candidate: str) -> None:
    """With the evidence of the step before in each commit, and the canary without a share at the end."""
    step = world.follow()
    assert (step.arrived, world.digest("production"), world.weight()) == (True, candidate, 0)
    assert subjects(world.road)[2:] == [*(f"to {share}" for share in TO_PRODUCTION), "over to production"]
    events = [one for one in audit(world.road) if one.digest == candidate]
    assert [one.judged for one in reversed(events)] == [
        "", "staging: pass", *(f"{share}: pass" for share in TO_PRODUCTION), "handover: pass",
    ]  # fmt: skip
    production = next(one for one in events if one.environment == "production")
    assert set(production.evidence) == {"Errors", "Slow", "Skipped", "Unliked"}
    assert all(told.startswith("pass n=") for told in production.evidence.values())
    # Its report names no incumbent: told before the first share, and before all listeners get it.
    assert sum("It was judged against no incumbent" in line for line in world.log) == 2


@pytest.mark.parametrize("ways", [Ways(errors=0.4), Ways(slow=0.5), Ways(skipped=0.8), Ways(unliked=0.95)], ids=str)
def test_a_worse_model_goes_back_and_stays_back(world: World, candidate: str, ways: Ways) -> None:
    """It met no more than the canary's share, and neither a refresh nor another call brings it back."""
    world.ways[candidate] = ways
    good = world.digest("production")
    step = world.follow()
    assert step.outcome == "rolled back"
    assert step.position.pin.weight <= 5
    assert (world.digest("production"), world.digest("canary"), world.weight()) == (good, good, 0)
    assert world.road.quarantine(world.road.repository.head()).find(candidate)
    told = world.road.repository.describe(step.commit)
    assert (told["Segue-Action"], told["Segue-Quarantined"], told["Segue-Judgement"]) == ("rollback", candidate, "fail")
    assert "is quarantined" in world.advance().reason
    assert world.advance().over


@pytest.mark.parametrize("trouble", ["away", "gap", "mismatch"])
def test_nothing_passes_on_what_cannot_be_trusted(world: World, candidate: str, trouble: str) -> None:
    """It waits, goes back at its deadline without a quarantine, and is tried again only when somebody asks."""
    world.rule(deadline_seconds=1200)
    while world.weight() != 5:
        world.advance()
        world.sleep(15)
    world.prometheus = trouble
    step = world.follow()
    assert (step.outcome, step.position.pin.weight) == ("went back", 5)
    assert "Undecided after 1200 s" in step.reason
    assert (world.digest("canary"), world.weight()) == (world.digest("production"), 0)
    assert world.road.quarantine(world.road.repository.head()).entries == ()
    assert "went back undecided" in world.advance().reason
    world.prometheus = "up"
    world.sleep(15)
    assert world.follow(again=True).arrived
    assert world.digest("production") == candidate


def test_a_canary_that_nobody_asks_goes_back(world: World, candidate: str) -> None:
    """No data is never a pass."""
    world.rule(deadline_seconds=1200)
    world.rate = 0
    step = world.follow()
    assert (step.outcome, step.position.pin.weight) == ("went back", 1)
    assert world.digest("production") != candidate


def test_staging_that_is_not_there_yet_is_waited_for(world: World, candidate: str) -> None:
    """Until the deadline after somebody began to ask, however long it has stood there; then it holds production's."""
    world.ready = False
    world.sleep(20_000)
    step = world.advance()
    assert (step.outcome, step.reason) == ("waits", "Nobody answers at staging.")
    assert world.follow().outcome == "went back"
    assert world.digest("staging") == world.digest("production") != candidate


@pytest.mark.parametrize(
    "ways, reason",
    [
        (Ways(status=500), "with 500"),
        (Ways(seconds=0.3), "too slow"),
        (Ways(stuck=True), "get the same continuation"),
    ],
)
def test_staging_stops_what_no_listener_should_meet(world: World, candidate: str, ways: Ways, reason: str) -> None:
    """It is quarantined before the canary has it."""
    world.ways[candidate] = ways
    before = subjects(world.road)
    step = world.follow()
    assert step.outcome == "rolled back"
    assert reason in step.reason
    assert subjects(world.road) == before
    assert world.digest("staging") == world.digest("production")


def test_a_shadow_that_shares_nothing_with_production_is_stopped(world: World, candidate: str) -> None:
    """Production is made to answer everything with one list, which the candidate has none of."""
    world.ways[world.digest("production")] = Ways(stuck=True)
    step = world.follow()
    assert step.outcome == "rolled back"
    assert "in common with production" in step.reason


class PowerCutError(BaseException):
    """No code of ours catches this, as none catches a kill."""


@pytest.mark.parametrize("seed", range(3))
def test_killed_between_any_two_actions_the_next_call_goes_on(
    world: World, candidate: str, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Cut at a random call of Git, before or after it, again and again: the same commits in the same order."""
    import random

    from delivery.git import Git

    luck, whole, cuts = random.Random(seed), Git.try_, 0

    def fused(self: Git, *arguments: str, **more: object) -> tuple[int, bytes, str]:
        nonlocal cuts
        moment = luck.random()
        if moment < 0.012:
            cuts += 1
            raise PowerCutError
        done = whole(self, *arguments, **more)  # type: ignore[arg-type]
        if moment > 0.988:
            cuts += 1
            raise PowerCutError
        return done

    for _ in range(200):
        monkeypatch.setattr(Git, "try_", fused)
        try:
            over = world.follow().over
        except PowerCutError:
            over = False
        monkeypatch.setattr(Git, "try_", whole)
        if over:
            break
    assert cuts > 3
    assert world.digest("production") == candidate
    assert subjects(world.road)[2:] == [*(f"to {share}" for share in TO_PRODUCTION), "over to production"]
    status = ["git", "-C", str(world.road.repository.path), "status", "--porcelain"]
    assert subprocess.run(status, check=True, capture_output=True, text=True).stdout == ""


def test_a_competing_commit_stops_the_step_that_it_overtakes(
    world: World, candidate: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rollback that lands between look and commit is not undone by the promotion."""
    while world.weight() != 5:
        world.advance()
        world.sleep(15)
    change = world.road.repository.change

    def overtaken(decide: object) -> str:
        monkeypatch.setattr(Repository, "change", type(world.road.repository).change)
        monkeypatch.undo()
        roll_back(world.road, "canary", "by hand, meanwhile")
        return change(decide)  # type: ignore[arg-type]

    world.sleep(600)
    monkeypatch.setattr(world.road.repository, "change", overtaken)
    step = world.advance()
    assert (step.outcome, step.commit) == ("moved", "")
    assert (world.digest("canary"), world.weight()) == (world.digest("production"), 0)


def test_a_candidate_that_came_later_waits_for_the_one_in_the_canary(
    world: World, candidate: str, bundles: list[Bundle], publish_bundle: Publish
) -> None:
    """Two promotions never share an environment: the first goes through, then the second."""
    while world.weight() != 5:
        world.advance()
        world.sleep(15)
    publish_bundle(bundles[2])
    promote(world.road, Order("staging", bundles[2].digest))
    assert world.follow().arrived
    events = [one for one in reversed(audit(world.road)) if one.environment == "production"]
    assert [one.digest for one in events] == [bundle.digest for bundle in bundles[:3]]


def test_somebody_else_approves(world: World, candidate: str) -> None:
    """Neither nobody, nor who promotes; the approval is a commit with an author."""
    world.rule(approval=True)
    for _ in range(300):
        step = world.advance()
        world.sleep(15)
        if "somebody else has to say yes" in step.reason:
            break
    assert (step.position.pin.weight, world.digest("production") == candidate) == (50, False)
    world.sleep(2000)
    assert world.advance().outcome == "waits"  # a person may sleep
    approve(world.road, "")
    assert "Segue approved what Segue promotes" in world.advance().reason
    with pytest.raises(PromotionError, match="Only what is in the canary can be approved"):
        approve(world.road, world.digest("production"))
    other = Repository(world.road.repository.path, name="Ana", email="ana@example.org")
    other.change(lambda _: Change({APPROVAL: f"digest: {candidate}\n# Ana\n".encode()}, "Ana says yes"))
    assert world.follow().arrived
    assert "Ana" in {one.author for one in audit(world.road)}


def wait_for_approval(world: World) -> Step:
    """Go on until only somebody's yes is missing."""
    for _ in range(300):
        step = world.advance()
        world.sleep(15)
        if "somebody else has to say yes" in step.reason:
            return step
    raise AssertionError("Nothing was proposed.")


def say_yes(world: World, text: str) -> None:
    """Commit an approval as another person."""
    other = Repository(world.road.repository.path, name="Ana", email="ana@example.org")
    other.change(lambda _: Change({APPROVAL: text.encode()}, "Ana says yes"))


@pytest.mark.parametrize("trouble", ["away", "gap"])
def test_what_is_proven_waits_for_an_approval_however_long(world: World, candidate: str, trouble: str) -> None:
    """One commit says so with the evidence; sources that are away at some look do not take it back after that."""
    world.rule(approval=True, deadline_seconds=1200, weights=(50,))
    step = wait_for_approval(world)
    told = world.road.repository.describe(step.commit)
    assert (told["Segue-Action"], told["Segue-Judged"]) == ("propose", "canary at 50 %")
    assert told["Segue-Digest"] == candidate
    assert told["Segue-Errors"].startswith("pass n=")
    world.sleep(2000)
    assert world.advance().commit == ""
    world.prometheus = trouble
    assert world.advance().outcome == "waits"
    say_yes(world, f"digest: {candidate}\n")
    assert world.advance().outcome == "waits"
    world.prometheus = "up"
    assert world.follow().arrived
    assert [one.action for one in audit(world.road)].count("propose") == 1


def test_what_is_not_proven_goes_back_at_its_deadline_though_it_needs_an_approval(world: World, candidate: str) -> None:
    """Nobody's yes is what it lacks."""
    world.rule(approval=True, deadline_seconds=1200, weights=(50,))
    while world.weight() != 50:
        world.advance()
        world.sleep(15)
    world.prometheus = "away"
    assert (world.follow().outcome, world.weight()) == ("went back", 0)


def test_an_approval_counts_for_the_trial_that_it_was_given_in(world: World, candidate: str) -> None:
    """Released from its quarantine, a bundle needs another yes: what was found meanwhile was bad."""
    world.rule(approval=True, weights=(50,))
    wait_for_approval(world)
    say_yes(world, f"digest: {candidate}\n")
    roll_back(world.road, "canary", "on second thought")
    promote(world.road, Order("staging", candidate, release="the catalogue was at fault"))
    assert "is older than this trial" in wait_for_approval(world).reason
    say_yes(world, f"digest: {candidate}\n# again\n")
    assert world.follow().arrived


def test_the_same_yes_can_be_said_again(world: World, candidate: str) -> None:
    """It is another commit with another author, though the bundle is the same."""
    world.rule(approval=True, weights=(50,))
    wait_for_approval(world)
    first = approve(world.road, "")
    other = Repository(world.road.repository.path, name="Ana", email="ana@example.org")
    second = approve(replace(world.road, repository=other), candidate)
    assert first != second
    assert world.follow().arrived


def test_time_in_which_it_was_held_does_not_count(world: World, candidate: str) -> None:
    """One look that sees nothing, after a long hold, takes nothing back; the deadline goes on from where it was."""
    world.rule(deadline_seconds=1200)
    while world.weight() != 1:
        world.advance()
        world.sleep(15)
    world.rule(deadline_seconds=1200, hold="the party is on")
    world.sleep(2000)
    world.rule(deadline_seconds=1200)
    world.prometheus = "away"
    assert world.advance().outcome == "waits"
    assert world.follow().outcome == "went back"


def test_a_held_promotion_waits_and_still_goes_back(world: World, candidate: str) -> None:
    """Hold is for what is good; what is proven bad has listeners."""
    while world.weight() != 1:
        world.advance()
        world.sleep(15)
    world.rule(hold="the party is on")
    world.sleep(2000)
    assert "Held (the party is on)" in world.advance().reason
    world.ways[candidate] = Ways(errors=0.5)
    assert world.advance().outcome == "rolled back"


def test_blue_green_is_one_share(world: World, candidate: str) -> None:
    """0, then all; judged against limits, since nobody is left to compare with."""
    world.rule(weights=(100,))
    assert world.follow().arrived
    assert subjects(world.road)[2:] == ["to canary at 0 %", "to canary at 100 %", "over to production"]


def test_a_green_that_errs_goes_back_to_blue(world: World, candidate: str) -> None:
    """By one commit that takes its share away."""
    world.rule(weights=(100,))
    world.ways[candidate] = Ways(errors=0.05)
    step = world.follow()
    assert (step.outcome, step.position.pin.weight, world.weight()) == ("rolled back", 100, 0)


def test_a_production_that_does_not_come_up_goes_back(world: World, candidate: str) -> None:
    """The canary loses its share in the same commit, since the same bundle stands there."""
    while world.digest("production") != candidate:
        world.advance()
        world.sleep(15)
    world.ways[candidate] = Ways(status=500)
    before = world.road.repository.head()
    step = world.advance()
    assert step.outcome == "rolled back"
    assert world.road.repository.history(step.commit, ".")[1] == before
    assert (world.digest("production") != candidate, world.weight()) == (True, 0)


def test_a_handover_is_not_taken_back_for_one_refused_answer(world: World, candidate: str) -> None:
    """Nobody looked for longer than the deadline; only who has looked for so long, in vain, takes production back."""
    world.rule(weights=(50,))
    while world.digest("production") != candidate:
        world.advance()
        world.sleep(15)
    world.sleep(20_000)
    for ways, ready in ((Ways(status=503), True), (Ways(), False)):
        world.ways[candidate], world.ready = ways, ready
        assert (world.advance().outcome, world.digest("production")) == ("waits", candidate)
    step = world.follow()
    assert (step.outcome, world.digest("production") == candidate, world.weight()) == ("went back", False, 0)
    assert world.road.quarantine(world.road.repository.head()).find(candidate)


def test_what_staging_was_rolled_back_from_has_not_arrived(world: World, candidate: str) -> None:
    """Asked again, as after a kill, it says so: that staging holds production's bundle is no promotion."""
    world.ways[candidate] = Ways(status=500)
    assert world.follow().exit_code == 4
    step = world.follow()
    assert (step.outcome, step.arrived, step.exit_code) == ("rest", False, 1)
    assert "was taken out of staging (staging answers" in step.reason


def test_a_rollback_needs_nothing_but_git(
    world: World, candidate: str, registry: MemoryRegistry, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    """Store, registry, Prometheus and cluster are away."""
    from delivery.objects import FolderObjects, StoreAwayError

    assert world.follow().arrived

    def away(*_: object) -> bytes:
        raise StoreAwayError("The object store does not answer.")

    for name in ("read", "fetch"):
        monkeypatch.setattr(FolderObjects, name, away)
    registry.away, world.ready, world.prometheus = True, False, "away"
    move = roll_back(world.road, "production", "too loud")
    assert (move.before.digest, move.pin.version) == (candidate, 1)
    assert any("The store was not asked" in note for note in move.notes)
    assert audit(world.road)[0].reason == "too loud"


def test_who_asked_is_kept(world: World, candidate: str) -> None:
    """The author of the commits may be a machine."""
    from delivery.advance import advance

    step = advance(world.promoter("release 12"))
    assert world.road.repository.describe(step.commit)["Segue-Asked-By"] == "release 12"
    assert "asked by release 12" in audit(world.road)[0].to_text()


def test_the_pins_files_are_those_of_the_route(world: World, candidate: str) -> None:
    """Weight and remainder make a whole in every commit on the way."""
    assert world.follow().arrived
    for commit in world.road.repository.history(world.road.repository.head(), pin_path("canary")):
        assert world.road.pin(commit, "canary") is not None
