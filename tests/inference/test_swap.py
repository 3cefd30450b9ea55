"""A newly promoted bundle takes over under load: no request fails, and no answer is half of one model."""

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from segue.bundle import MODEL, Bundle
from segue.files import write_whole
from segue.track import Track
from tests.support.running_service import Running, running
from tests.support.tiny_bundle import write_tiny_bundle

_PATIENCE = 60.0
_SWAPS = 4


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    """Two bundles by their digests; each one's tracks have URIs that tell whose they are."""
    work = tmp_path_factory.mktemp("bundles")
    made = []
    for name in ("first", "second"):
        tracks = [Track(f"{name}:{i}", f"Song {i}", f"Artist {i % 7}", "") for i in range(60)]
        made.append(write_tiny_bundle(work / name, work / "scratch", tracks))
    return {bundle.digest: bundle for bundle in made}


class Pointer:
    """The file that the service follows."""

    def __init__(self, path: Path, bundle: Bundle) -> None:
        self.path = path
        self.point(bundle)

    def point(self, bundle: Bundle) -> None:
        told = {"bundle": str(bundle.path), "digest": bundle.digest, "version": bundle.path.name}
        write_whole(self.path, json.dumps(told).encode())


@pytest.fixture
def pointer(bundles: dict[str, Bundle], tmp_path: Path) -> Pointer:
    return Pointer(tmp_path / "wanted.json", next(iter(bundles.values())))


@pytest.fixture
def service(pointer: Pointer, tmp_path: Path) -> Iterator[Running]:
    settings = {
        "SEGUE_FOLLOW": str(pointer.path),
        "SEGUE_FOLLOW_SECONDS": "0.05",
        "SEGUE_QUEUE": "1000",
        "SEGUE_PATIENCE": "30",
    }
    with running(tmp_path, tmp_path / "log", **settings) as service:
        yield service


def served(service: Running) -> str:
    return str(httpx.get(f"{service.url}/model", timeout=30).json()["digest"])


def wait_until_served(service: Running, digest: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while served(service) != digest:
        assert time.monotonic() < deadline, f"{digest} never took over"
        time.sleep(0.02)


def open_catalogues(service: Running) -> int:
    """Return how many bundles' catalogues the service has open."""
    opened = set()
    for entry in Path(f"/proc/{service.process.pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            opened.add(str(entry.readlink()))
    return sum(path.endswith("catalogue.sqlite") for path in opened)


def check_whole(answer: dict[str, Any], bundles: dict[str, Bundle]) -> str:
    """Return whose answer this is, after checking that every part of it is of that one model."""
    name = bundles[answer["model"]["digest"]].path.name
    uris = [track["track_uri"] for track in answer["recommended_tracks"]]
    uris += [match["track"]["track_uri"] for match in answer["matched"]]
    assert {uri.split(":")[0] for uri in uris} == {name}
    assert answer["model"]["version"] == name
    return name


def test_bundles_swap_under_load(service: Running, pointer: Pointer, bundles: dict[str, Bundle]) -> None:
    """While four clients ask without a pause, two bundles take turns: every answer is 200 and of one model alone."""
    done = threading.Event()

    def ask() -> list[tuple[int, Any]]:
        answers = []
        with httpx.Client(base_url=service.url, timeout=_PATIENCE) as client:
            while not done.is_set():
                response = client.post("/predict", json={"tracks": [{"track_name": "Song 3"}], "k": 20})
                answers.append((response.status_code, response.json()))
        return answers

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask) for _ in range(4)]
        for swap in range(_SWAPS):
            wanted = list(bundles.values())[(swap + 1) % 2]
            pointer.point(wanted)
            wait_until_served(service, wanted.digest)
        done.set()
        answers = [answer for one in asking for answer in one.result()]
    assert {status for status, _ in answers} == {200}
    assert {check_whole(answer, bundles) for _, answer in answers} == {"first", "second"}
    assert len(answers) > 4 * _SWAPS
    assert 'segue_swaps_total{outcome="done"} 4.0' in httpx.get(f"{service.url}/metrics").text


def test_a_bundle_that_does_not_verify_takes_nothing_over(
    service: Running, pointer: Pointer, bundles: dict[str, Bundle], tmp_path: Path
) -> None:
    """The model before goes on answering, the log says why, a metric counts it; and a good one is taken again."""
    first, second = bundles.values()
    damaged = write_tiny_bundle(tmp_path / "damaged", tmp_path / "scratch", seed=9)
    data = bytearray(damaged.file(MODEL).read_bytes())
    data[len(data) // 2] ^= 1
    damaged.file(MODEL).write_bytes(data)
    pointer.point(damaged)
    deadline = time.monotonic() + _PATIENCE
    while 'segue_swaps_total{outcome="refused"} 1.0' not in httpx.get(f"{service.url}/metrics", timeout=30).text:
        assert time.monotonic() < deadline, "the damaged bundle was never looked at"
        time.sleep(0.02)
    assert (served(service), service.status("/ready")) == (first.digest, 200)
    (line,) = [line for line in service.lines() if line["event"] == "the wanted bundle is not served"]
    assert f"The file {MODEL} of the bundle at {damaged.path} is damaged" in line["reason"]
    pointer.point(second)
    wait_until_served(service, second.digest)


def test_a_file_that_says_nothing_changes_nothing(service: Running, pointer: Pointer) -> None:
    """Half a file, or none, is logged, and what is served goes on."""
    before = served(service)
    for content in (b'{"bundle": "/x"', b'{"bundle": "/x"}', b"[]"):
        pointer.path.write_bytes(content)
        time.sleep(0.15)
    pointer.path.unlink()
    time.sleep(0.15)
    assert (served(service), service.status("/ready")) == (before, 200)
    reasons = [line["reason"] for line in service.lines() if line["level"] == "error"]
    assert reasons
    assert all("see SEGUE_FOLLOW" in reason for reason in reasons)


def test_a_model_that_was_replaced_is_let_go(service: Running, pointer: Pointer, bundles: dict[str, Bundle]) -> None:
    """Files of the catalogue before are closed soon after its last request is answered, swap after swap."""
    for swap in range(_SWAPS):
        wanted = list(bundles.values())[(swap + 1) % 2]
        pointer.point(wanted)
        wait_until_served(service, wanted.digest)
        httpx.get(f"{service.url}/tracks", timeout=30)
    patience = time.monotonic() + 30
    while open_catalogues(service) > 1 and time.monotonic() < patience:
        time.sleep(0.1)
    assert open_catalogues(service) == 1
