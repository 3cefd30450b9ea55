"""The way back: one commit, with Git's own memory and nothing else.

Cluster, registry, Prometheus and the object store may all be away. The store is asked whether the older bundle is still
whole, since a pin that no pod can fetch helps nobody; where it does not answer, what was committed after a pass is
believed, and the pods verify every byte before they serve.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from delivery.digests import short
from delivery.gitops import Change
from delivery.objects import StoreAwayError
from delivery.pins import ENVIRONMENTS, QUARANTINE, Pin, Quarantined, pin_path
from delivery.position import fallback
from delivery.promotion import Move, check_environment, mirror, verified
from delivery.road import Road
from delivery.trailers import evidence
from segue.errors import PromotionError, SegueError


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something goes back.

    Attributes:
        text: In a sentence.
        asked_by: Who or what asks.
        evidence: Further trailers, without their ``Segue-``.
        bad: What has to stand there still; "" for whatever stands there.
        request: Name of the request, by which a call made again is told from a new one; "" for a new one every time.
    """

    text: str = ""
    asked_by: str = ""
    evidence: Mapping[str, str] = field(default_factory=dict)
    bad: str = ""
    request: str = ""

    @property
    def why(self) -> str:
        """The sentence, on one line."""
        return " ".join(self.text.split()) or "no reason given"


def roll_back(road: Road, environment: str, reason: Reason | str = "") -> Move:
    """Put an environment back to its last good bundle and quarantine what stands there, by one commit.

    The same commit takes the bad bundle's share from the canary: no listener meets it there either. A request that Git
    shows to be carried out is not carried out again, so a call that was cut off can be made once more.

    Raises:
        PromotionError: Nothing is pinned, or nothing good stood in production before; nothing was changed.
    """
    check_environment(environment)
    given = reason if isinstance(reason, Reason) else Reason(reason)
    before = good = Pin()
    notes: list[str] = []

    def decide(commit: str) -> Change | None:
        nonlocal before, good
        before = good = road.pin(commit, environment)
        notes[:] = filter(None, [_settled(road, commit, environment, given, before)])
        if notes:
            return None
        if not before:
            raise PromotionError(f"Nothing is pinned in {environment}, so nothing can be rolled back.")
        good, verdict = _last_good(road, commit, environment, notes)
        return _change(road, commit, environment, before, good, verdict, given)

    commit = road.repository.change(decide)
    if good != before:
        notes += _still_there(road, commit, environment, before)
    return Move(environment, good, before, commit, (*notes, *mirror(road, commit)))


def _settled(road: Road, commit: str, environment: str, asked: Reason, pin: Pin) -> str:
    """Return why there is nothing to do any more, or ""."""
    if done := _carried_out(road, commit, environment, asked.request):
        return f"The commit {short(done)} has done what {asked.request} asks for; another --request goes further back."
    if asked.bad and pin.digest != asked.bad:
        return f"{environment} does not pin {asked.bad}, so nothing was rolled back."
    return ""


def _carried_out(road: Road, commit: str, environment: str, request: str) -> str:
    """Return the commit by which a request was carried out in an environment, or ""."""
    if not request:
        return ""
    wanted = {"Segue-Action": "rollback", "Segue-Environment": environment, "Segue-Request": request}
    found = road.repository.history(commit, pin_path(environment), saying=f"Segue-Request: {request}")
    return next((one for one in found if wanted.items() <= road.repository.describe(one).items()), "")


def give_back(road: Road, environment: str, reason: Reason) -> Move:
    """Take what could not be decided on out of staging or the canary, by one commit, without a quarantine.

    Raises:
        PromotionError: What stands there cannot be gone back from; nothing was changed.
    """
    before = good = Pin()

    def decide(commit: str) -> Change | None:
        nonlocal before, good
        before = good = road.pin(commit, environment)
        if before.digest != reason.bad:
            return None
        good = fallback(road, commit, environment, before.digest)
        trailers = evidence(
            "return", environment, good, "", reason.asked_by,
            **{"Returned": before.digest, "Reason": reason.why, **reason.evidence},
        )  # fmt: skip
        subject = f"Take version {before.version} ({short(before.digest)}) out of {environment}, undecided"
        return Change({pin_path(environment): good.to_yaml(environment)}, subject, reason.why, trailers)

    commit = road.repository.change(decide)
    return Move(environment, good, before, commit, tuple(mirror(road, commit)))


