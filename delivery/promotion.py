"""The rules of the road: what may be pinned where.

staging takes any published bundle with a pass, canary only what stands in staging, production only what stands in
canary. A bundle that was rolled back is quarantined until somebody releases it with a reason.
"""

from dataclasses import dataclass

from delivery.digests import short
from delivery.gitops import Change
from delivery.pins import ENVIRONMENTS, QUARANTINE, Pin, pin_path
from delivery.registry import Version
from delivery.report import Report, check_pass
from delivery.road import Road
from delivery.trailers import evidence
from segue.errors import InputError, PromotionError, SegueError

CANARY_WEIGHT = 10
_BEFORE = dict(zip(ENVIRONMENTS[1:], ENVIRONMENTS[:-1], strict=True))


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody asks to be promoted.

    Attributes:
        environment: Where to.
        digest: Which bundle; None for the one that stands in the environment before, or was published last.
        version: The same by its number in the registry.
        weight: Share of requests in percent, of the canary; None for its default.
        release: Why a quarantined bundle may be promoted again; "" leaves the quarantine closed.
        asked_by: Who or what asks, where that is not the commit's author.
    """

    environment: str
    digest: str | None = None
    version: int | None = None
    weight: int | None = None
    release: str = ""
    asked_by: str = ""


@dataclass(frozen=True, slots=True)
class Move:
    """What became of an environment.

    Attributes:
        environment: Which.
        pin: What stands there now.
        before: What stood there until then.
        commit: The commit that stands now.
        notes: Sentences for the person who asked.
    """

    environment: str
    pin: Pin
    before: Pin
    commit: str
    notes: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether there was anything to do."""
        return self.pin != self.before


def promote(road: Road, order: Order) -> Move:
    """Pin a bundle in an environment by one commit.

    Called again after a crash it finishes what was begun, or says that all of it stands.

    Raises:
        PromotionError: A rule forbids it; nothing was changed.
        BundleError: The bundle in the store does not verify; nothing was changed.
    """
    version = _wanted(road, order)
    digest = version.entry.digest
    report = _judged(road, version)
    road.store.verify(digest)
    pin = Pin(digest, version.number, report.digest, _weight(order))
    before, production = Pin(), Pin()

    def decide(commit: str) -> Change | None:
        nonlocal before, production
        before, production = road.pin(commit, order.environment), road.pin(commit, "production")
        _check_way(road, commit, order, digest)
        done = before == pin and not road.quarantine(commit).find(digest)
        return None if done else _promotion(road, commit, order, pin, report)

    commit = road.repository.change(decide)
    notes = [*reservations(report, production), *mirror(road, commit)]
    return Move(order.environment, pin, before, commit, tuple(notes))


def verified(road: Road, pin: Pin) -> Report:
    """Return the passing judgement of a pinned bundle after reading every byte of both in the store.

    Raises:
        SegueError: Either is missing, was changed, or was no pass.
    """
    report = Report.parse(road.store.report(pin.digest, pin.report), f"The report of {pin.digest}")
    check_pass(report, pin.digest)
    road.store.verify(pin.digest)
    return report


def mirror(road: Road, commit: str) -> list[str]:
    """Let the registry's aliases say what the pins say; return a sentence if the registry cannot be asked.

    The pins are the truth, so a registry that is away holds nobody up.
    """
    try:
        for environment in ENVIRONMENTS:
            pin = road.pin(commit, environment)
            if pin and road.registry.marked(environment) != pin.version:
                road.registry.mark(environment, pin.version)
    except SegueError as error:
        return [f"The pin is committed, and its alias in the registry is not set yet: {error}"]
    return []


def check_environment(environment: str) -> None:
    """Raise unless there is such an environment.

    Raises:
        InputError: There is none.
    """
    if environment not in ENVIRONMENTS:
        raise InputError(f"There is no environment {environment!r}; there are {', '.join(ENVIRONMENTS)}.")


def _wanted(road: Road, order: Order) -> Version:
    """Return the version that an order means."""
    check_environment(order.environment)
    if order.version is not None:
        return _current(road, order.version)
    digest = order.digest
    if digest is None and order.environment in _BEFORE:
        digest = _standing_before(road, order.environment)
    found = road.registry.find(digest) if digest else road.registry.newest()
    if found is None:
        missing = f"the bundle {digest}" if digest else "any bundle"
        raise PromotionError(f"The registry does not know {missing}; publish it with: segue publish --help")
    return found


