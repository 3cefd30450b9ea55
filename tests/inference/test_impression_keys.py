"""Feedback comes to any pod, about an answer of any pod: also of one that started while the database was away."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from inference.feedback import FeedbackStore, open_engine
from inference.impressions import Impressions, Key
from inference.outcomes import read_outcomes
from tests.inference.databases import Databases
from tests.support.running_service import Running, running

_DIGEST = f"sha256:{'1' * 64}"
_PATIENCE = 120.0


@pytest.fixture(scope="module")
def url(databases: Databases) -> str:
    """The URL of a database that is there."""
    url = databases.away()
    databases.bring(url)
    return url


@pytest.fixture(scope="module")
def store(url: str) -> Iterator[FeedbackStore]:
    store = FeedbackStore.open(url)
    yield store
    store.close()


@pytest.fixture(scope="module")
def pod(bundle_path: Path, url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A pod whose database is there from the start."""
    with running(bundle_path, tmp_path_factory.mktemp("pod") / "log", SEGUE_DATABASE_URL=url) as pod:
        yield pod


def answer(pod: Running) -> str:
    """Return the id of a new answer."""
    name: str = httpx.post(f"{pod.url}/predict", json={"name": "rock", "k": 1}, timeout=30).json()["impression_id"]
    return name


def tell(pod: Running, impression: str, key: str = "") -> httpx.Response:
    """Tell a pod of an answer that a listener played its track."""
    event = {"impression_id": impression, "track_uri": "a:1", "event": "play"}
    named = {"Idempotency-Key": key or os.urandom(8).hex()}
    return httpx.post(f"{pod.url}/feedback", json={"events": [event]}, headers=named, timeout=30)


def tell_until_kept(pod: Running, impression: str, key: str) -> dict[str, Any]:
    """Do as a good client does: come again while that is asked for. Return what the pod says in the end."""
    deadline = time.monotonic() + _PATIENCE
    while (response := tell(pod, impression, key)).status_code == 503:
        assert int(response.headers["retry-after"]) > 0
        assert time.monotonic() < deadline, "The feedback was never taken."
        time.sleep(0.2)
    assert response.status_code == 202, response.text
    kept: dict[str, Any] = response.json()
    return kept


def forged(impression: str) -> str:
    """Return an id that claims the same key, with a signature that does not hold."""
    return impression[:-4] + ("AAAA" if impression[-4:] != "AAAA" else "BBBB")


def test_feedback_about_answers_from_before_the_database_was_there_is_kept(
    bundle_path: Path, tmp_path: Path, databases: Databases
) -> None:
    """Each of two pods that start without it takes feedback about the other's answers in the end, once.

    Meanwhile only what is certainly forged is refused.
    """
    url = databases.away()
    with (
        running(bundle_path, tmp_path / "one", SEGUE_DATABASE_URL=url) as one,
        running(bundle_path, tmp_path / "two", SEGUE_DATABASE_URL=url) as two,
    ):
        told = {"to-itself": (one, answer(one)), "to-one": (one, answer(two)), "to-two": (two, answer(one))}
        for key, (pod, impression) in told.items():
            assert tell(pod, impression, key).status_code == 503
        assert [tell(one, text).status_code for text in (forged(answer(one)), "x")] == [422, 422]
        databases.bring(url)
        for key, (pod, impression) in told.items():
            assert tell_until_kept(pod, impression, key) == {"kept": 1, "again": False}
            assert tell(pod, impression, key).json() == {"kept": 1, "again": True}
    (outcome,) = read_outcomes(url)
    assert outcome.impressions == 3


def test_only_what_is_certainly_forged_is_refused(pod: Running, store: FeedbackStore) -> None:
    """A key that nobody laid down may be a pod's that has not come through; after a day it is nobody's."""
    now = time.time()
    late = Impressions(now=lambda: now)
    old = Impressions(late.key, lambda: now - 86_401)
    ours = answer(pod)
    assert tell_until_kept(pod, ours, "first")["kept"] == 1
    assert [tell(pod, text).status_code for text in (forged(ours), ours[:-1], "x", "")] == [422] * 4
    response = tell(pod, late.new(_DIGEST, "canary"))
    assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    assert tell(pod, old.new(_DIGEST, "canary")).status_code == 422
    store.lay_down(late.key)
    assert [tell(pod, one.new(_DIGEST, "canary")).status_code for one in (late, old)] == [202, 202]
    assert tell(pod, forged(late.new(_DIGEST, "canary"))).status_code == 422


def test_a_database_that_lost_a_key_gets_it_again(pod: Running, url: str) -> None:
    """One that was restored from a backup knows none of the pods that started since."""
    mine = Impressions().missing_key(answer(pod))
    engine, deadline = open_engine(url), time.monotonic() + _PATIENCE
    keys = "FROM impression_keys WHERE id = :id"
    with engine.begin() as connection:
        assert connection.execute(sa.text(f"DELETE {keys}"), {"id": mine}).rowcount == 1
    while True:
        with engine.connect() as connection:
            if connection.execute(sa.text(f"SELECT count(*) {keys}"), {"id": mine}).scalar_one():
                break
        assert time.monotonic() < deadline, "The pod never laid its key down again."
        time.sleep(0.2)
    engine.dispose()


def test_pods_that_start_together_all_lay_their_keys_down(url: str) -> None:
    """Eight make the tables and write at the same moment, some of them twice; each reads what any other signed."""

    def start(pod: Impressions) -> None:
        store = FeedbackStore.open(url)
        store.lay_down(pod.key)
        store.lay_down(pod.key)
        store.close()

    pods = [Impressions() for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(start, pods))
    store = FeedbackStore.open(url)
    for reader in pods:
        for key in store.keys({pod.key.id for pod in pods}):
            reader.learn(key)
        assert all(reader.read(pod.new(_DIGEST, "canary")) for pod in pods)
    assert store.keys({Key.new(0).id}) == store.keys([]) == []
    store.close()
