"""What a bundle is asked before anybody listens to it: is it there, does it answer, in time, and not like a stranger?

Every question goes through the environment's own address, as a listener's would, so an answer by an old pod shows that
the new ones are not all there yet.
"""

import asyncio
import json
import math
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, Protocol
from urllib.parse import urlsplit

from delivery.load import Load, drive
from delivery.policy import Policy
from delivery.usage import look, since
from delivery.watching import WatchError
from evaluation.agreement import overlap, rank_biased_overlap
from evaluation.online import Word
from evaluation.sequential import rate_interval
from segue.bundle import CATALOGUE, Bundle
from segue.catalogue import Catalogue
from segue.errors import NO_ANSWER

K = 10
SLOW_SHARE = 0.05
"""How many answers may be slow: the budget is one for the 95th percentile."""
_ROUNDS = 5
"""How often the playlists are asked, until the share of slow answers is settled."""
_TIMEOUT = 10
_TITLES = ("rock", "workout", "chill", "country", "throwback", "party", "sleep", "summer")
Question = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of a service.

    Attributes:
        status: Of HTTP.
        digest: Of the bundle that answered.
        uris: What it recommends, best first.
        seconds: How long it took.
    """

    status: int
    digest: str = ""
    uris: tuple[str, ...] = ()
    seconds: float = 0.0


class Services(Protocol):
    """Asks the service of an environment."""

    def ask(self, environment: str, question: Question) -> Answer:
        """Return its answer.

        Raises:
            WatchError: Nobody answers there.
        """
        ...

    def load(self, environment: str, digest: str, asked: Sequence[Question], rate: float, seconds: float) -> Load:
        """Ask ``rate`` questions a second for ``seconds``, whether or not the ones before were answered.

        Every answer is looked through for ``digest``. Nobody answering is no error here: it is counted.
        """
        ...


class HttpServices:
    """Services behind an address with ``{environment}`` in it."""

    def __init__(self, address: str) -> None:
        self._address = address.rstrip("/")

    def ask(self, environment: str, question: Question) -> Answer:
        """Send POST /predict."""
        url = f"{self._url(environment)}/predict"
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(url, json.dumps(question).encode(), headers)  # noqa: S310 - a setting
        begun = time.perf_counter()
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:  # noqa: S310
                told = json.load(response)
                digest = str(told["model"]["digest"])
                uris = tuple(str(track["track_uri"]) for track in told["recommended_tracks"])
        except urllib.error.HTTPError as error:
            error.close()
            return Answer(error.code, seconds=time.perf_counter() - begun)
        except (*NO_ANSWER, ValueError) as error:
            raise WatchError(f"Nobody answers at {url} ({error}).") from error
        except (LookupError, TypeError) as error:
            raise WatchError(f"What answers at {url} is no service of Segue; see SEGUE_SERVICES.") from error
        return Answer(200, digest, uris, time.perf_counter() - begun)

    def load(self, environment: str, digest: str, asked: Sequence[Question], rate: float, seconds: float) -> Load:
        """Send POST /predict, by no proxy, with what one process behind the address used meanwhile."""
        url = self._url(environment)
        place, before = urlsplit(url), look(url)
        secure = place.scheme == "https"
        bodies = [json.dumps(question).encode() for question in asked]
        where = place.hostname or "", place.port or (443 if secure else 80)
        path, expected = f"{place.path}/predict", digest.encode()
        driven = drive(*where, bodies, rate, seconds, path=path, secure=secure, keep=False, expected=expected)
        found = asyncio.run(driven)
        found.usage = since(before, url, found.seconds)
        return found

    def _url(self, environment: str) -> str:
        return self._address.format(environment=environment)


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of the questions.

    Attributes:
        word: As everywhere: ``inconclusive`` is asked again later.
        reason: In a sentence.
        evidence: Name to value, for the commit.
    """

    word: Word
    reason: str
    evidence: dict[str, str] = field(default_factory=dict)

    def then(self, other: "Finding") -> "Finding":
        """Return this pass with what was found after it."""
        return Finding(other.word, f"{self.reason} {other.reason}", {**self.evidence, **other.evidence})