def _change(road: Road, commit: str, environment: str, bad: Pin, good: Pin, verdict: str, reason: Reason) -> Change:
    entry = Quarantined(bad.digest, environment, reason.why)
    files = {
        pin_path(environment): good.to_yaml(environment),
        QUARANTINE: road.quarantine(commit).with_entry(entry).to_yaml(),
    }
    canary = road.pin(commit, "canary")
    if environment == "production" and canary.digest == bad.digest and canary.weight:
        files[pin_path("canary")] = replace(canary, weight=0).to_yaml("canary")
    trailers = evidence(
        "rollback", environment, good, verdict, reason.asked_by,
        **{"Quarantined": bad.digest, "Reason": reason.why, "Request": reason.request, **reason.evidence},
    )  # fmt: skip
    back = f"back to version {good.version} ({short(good.digest)})" if good else "back to nothing"
    return Change(files, f"Roll {environment} {back}", f"Version {bad.version} is quarantined: {reason.why}", trailers)


def _last_good(road: Road, commit: str, environment: str, notes: list[str]) -> tuple[Pin, str]:
    """Return the newest earlier pin whose bundle is not quarantined and still verifies, and its verdict."""
    notes.clear()
    here = road.pin(commit, environment).digest
    bad = {here, *(entry.digest for entry in road.quarantine(commit).entries)}
    away = _unasked(road, here)
    notes += [away] if away else []
    for earlier in road.repository.history(commit, pin_path(environment)):
        pin = road.pin(earlier, environment)
        if not pin or pin.digest in bad:
            continue
        bad.add(pin.digest)
        try:
            if not away:
                return _without_share(environment, pin), verified(road, pin).content.verdict
        except StoreAwayError as error:
            away = f"The store was not asked whether version {pin.version} is whole: {error}"
            notes.append(away)
        except SegueError as error:
            notes.append(f"Version {pin.version} was passed over: {error}")
        if away and (verdict := _committed_verdict(road, earlier)) == "pass":
            return _without_share(environment, pin), verdict
    if environment != "production":
        return fallback(road, commit, environment, here), ""
    passed_over = " ".join(notes)
    raise PromotionError(
        f"Nothing good stood in {environment} before, so it cannot be rolled back; promote a bundle that passes. "
        f"{passed_over}".strip()
    )


def _unasked(road: Road, digest: str) -> str:
    """Return why the store says nothing of older bundles, or "".

    One that does not even hold what stands now is no store of this environment, such as the default folder of somebody
    who set none.
    """
    try:
        if road.store.holds(digest):
            return ""
    except StoreAwayError as error:
        return f"The store was not asked which older bundle is whole: {error}"
    return (
        f"The store was not asked which older bundle is whole, since {road.store.place} does not even hold what stands "
        "there now; name the right one with SEGUE_STORE."
    )


def _without_share(environment: str, pin: Pin) -> Pin:
    """Return a pin to go back to: what is not on trial has no share of the canary's listeners."""
    return replace(pin, weight=0) if environment == "canary" else pin


def _committed_verdict(road: Road, commit: str) -> str:
    return road.repository.describe(commit).get("Segue-Verdict", "")


def _still_there(road: Road, commit: str, environment: str, bad: Pin) -> list[str]:
    return [
        f"{other} still pins the bundle that was rolled back; segue rollback --environment {other} takes it away."
        for other in ENVIRONMENTS
        if other != environment and road.pin(commit, other).digest == bad.digest
    ]
