"""What stands in the environments, with the bundle on this machine, and who put it there."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from delivery.approval import APPROVAL, PROPOSAL
from delivery.digests import hex_of, short
from delivery.pins import ENVIRONMENTS, QUARANTINE, Pin, pin_path
from delivery.policy import POLICY
from delivery.report import Report
from delivery.road import Road
from segue.bundle import REPORT, SIGNATURE, Bundle
from segue.errors import BundleError, InputError, PromotionError
from segue.files import write_whole

_EVIDENCE = ("Smoke", "Latency", "Shadow", "Load", "Errors", "Slow", "Skipped", "Unliked")


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands in one environment; all but its name empty while nothing does.

    Attributes:
        environment: Its name.
        digest: The bundle's.
        version: Of the registry.
        verdict: Of the report that the pin names.
        path: The verified bundle on this machine.
        weight: Share of requests in percent.
        commit: The commit that pinned it.
        synthetic: Whether it learned from made-up playlists.
    """

    environment: str
    digest: str = ""
    version: int = 0
    verdict: str = ""
    path: str = ""
    weight: int = 0
    commit: str = ""
    synthetic: bool = False

    def to_json(self) -> dict[str, object]:
        """Return it as ``segue status --format json`` prints it."""
        return asdict(self)

    def to_text(self) -> str:
        """Return it in one line."""
        if not self.digest:
            return f"{self.environment:<10}  nothing is pinned"
        made_up = "  synthetic" if self.synthetic else ""
        return (
            f"{self.environment:<10}  version {self.version:<3}  {short(self.digest)}  {self.verdict}  "
            f"{self.weight:>3} %{made_up}  {self.path}"
        )


def standing(road: Road, environment: str) -> Standing:
    """Return what stands in an environment, after fetching its bundle from the store where it is not here yet.

    Raises:
        InputError: There is no such environment.
        SegueError: The pin, its report or its bundle cannot be trusted.
    """
    if environment not in ENVIRONMENTS:
        raise InputError(f"There is no environment {environment!r}; there are {', '.join(ENVIRONMENTS)}.")
    commit = road.repository.head() if road.repository.exists else ""
    pin = road.pin(commit, environment)
    if not pin:
        return Standing(environment)
    report = judgement(road, pin)
    bundle = fetch(road, pin, report)
    pinned = road.repository.history(commit, pin_path(environment))[0]
    synthetic = bundle.manifest.synthetic or report.content.synthetic
    return Standing(
        environment, pin.digest, pin.version, report.content.verdict, str(bundle.path), pin.weight, pinned, synthetic
    )


def judgement(road: Road, pin: Pin) -> Report:
    """Return the report that a pin names.

    Raises:
        PromotionError: It judges another bundle.
    """
    report = Report.parse(road.store.report(pin.digest, pin.report), f"The report of {pin.digest}")
    if report.content.bundle != pin.digest:
        raise PromotionError(
            f"The pinned report {pin.report} judges {report.content.bundle}, not {pin.digest}; "
            "mend the pin by a commit."
        )
    return report


def fetch(road: Road, pin: Pin, report: Report) -> Bundle:
    """Return a pinned bundle from this machine's cache, every byte verified, fetched where it is missing or damaged."""
    place = road.cache / hex_of(pin.digest)
    try:
        bundle = Bundle.open(place, pin.digest)
    except BundleError:
        bundle = road.store.fetch(pin.digest, place)
    _put_beside(bundle.file(REPORT), report.data)
    if (signature := road.store.signature(pin.digest)) is not None:
        _put_beside(bundle.file(SIGNATURE), signature)
    return bundle


def fetch_to(road: Road, environment: str | None, version: int | None, target: Path) -> str:
    """Copy what stands in ``environment``, or else the ``version`` of the registry, to a folder; return its digest.

    Returns "" where nothing is pinned in the environment, and makes no folder then.

    Raises:
        InputError: The registry has no such version, or ``target`` holds something else than a bundle.
        SegueError: The store does not hold the bundle, or holds another one.
    """
    digest = named(road, environment, version)
    if not digest:
        return ""
    _refuse_other(target)
    return road.store.fetch(digest, target).digest