def questions(bundle: Bundle, count: int) -> list[Question]:
    """Return ``count`` playlists of the bundle's own catalogue: titles, strangers, and popular tracks by the handful.

    The same bundle gives the same ones.
    """
    catalogue = Catalogue(bundle.file(CATALOGUE))
    made: list[Question] = [{"name": title, "k": K} for title in _TITLES[: max(1, count // 5)]]
    made.append({"tracks": [{"track_name": "A song that nobody knows", "artist_name": "Nobody"}], "k": K})
    size = len(catalogue)
    for number in range(count - len(made)):
        ids = sorted({(number * (place + 1) + place) % size for place in range(1 + number % min(10, size))})
        made.append({"tracks": [{"track_uri": track.uri} for track in catalogue.tracks(ids)], "k": K})
    return made[:count]


def probe(services: Services, environment: str, digest: str, asked: Sequence[Question], policy: Policy) -> Finding:
    """Ask an environment and judge how it answers."""
    answers: list[Answer] = []
    evidence: dict[str, str] = {}
    finding = Finding("inconclusive", "Nothing was asked.")
    for _ in range(_ROUNDS):
        for question in asked:
            try:
                answer = services.ask(environment, question)
            except WatchError as error:
                return Finding("inconclusive", str(error))
            if found := _refusal(environment, digest, question, answer):
                return found
            answers.append(answer)
        if found := _alike(answers[: len(asked)]):
            return found
        evidence = _evidence(answers, policy)
        finding = _in_time(answers, policy, evidence)
        if finding.word != "inconclusive":
            return finding
    return finding


def _refusal(environment: str, digest: str, question: Question, answer: Answer) -> Finding | None:
    """Return why one answer ends the questions, or None."""
    if answer.status in (429, 502, 503, 504):
        return Finding("inconclusive", f"{environment} is not ready ({answer.status}).")
    if answer.status != 200:
        return Finding("fail", f"{environment} answers the playlist {json.dumps(question)} with {answer.status}.")
    if answer.digest != digest:
        return Finding("inconclusive", f"{environment} still answers with {answer.digest}, too.")
    given = {track.get("track_uri") for track in question.get("tracks", ())}
    if not answer.uris or len(set(answer.uris)) < len(answer.uris) or given & set(answer.uris):
        return Finding(
            "fail", f"{environment} answers {json.dumps(question)} with nothing, the same track twice, or its own."
        )
    return None


def _alike(answers: Sequence[Answer]) -> Finding | None:
    if len(answers) > 2 and len({answer.uris for answer in answers}) == 1:
        return Finding("fail", f"All of {len(answers)} playlists get the same continuation.")
    return None


def _evidence(answers: Sequence[Answer], policy: Policy) -> dict[str, str]:
    times = sorted(answer.seconds for answer in answers)
    p95 = times[min(len(times) - 1, math.ceil(0.95 * len(times)) - 1)]
    slow = sum(one > policy.budget_seconds for one in times)
    low, high = rate_interval(len(times), slow, policy.alpha)
    return {
        "Smoke": f"pass n={len(times)} failed=0",
        "Latency": f"n={len(times)} p95={p95 * 1000:.1f}ms slow={slow} interval={low:.4f}..{high:.4f} "
        f"limit={SLOW_SHARE} budget={policy.budget_seconds * 1000:g}ms",
    }


def _in_time(answers: Sequence[Answer], policy: Policy, evidence: dict[str, str]) -> Finding:
    """Judge the share of slow answers; the interval may be looked at after every round."""
    slow = sum(answer.seconds > policy.budget_seconds for answer in answers)
    low, high = rate_interval(len(answers), slow, policy.alpha)
    share = f"{slow} of {len(answers)} answers took over {policy.budget_seconds * 1000:g} ms"
    if high < SLOW_SHARE:
        return Finding("pass", f"It is there and answers in time: {share}.", evidence)
    if low > SLOW_SHARE:
        return Finding("fail", f"It is too slow: {share}.", evidence)
    return Finding("inconclusive", f"Whether it is too slow is open: {share}.", evidence)


def shadow(services: Services, digests: tuple[str, str], asked: Sequence[Question], policy: Policy) -> Finding:
    """Ask staging what production is asked, and judge whether they have anything in common.

    A better model answers otherwise, so this tells no better from worse; it stops what has nothing to do with music
    that people put together.

    Args:
        services: Whom to ask.
        digests: Of staging and of production.
        asked: The playlists.
        policy: How much has to be shared.
    """
    shares, ranks = [], []
    for question in asked:
        try:
            pair = [services.ask(environment, question) for environment in ("staging", "production")]
        except WatchError as error:
            return Finding("inconclusive", str(error))
        if tuple(answer.digest for answer in pair) != digests:
            return Finding("inconclusive", "Staging or production does not answer with what is pinned there yet.")
        shares.append(overlap(pair[0].uris, pair[1].uris, K))
        ranks.append(rank_biased_overlap(pair[0].uris, pair[1].uris))
    share = fmean(shares)
    told = f"n={len(shares)} overlap@{K}={share:.4f} rbo={fmean(ranks):.4f} least={policy.least_overlap}"
    if share < policy.least_overlap:
        reason = f"It has {share:.1%} of its first {K} tracks in common with production, and needs more."
        return Finding("fail", reason, {"Shadow": f"fail {told}"})
    return Finding(
        "pass", f"It shares {share:.0%} of its first {K} tracks with production.", {"Shadow": f"pass {told}"}
    )
