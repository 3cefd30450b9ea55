"""What listeners did with answers: kept durably, counted once, and read by model; over SQLite and a real Postgres."""

import asyncio
import json
import os
import resource
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from inference.__main__ import main
from inference.feedback import Batch, Event, FeedbackError, FeedbackStore, Kept
from inference.impressions import Impressions, Key
from inference.intake import Intake
from inference.outcomes import read_outcomes
from segue.errors import InputError
from tests.inference.databases import Databases
from tests.support.running_service import Running, running

_KEY = Key(bytes(32), 0)
_FIRST, _SECOND = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"


@pytest.fixture
def url(databases: Databases) -> str:
    """The URL of a database with nothing in it."""
    url = databases.away()
    databases.bring(url)
    return url


@pytest.fixture
def store(url: str) -> Iterator[FeedbackStore]:
    store = FeedbackStore.open(url)
    yield store
    store.close()


def event(digest: str = _FIRST, kind: str = "play", track: str = "a:1", environment: str = "canary") -> Event:
    """Return an event about a new answer."""
    impressions = Impressions(_KEY, lambda: 1000)
    impression = impressions.read(impressions.new(digest, environment))
    assert impression is not None
    return Event(kind, track, impression)


def batch(key: str, *events: Event, client: str = "key:player") -> Batch:
    return Batch(client, key, events, 1001)


def counted(url: str) -> dict[tuple[str, str], tuple[int, dict[str, int], dict[str, int]]]:
    """Return impressions, tracks and answers by environment and digest, without what is 0."""

    def some(counts: dict[str, int]) -> dict[str, int]:
        return {kind: count for kind, count in counts.items() if count}

    found = read_outcomes(url)
    return {(one.environment, one.digest): (one.impressions, some(one.tracks), some(one.answers)) for one in found}


def test_outcomes_are_counted_by_model(store: FeedbackStore, url: str) -> None:
    """Per environment and digest: answers with any feedback, and tracks and answers by kind of event."""
    seen = event(_SECOND, "click", environment="production")
    more = [Event("click", "a:2", seen.impression), Event("add", "a:2", seen.impression)]
    kept = store.keep([batch("1", event(), event(kind="skip")), batch("2", seen, *more)])
    assert kept == [Kept.NEW, Kept.NEW]
    assert counted(url) == {
        ("canary", _FIRST): (2, {"play": 1, "skip": 1}, {"play": 1, "skip": 1}),
        ("production", _SECOND): (1, {"click": 2, "add": 1}, {"click": 1, "add": 1}),
    }


def test_a_batch_counts_once_under_its_key(store: FeedbackStore, url: str) -> None:
    """Sent again it is told apart from another one; the same key of another client is another key."""
    first = batch("k", event(), event())
    assert store.keep([first]) == [Kept.NEW]
    assert store.keep([first, batch("k", event()), batch("k", event(), client="key:other")]) == [
        Kept.AGAIN,
        Kept.ANOTHER,
        Kept.NEW,
    ]
    assert counted(url)["canary", _FIRST][0] == 3


def test_repeating_an_event_under_new_keys_is_no_more_evidence(store: FeedbackStore, url: str) -> None:
    """A track of an answer counts once for each kind, however often it is reported."""
    one = event()
    assert set(store.keep([batch(str(i), one) for i in range(20)])) == {Kept.NEW}
    assert counted(url) == {("canary", _FIRST): (1, {"play": 1}, {"play": 1})}


def test_pods_that_send_the_same_batches_do_not_stop_each_other(url: str) -> None:
    """Four writers with the same batches in other orders: each batch is kept by exactly one."""
    batches = [batch(str(i), event()) for i in range(30)]
    orders = [batches, batches[::-1], batches[10:] + batches[:10], batches[::2] + batches[1::2]]

    def keep(order: list[Batch]) -> list[Kept]:
        store = FeedbackStore.open(url)
        try:
            return [kept for start in range(0, 30, 10) for kept in store.keep(order[start : start + 10])]
        finally:
            store.close()

    with ThreadPoolExecutor(4) as pool:
        results = [kept for one in pool.map(keep, orders) for kept in one]
    assert (results.count(Kept.NEW), results.count(Kept.AGAIN)) == (30, 90)
    assert counted(url)["canary", _FIRST][0] == 30


def test_a_file_that_another_service_begins_is_waited_for(tmp_path: Path) -> None:
    """SQLite itself gives up at once where one turns a file that another writes to into one with a log."""
    file = tmp_path / "feedback.sqlite"
    other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    other.execute("CREATE TABLE other (x)")
    other.execute("BEGIN IMMEDIATE")
    done = threading.Timer(0.3, lambda: other.execute("COMMIT"))
    done.start()
    FeedbackStore.open(f"sqlite:///{file}").close()
    done.join()
    other.close()
    assert sqlite3.connect(file).execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_answers_of_a_time_can_be_asked_for(store: FeedbackStore, url: str) -> None:
    """By when the model answered: from the first second to before the last."""
    store.keep([batch("1", event())])
    assert [len(read_outcomes(url, since, until)) for since, until in ((1000, 1001), (1001, None), (0, 1000))] == [
        1,
        0,
        0,
    ]