def _current(road: Road, number: int) -> Version:
    """Return a version by its number; one that was judged anew since then is not the word on its bundle any more."""
    found = road.registry.get(number)
    if found is None:
        raise PromotionError(f"The registry has no version {number}; segue status and segue audit show those in use.")
    newest = road.registry.find(found.entry.digest)
    if newest is not None and newest.number != number:
        raise PromotionError(
            f"The bundle of version {number} was judged again, as version {newest.number} with the verdict "
            f"{newest.entry.verdict}; promote that one."
        )
    return found


def _standing_before(road: Road, environment: str) -> str:
    previous = _BEFORE[environment]
    pin = road.pin(road.repository.head(), previous)
    if not pin:
        raise PromotionError(f"Nothing is pinned in {previous}; {environment} takes only what stands there.")
    return pin.digest


def _judged(road: Road, version: Version) -> Report:
    """Return the judgement of a version, which has to be a pass."""
    entry = version.entry
    if entry.verdict == "pass":
        report = Report.parse(road.store.newest_report(entry.digest, entry.report), f"The report of {entry.digest}")
    else:  # the sentence quotes the reason, whoever touched the copy beside the bundle
        report = Report.parse(road.store.report(entry.digest, entry.report), f"The report of {entry.digest}")
    check_pass(report, entry.digest)
    return report


def _weight(order: Order) -> int:
    if order.weight is None:
        return CANARY_WEIGHT if order.environment == "canary" else 100
    if order.environment != "canary":
        raise InputError(f"A weight is the canary's share of requests; {order.environment} has none to set.")
    if not 0 <= order.weight <= 100:
        raise InputError(f"The weight {order.weight} is not a share of requests from 0 to 100 percent.")
    return order.weight


def _check_way(road: Road, commit: str, order: Order, digest: str) -> None:
    quarantined = road.quarantine(commit).find(digest)
    if quarantined and not order.release.strip():
        raise PromotionError(
            f"The bundle {digest} was rolled back from {quarantined.environment} ({quarantined.reason}) and is "
            'quarantined; to promote it all the same, say why: --release-quarantine "reason".'
        )
    if order.release.strip() and not quarantined and road.pin(commit, order.environment).digest != digest:
        raise PromotionError(f"The bundle {digest} is not quarantined; promote it without --release-quarantine.")
    previous = _BEFORE.get(order.environment)
    if road.pin(commit, order.environment).digest == digest:
        return  # another share of what stands there already; staging may have gone on to the next one
    standing = road.pin(commit, previous).digest if previous else digest
    if standing != digest:
        there = f"{standing} does" if standing else "nothing does"
        raise PromotionError(
            f"{order.environment} takes only what stands in {previous}, and {there}, not {digest}; "
            f"promote it to {previous} first."
        )


def _promotion(road: Road, commit: str, order: Order, pin: Pin, report: Report) -> Change:
    environment = order.environment
    files = {pin_path(environment): pin.to_yaml(environment)}
    trailers = evidence("promote", environment, pin, report.content.verdict, order.asked_by)
    quarantine = road.quarantine(commit)
    if quarantine.find(pin.digest):
        files[QUARANTINE] = quarantine.without(pin.digest).to_yaml()
        trailers["Segue-Release"] = order.release
    share = f" at {pin.weight} %" if environment == "canary" else ""
    subject = f"Promote version {pin.version} ({short(pin.digest)}) to {environment}{share}"
    return Change(files, subject, report.content.reason, trailers)


def reservations(report: Report, production: Pin) -> list[str]:
    """Return what to know of a passing judgement before listeners get the bundle.

    Args:
        report: The judgement.
        production: What stands in production before the bundle does.
    """
    content, standing, notes = report.content, production.digest, []
    if standing and standing not in (content.incumbent, content.bundle):
        against = short(content.incumbent) if content.incumbent else "no incumbent"
        notes.append(f"It was judged against {against}, and production has {short(standing)} now.")
    if content.foreign_dataset:
        notes.append(
            "It was judged on a dataset that it was not trained on; whether it had seen those playlists is not known."
        )
    return notes
