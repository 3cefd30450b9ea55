"""Where a promotion stands, told from Git alone: whoever is killed, the next one goes on from here."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from delivery.digests import short
from delivery.pins import Pin, pin_path
from delivery.policy import POLICY, Policy
from delivery.road import Road
from segue.errors import PromotionError

Stage = Literal["idle", "staging", "canary", "handover"]


@dataclass(frozen=True, slots=True)
class Position:
    """Where a promotion stands.

    Attributes:
        stage: ``staging``: the candidate is tried there; ``canary``: it has the canary's share; ``handover``: it is
            pinned in production, and the canary still has a share; ``idle``: nothing is on its way.
        pin: Of the candidate; the empty one where there is none.
        production: What stands in production.
        begun: When this step's commit was made, in seconds since 1970.
        commit: That commit.
        why: Why it is idle, in a sentence.
    """

    stage: Stage
    pin: Pin
    production: Pin
    begun: float = 0.0
    commit: str = ""
    why: str = ""

    @property
    def environment(self) -> str:
        """Which environment is looked at."""
        return "production" if self.stage == "handover" else self.stage

    @property
    def name(self) -> str:
        """The step as people call it."""
        return f"canary at {self.pin.weight} %" if self.stage == "canary" else self.stage


def read_policy(road: Road, commit: str) -> Policy:
    """Return the policy as of a commit."""
    return Policy.from_yaml(road.repository.read(commit, POLICY))


def locate(road: Road, commit: str, again: bool = False) -> Position:
    """Return where the promotion stands as of a commit.

    Args:
        road: Whose pins.
        commit: As of which.
        again: Try a candidate that went back undecided once more.
    """
    staging, canary, production = (road.pin(commit, name) for name in ("staging", "canary", "production"))
    if canary and canary.digest == production.digest and canary.weight:
        return _at(road, commit, "handover", canary, production, "production")
    if canary and canary.digest != production.digest and _on_its_way(road, commit, canary):
        # Against a production that changed meanwhile, everything is counted anew.
        return _at(road, commit, "canary", canary, production, "canary", "production")
    if why := _taken_out(road, commit, staging, production):
        return Position("idle", Pin(), production, why=why)
    if why := _rest(road, commit, staging, production, again):
        return Position("idle", staging, production, why=why)
    return _at(road, commit, "staging", staging, production, "staging")


def _at(road: Road, commit: str, stage: Stage, pin: Pin, production: Pin, *environments: str) -> Position:
    last = road.repository.history(commit, *(pin_path(name) for name in environments))[0]
    return Position(stage, pin, production, _made(road, last), last)


def _made(road: Road, commit: str) -> float:
    """Return when a commit was made, in seconds since 1970."""
    return datetime.fromisoformat(road.repository.describe(commit)["date"]).timestamp()


def held(road: Road, commit: str, since: float, until: float) -> float:
    """Return for how many of the seconds between two moments the policy held everything, as Git tells it."""
    total, end = 0.0, until
    for one in road.repository.history(commit, POLICY):
        begin = max(since, _made(road, one))
        if begin < end and _stopped(road, one):
            total += end - begin
        end = min(end, begin)
        if end <= since:
            break
    return total


def _stopped(road: Road, commit: str) -> bool:
    try:
        return bool(read_policy(road, commit).hold)
    except PromotionError:  # by a policy that cannot be read nothing went on either
        return True


def _on_its_way(road: Road, commit: str, canary: Pin) -> bool:
    """Return whether the canary's bundle is promoted now; without a share it may be a leftover."""
    if canary.weight:
        return True
    last = road.repository.history(commit, pin_path("canary"))[0]
    return road.repository.describe(last).get("Segue-Action") == "promote" and not road.quarantine(commit).find(
        canary.digest
    )


def _taken_out(road: Road, commit: str, staging: Pin, production: Pin) -> str:
    """Return that staging holds production's bundle because the one before it was taken back, or ""."""
    if not staging or staging.digest != production.digest:
        return ""
    told = road.repository.describe(road.repository.history(commit, pin_path("staging"))[0])
    bad = told.get("Segue-Quarantined") or told.get("Segue-Returned")
    reason = told.get("Segue-Reason", "no reason given")
    return f"Nothing is on its way: {short(bad)} was taken out of staging ({reason})." if bad else ""


def _rest(road: Road, commit: str, staging: Pin, production: Pin, again: bool) -> str:
    """Return why nothing is on its way, or ""."""
    if not staging:
        return "Nothing is pinned in staging."
    if staging.digest == production.digest:
        return f"Version {staging.version} ({short(staging.digest)}) stands in production."
    if bad := road.quarantine(commit).find(staging.digest):
        return f"Version {staging.version} stands in staging and is quarantined ({bad.reason})."
    if not again and _went_back(road, commit, staging):
        return f"Version {staging.version} went back undecided; try it once more with: segue advance --again"
    return ""


def _went_back(road: Road, commit: str, staging: Pin) -> bool:
    """Return whether the candidate went back since it was put into staging."""
    paths = [pin_path(name) for name in ("staging", "canary")]
    for one in road.repository.history(commit, *paths):
        told = road.repository.describe(one)
        if told.get("Segue-Returned") == staging.digest:
            return True
        if told.get("Segue-Action") == "promote" and told.get("Segue-Environment") == "staging":
            return False
    return False


def fallback(road: Road, commit: str, environment: str, bad: str) -> Pin:
    """Return what staging or the canary holds while nothing is tried there: production's bundle, without a share."""
    weight = 0 if environment == "canary" else 100
    production = road.pin(commit, "production")
    return replace(Pin() if production.digest == bad else production, weight=weight)