def test_reading_outcomes_makes_no_database(tmp_path: Path) -> None:
    """Where no feedback was ever kept nothing is left behind that looks as if some could be."""
    with pytest.raises(FeedbackError, match="no feedback was ever kept"):
        read_outcomes(f"sqlite:///{tmp_path}/new/none.sqlite")
    assert list(tmp_path.iterdir()) == []


def test_outcomes_are_read_from_a_file_that_is_left_as_it_is(tmp_path: Path) -> None:
    """One that is no log of SQLite's yet, or a copy that may only be read, is not turned into one."""
    file = tmp_path / "a file#1.sqlite"
    store = FeedbackStore.open(f"sqlite:///{file}")
    store.keep([batch("1", event())])
    store.close()
    sqlite3.connect(file).execute("PRAGMA journal_mode=DELETE").close()
    before = file.read_bytes()
    assert counted(f"sqlite:///{file}") == {("canary", _FIRST): (1, {"play": 1}, {"play": 1})}
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "mysql://a:secret@b/c",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite+aiosqlite:///x",
        "redis://secret@h",
        "postgres://a:secret@b",
        "postgresql://a:secret@b:port/c",
    ],
)
def test_what_is_no_database_of_ours_is_refused(url: str) -> None:
    """In one sentence, which never repeats the password; at the start, since no waiting makes it one."""
    for use in (FeedbackStore.open, lambda url: Intake(url, Impressions(), print)):
        with pytest.raises(InputError, match="SEGUE_DATABASE_URL") as caught:
            use(url)
        assert "secret" not in str(caught.value)


def test_a_database_that_is_away_is_said(tmp_path: Path) -> None:
    """With its address, without the password."""
    with pytest.raises(FeedbackError, match=r"127\.0\.0\.1:1/x cannot be used .*check SEGUE_DATABASE_URL") as caught:
        FeedbackStore.open("postgresql://a:secret@127.0.0.1:1/x")
    assert "secret" not in str(caught.value)
    (tmp_path / "file").touch()
    with pytest.raises(FeedbackError, match="No folder can be made"):
        FeedbackStore.open(f"sqlite:///{tmp_path}/file/feedback.sqlite")


def test_a_full_disk_is_told_until_it_can_be_written_again(tmp_path: Path) -> None:
    """Every look at the database is a write: reading alone goes well on a full disk, and keeps nothing."""
    told: list[bool] = []

    async def scenario() -> None:
        intake = Intake(f"sqlite:///{tmp_path}/feedback.sqlite", Impressions(), told.append)
        await intake.open()
        with full_disk():
            assert [await intake.open() for _ in range(2)] == [False, False]
        await intake.open()
        await intake.close()

    asyncio.run(scenario())
    assert told == [True, False, False, True]