def _refuse_other(target: Path) -> None:
    """Refuse to replace anything but an earlier bundle."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    try:
        Bundle.open(target)
    except BundleError as error:
        raise InputError(f"{target} holds something else than a bundle; name a new or empty folder.") from error


def named(road: Road, environment: str | None, version: int | None) -> str:
    """Return the digest of what stands in ``environment``, "" for nothing, or else of the registry's ``version``.

    Raises:
        InputError: The registry has no such version.
    """
    if environment is None:
        return _registered(road, version or 0)
    return road.pin(road.repository.head(), environment).digest


def _registered(road: Road, number: int) -> str:
    found = road.registry.get(number)
    if found is None:
        raise InputError(f"The registry has no version {number}; segue status and segue audit show those in use.")
    return found.entry.digest


def _put_beside(path: Path, data: bytes) -> None:
    if not path.is_file() or path.read_bytes() != data:
        write_whole(path, data)


@dataclass(frozen=True, slots=True)
class Event:
    """One commit of the pins, as its trailers tell it.

    Attributes:
        author: Who made the commit.
        asked_by: Who or what asked for it, where that is somebody else.
        weight: The canary's share from then on, in percent.
        verdict: Of the report that the pin names.
        judged: Which step was judged before, and how.
        evidence: Guard or check to its numbers.
    """

    commit: str
    date: str
    author: str
    action: str
    environment: str
    digest: str
    version: str
    verdict: str
    reason: str
    weight: str = ""
    asked_by: str = ""
    judged: str = ""
    evidence: Mapping[str, str] = field(default_factory=dict)

    def to_text(self) -> str:
        """Return it in one line, and one more for each piece of evidence."""
        what = f"version {self.version} ({short(self.digest)}) {self.verdict}".rstrip() if self.digest else ""
        what += f" at {self.weight} %" if self.environment == "canary" and self.weight else ""
        parts = (
            self.date,
            self.commit[:10],
            f"{self.action:<8}",
            f"{self.environment:<10}",
            what,
            f"{self.author}, asked by {self.asked_by}" if self.asked_by else self.author,
            self.reason,
        )
        lines = [
            f"    {name}: {told}" for name, told in ({"judged": self.judged} | dict(self.evidence)).items() if told
        ]
        return "\n".join(["  ".join(part for part in parts if part), *lines])


def audit(road: Road) -> list[Event]:
    """Return every change of pins and quarantine, newest first; one made by hand has the action ``by hand``."""
    if not road.repository.exists:
        return []
    paths = [pin_path(environment) for environment in ENVIRONMENTS]
    commits = road.repository.history(road.repository.head(), *paths, QUARANTINE, PROPOSAL, APPROVAL, POLICY)
    return [_event(road, commit) for commit in commits]


def _event(road: Road, commit: str) -> Event:
    told = road.repository.describe(commit)
    action = told.get("Segue-Action", "by hand")
    reason = (
        told.get("Segue-Reason") or told.get("Segue-Release") or ("" if "Segue-Action" in told else told["subject"])
    )
    return Event(
        commit,
        told["date"],
        told["author"],
        action,
        told.get("Segue-Environment", ""),
        told.get("Segue-Digest", ""),
        told.get("Segue-Version", ""),
        told.get("Segue-Verdict", ""),
        reason,
        told.get("Segue-Weight", ""),
        told.get("Segue-Asked-By", ""),
        ": ".join(filter(None, [told.get("Segue-Judged", ""), told.get("Segue-Judgement", "")])),
        {name: told[f"Segue-{name}"] for name in _EVIDENCE if f"Segue-{name}" in told},
    )
