"""More than can be done: what has a place is answered, the rest is told at once to come later."""

import asyncio
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from inference.app import create_app
from inference.metrics import Metrics
from inference.model import Judgement, Model
from inference.ranker import Ranker
from inference.service import Service
from inference.settings import read_settings
from inference.work import Overloaded, Work
from tests.support.running_service import running


def test_work_beyond_its_places_is_refused_and_places_come_free() -> None:
    """Two threads and one to wait: of five, two are turned away before anything is spent on them."""

    async def scenario() -> None:
        work, go = Work(2, 1), threading.Event()
        taken = [asyncio.create_task(work.do(go.wait)) for _ in range(3)]
        await asyncio.sleep(0)
        assert work.taken == 3
        for _ in range(2):
            with pytest.raises(Overloaded) as caught:
                await work.do(lambda: None)
            assert caught.value.retry_after == 1
        go.set()
        assert await asyncio.gather(*taken) == [True, True, True]
        assert (work.taken, await work.do(lambda: 7)) == (0, 7)
        work.close()

    asyncio.run(scenario())


def test_fewer_at_once_than_threads_can_be_allowed_and_more_again() -> None:
    """Those that were under way go on; who comes then waits, or is refused."""

    async def scenario() -> None:
        work, going, go = Work(3, 1), threading.Semaphore(0), threading.Event()

        def wait() -> bool:
            going.release()
            return go.wait()

        work.allow(1)
        taken = [asyncio.create_task(work.do(wait)) for _ in range(2)]
        await asyncio.sleep(0.05)
        with pytest.raises(Overloaded):
            work.check()
        assert going.acquire(blocking=False)
        assert not going.acquire(blocking=False)  # one is under way, and one waits
        work.allow(99)  # as many as there are threads
        taken += [asyncio.create_task(work.do(wait)) for _ in range(2)]
        await asyncio.sleep(0.05)
        assert (work.taken, going.acquire(blocking=False), going.acquire(blocking=False)) == (4, True, True)
        with pytest.raises(Overloaded):
            work.check()
        go.set()
        assert await asyncio.gather(*taken) == [True] * 4
        work.close()

    asyncio.run(scenario())


def test_work_whose_turn_comes_too_late_is_refused_undone() -> None:
    """An answer that comes when nobody waits for it any more is not worked on."""

    async def scenario() -> None:
        work, go, done = Work(1, 1, patience=0.01), threading.Event(), threading.Event()
        first = asyncio.create_task(work.do(go.wait))
        second = asyncio.create_task(work.do(done.set))
        await asyncio.sleep(0.05)
        go.set()
        assert await first
        with pytest.raises(Overloaded):
            await second
        assert (done.is_set(), work.taken) == (False, 0)
        work.close()

    asyncio.run(scenario())


def test_work_that_fails_gives_its_place_back() -> None:
    """Otherwise errors would close the service bit by bit."""

    async def scenario() -> None:
        work = Work(1, 0)
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                await work.do(lambda: 1 // 0)
        work.close()

    asyncio.run(scenario())


def test_slow_work_says_to_come_back_later() -> None:
    """By how long the last pieces of work took."""

    async def scenario() -> int:
        work = Work(1, 0)
        for _ in range(8):
            await work.do(lambda: time.sleep(0.005))
        work._mean = 3.4  # as if the last rankings had taken so long
        going = threading.Event()
        task = asyncio.create_task(work.do(going.wait))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded) as caught:
            work.check()
        going.set()
        await task
        work.close()
        return caught.value.retry_after

    assert asyncio.run(scenario()) == 4


class _Held:
    """A ranker that ranks when it is let go."""

    def __init__(self, real: Ranker) -> None:
        self.real, self.go = real, threading.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def rank(self, *given: Any) -> Any:
        assert self.go.wait(60)
        return self.real.rank(*given)


def test_large_requests_are_refused_without_a_broken_connection(bundle_path: Path, tmp_path: Path) -> None:
    """Clients that still send their body get the 503 all the same, and go on over the same connection."""
    tracks = [{"track_name": f"Song that nobody knows {i}" * 8} for i in range(500)]
    body = json.dumps({"tracks": tracks, "k": 500}).encode()

    def ask(url: str) -> list[int]:
        with httpx.Client(base_url=url, timeout=240) as client:
            headers = {"Content-Type": "application/json"}
            return [client.post("/predict", content=body, headers=headers).status_code for _ in range(6)]

    settings = {"SEGUE_CONCURRENCY": "1", "SEGUE_QUEUE": "0"}
    with running(bundle_path, tmp_path / "log", **settings) as service, ThreadPoolExecutor(6) as pool:
        statuses = [status for one in pool.map(ask, [service.url] * 6) for status in one]
    assert set(statuses) == {200, 503}


def test_overload_is_answered_at_once_and_what_was_taken_in_is_done(bundle_path: Path, ranker: Ranker) -> None:
    """Of eight requests at the same time, one works, two wait, and five get 503 with Retry-After while it works."""
    held = _Held(ranker)
    settings = read_settings(bundle=bundle_path, concurrency=1, queue=2, database_url="sqlite:////nowhere/x")
    service = Service(settings, Metrics())
    service._model = Model(cast(Ranker, held), None, Judgement())

    async def scenario() -> tuple[list[httpx.Response], list[httpx.Response], httpx.Response]:
        transport = httpx.ASGITransport(create_app(service))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            asking = [asyncio.create_task(client.post("/predict", json={"name": "rock"})) for _ in range(8)]
            refused: list[httpx.Response] = []
            for done in asyncio.as_completed(asking):
                refused.append(await done)
                if len(refused) == 5:
                    break
            health = await client.get("/health")
            held.go.set()
            answers = await asyncio.gather(*asking)
            return refused, [answer for answer in answers if answer not in refused], health

    refused, answered, health = asyncio.run(scenario())
    assert [response.status_code for response in refused] == [503] * 5
    assert [response.status_code for response in answered] == [200] * 3
    assert health.status_code == 200
    for response in refused:
        assert response.headers["content-type"] == "application/problem+json"
        assert int(response.headers["retry-after"]) >= 1
    told = service.metrics.text()
    assert b'segue_refusals_total{reason="overload"} 5.0' in told
    # Whoever watches the errors of a route sees its refusals: a canary that refuses what it has no room for is worse.
    assert b'segue_requests_total{method="POST",route="/predict",status="503"} 5.0' in told
    assert b"unmatched" not in told
    service.work.close()