@contextmanager
def full_disk() -> Iterator[None]:
    """Let no file be written, which is refused at the same place as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# ---- over HTTP ----


def new_answer(client: httpx.Client) -> dict[str, Any]:
    answer: dict[str, Any] = client.post("/predict", json={"name": "rock", "k": 3}).json()
    return answer


def told(answer: dict[str, Any], kind: str = "play", place: int = 0) -> dict[str, str]:
    track = answer["recommended_tracks"][place]["track_uri"]
    return {"impression_id": answer["impression_id"], "track_uri": track, "event": kind}


def tell(client: httpx.Client, *events: dict[str, str], key: str | None = None, **headers: str) -> httpx.Response:
    named = {"Idempotency-Key": key or os.urandom(8).hex(), **headers}
    return client.post("/feedback", json={"events": list(events)}, headers=named)


def test_an_event_about_an_answer_is_kept(client: httpx.Client) -> None:
    """202, and the metric of the model that gave the answer counts it; sent again, it says so and counts no more."""
    answer, key = new_answer(client), os.urandom(8).hex()
    digest = answer["model"]["digest"]
    name = f'segue_feedback_events_total{{digest="{digest}",environment="test",event="add"}}'

    def count() -> float:
        lines = client.get("/metrics").text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name))

    before = count()
    first, again = (tell(client, told(answer, "add"), key=key) for _ in range(2))
    assert (first.status_code, first.json()) == (202, {"kept": 1, "again": False})
    assert (again.status_code, again.json()) == (202, {"kept": 1, "again": True})
    assert count() == before + 1
    other = tell(client, told(answer, "skip"), key=key)
    assert other.status_code == 422
    assert other.json()["detail"].startswith("Idempotency-Key: another request was kept under this key")


def test_an_answer_that_was_never_given_cannot_be_praised(client: httpx.Client) -> None:
    """A forged impression is named by where it stands."""
    event = told(new_answer(client))
    forged = {**event, "impression_id": "AAAA" + event["impression_id"][4:]}
    response = tell(client, forged)
    assert response.status_code == 422
    assert response.json()["errors"] == [
        {"pointer": "#/events/0/impression_id", "detail": "this service gave no answer of this name"}
    ]


@pytest.mark.parametrize(
    "change,where",
    [
        ({"event": "love"}, "#/events/0/event"),
        ({"track_uri": ""}, "#/events/0/track_uri"),
        ({"track_uri": "a\x00b"}, "#/events/0/track_uri"),
        ({"rating": 5}, "#/events/0/rating"),
    ],
)
def test_a_wrong_event_is_named(client: httpx.Client, change: dict[str, Any], where: str) -> None:
    """Unknown kinds, empty or unprintable tracks, and further fields."""
    response = tell(client, {**told(new_answer(client)), **change})
    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (422, where)


@pytest.mark.parametrize("key", [b"", b"a b", b"x" * 65, "ключ".encode()])
def test_an_idempotency_key_is_needed(client: httpx.Client, key: bytes) -> None:
    """Without a proper one nothing could be sent again safely."""
    event = told(new_answer(client))
    response = client.post("/feedback", json={"events": [event]}, headers=[(b"Idempotency-Key", key)])
    assert (response.status_code, response.json()["errors"][0]["parameter"]) == (422, "Idempotency-Key")


def test_many_events_need_a_key(client: httpx.Client) -> None:
    """Anybody may speak of one answer; a batch comes from a service that shows who it is."""
    answer = new_answer(client)
    response = tell(client, told(answer), told(answer, "skip", 1))
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Bearer")


def test_without_a_database_predictions_go_on(bundle_path: Path, tmp_path: Path) -> None:
    """Feedback is answered 503 and when to come again; the log and a metric tell, and nothing else stops."""
    (tmp_path / "file").touch()
    with running(bundle_path, tmp_path / "log", SEGUE_DATABASE_URL=f"sqlite:///{tmp_path}/file/x.sqlite") as service:
        with httpx.Client(base_url=service.url, timeout=30) as client:
            response = tell(client, told(new_answer(client)))
            assert response.status_code == 503
            assert response.headers["retry-after"] == "5"
            assert str(tmp_path) not in response.text
            assert "segue_feedback_ready 0.0" in client.get("/metrics").text
        assert [line for line in service.lines() if line["event"] == "feedback cannot be kept"]


def _outcomes(url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    monkeypatch.setenv("SEGUE_DATABASE_URL", url)
    capsys.readouterr()
    assert main(["outcomes"]) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return found


def test_killed_at_any_moment_it_loses_nothing_and_counts_nothing_twice(
    bundle_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Round after round the process is killed under load; every event is sent until acknowledged, and again after it.

    In the end each is there exactly once: an impression belongs to one event, so impressions are what counts them.
    """
    rounds, senders, database = 4, 4, f"sqlite:///{tmp_path}/feedback.sqlite"
    acknowledged: list[tuple[str, dict[str, str]]] = []
    unanswered: list[tuple[str, dict[str, str]]] = []

    def send_until_killed(service: Running) -> None:
        with httpx.Client(base_url=service.url, timeout=30) as client:
            while True:
                try:
                    answer = new_answer(client)
                except (httpx.TransportError, ValueError):
                    return
                item = (os.urandom(8).hex(), told(answer))
                try:
                    ok = tell(client, item[1], key=item[0]).status_code == 202
                except httpx.TransportError:
                    ok = False
                (acknowledged if ok else unanswered).append(item)
                if not ok:
                    return

    for number in range(rounds):
        with (
            running(bundle_path, tmp_path / f"log{number}", SEGUE_DATABASE_URL=database) as service,
            ThreadPoolExecutor(senders) as pool,
        ):
            sending = [pool.submit(send_until_killed, service) for _ in range(senders)]
            before = len(acknowledged)
            deadline = time.monotonic() + 60
            while len(acknowledged) < before + 10 and time.monotonic() < deadline:
                time.sleep(0.01)
            service.process.kill()
            service.process.wait(30)
            for one in sending:
                one.result()
    assert len(acknowledged) >= 10 * rounds
    durable = sum(one["impressions"] for one in _outcomes(database, capsys, monkeypatch))
    # What was cut off while it was acknowledged may stand or not; what was acknowledged stands.
    assert len(acknowledged) <= durable <= len(acknowledged) + len(unanswered)
    with (
        running(bundle_path, tmp_path / "last", SEGUE_DATABASE_URL=database) as service,
        httpx.Client(base_url=service.url, timeout=30) as client,
    ):
        for key, item in unanswered + acknowledged[-20:]:
            assert tell(client, item, key=key).status_code == 202
        for key, item in acknowledged[-20:]:
            assert tell(client, item, key=key).json() == {"kept": 1, "again": True}
    (counted_at_last,) = _outcomes(database, capsys, monkeypatch)
    assert counted_at_last["impressions"] == len(acknowledged) + len(unanswered)
    assert counted_at_last["tracks"]["play"] == len(acknowledged) + len(unanswered)
