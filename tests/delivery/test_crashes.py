"""Killed at any moment, or met by others at the same one: nothing is half done, and calling again finishes it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from delivery.objects import FolderObjects, Objects
from delivery.promotion import Order, promote
from delivery.publication import publish
from delivery.road import Road
from delivery.rollback import roll_back
from delivery.store import BundleStore
from segue.bundle import Bundle
from segue.errors import PromotionError
from tests.delivery.conftest import Publish
from tests.delivery.memory_registry import MemoryRegistry
from tests.delivery.reports import write_report

ROOT = Path(__file__).parents[2]


class PowerCutError(BaseException):
    """No code of ours catches this, as none catches a kill."""


class Fuse:
    """Objects that fail at the n-th write, before or after it took place."""

    def __init__(self, objects: Objects, writes: int, after: bool) -> None:
        self._objects, self._left, self._after = objects, writes, after
        self.address, self.read, self.fetch = objects.address, objects.read, objects.fetch

    def put(self, name: str, source: Path) -> None:
        self._burn(lambda: self._objects.put(name, source))

    def write(self, name: str, data: bytes) -> None:
        self._burn(lambda: self._objects.write(name, data))

    def _burn(self, act: Callable[[], None]) -> None:
        self._left -= 1
        if self._left == 0 and not self._after:
            raise PowerCutError
        act()
        if self._left == 0:
            raise PowerCutError


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("writes", range(1, 7))
def test_publishing_that_was_cut_off_is_finished_by_the_same_call(
    road: Road, registry: MemoryRegistry, bundles: list[Bundle], tmp_path: Path, writes: int, after: bool
) -> None:
    """Four files, the manifest last, then two copies of the report: cut at each, none of them is a version."""
    report = write_report(tmp_path / "report.json", bundles[0].digest)
    fuse = Fuse(FolderObjects(tmp_path / "store"), writes, after)
    with pytest.raises(PowerCutError):
        publish(replace(road, store=BundleStore(fuse)), bundles[0].path, report)
    assert registry.versions == []
    done = publish(road, bundles[0].path, report)
    assert (done.new, done.version.number) == (True, 1)
    assert promote(road, Order("staging")).changed


@pytest.mark.parametrize("moment", [0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3])
def test_a_killed_promotion_leaves_the_old_pin_or_the_new_one(
    road: Road, registry: MemoryRegistry, bundles: list[Bundle], publish_bundle: Publish, tmp_path: Path, moment: float
) -> None:
    """Killed by the kernel while Git works; the next call ends with one commit and a clean working tree."""
    entry = publish_bundle(bundles[0]).version.entry
    folders = [str(tmp_path / name) for name in ("store", "gitops", "cache")]
    command = [sys.executable, "-m", "tests.delivery.promote_once", *folders, json.dumps(asdict(entry))]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(moment)
        process.kill()
    time.sleep(0.1)  # a git that was in the middle of its work ends it
    assert road.pin(road.repository.head(), "staging").digest in ("", bundles[0].digest)
    promote(road, Order("staging"))
    log = ["git", "-C", str(tmp_path / "gitops"), "log", "--oneline", "--grep=Segue-Action: promote"]
    assert len(subprocess.run(log, check=True, capture_output=True, text=True).stdout.splitlines()) == 1
    status = ["git", "-C", str(tmp_path / "gitops"), "status", "--porcelain"]
    assert subprocess.run(status, check=True, capture_output=True, text=True).stdout == ""


def test_promotions_at_the_same_time_are_a_commit_each(
    road: Road, bundles: list[Bundle], publish_bundle: Publish
) -> None:
    """Nobody's is lost, and what stands is the last one's."""
    for bundle in bundles:
        publish_bundle(bundle)
    with ThreadPoolExecutor(len(bundles)) as pool:
        moves = list(pool.map(lambda bundle: promote(road, Order("staging", bundle.digest)), bundles))
    head = road.repository.head()
    history = road.repository.history(head, "k8s/environments/staging")
    assert {move.commit for move in moves} == set(history[:4])
    assert road.pin(head, "staging").digest == next(move.pin.digest for move in moves if move.commit == head)


def test_a_rollback_and_a_promotion_at_the_same_time_leave_the_bad_bundle_out(
    road: Road, bundles: list[Bundle], publish_bundle: Publish
) -> None:
    """Whichever comes first, the one rolled back does not end up anywhere new."""
    for bundle in bundles[:2]:
        publish_bundle(bundle)
        for environment in ("staging", "canary", "production"):
            promote(road, Order(environment, bundle.digest))

    def try_promote(weight: int) -> None:
        with suppress(PromotionError):  # it came after the rollback
            promote(road, Order("canary", weight=weight))

    with ThreadPoolExecutor(3) as pool:
        back = pool.submit(roll_back, road, "production", "bad")
        others = [pool.submit(try_promote, weight) for weight in (20, 30)]
        assert back.result().pin.digest == bundles[0].digest
        for other in others:
            other.result()
    assert road.pin(road.repository.head(), "production").digest == bundles[0].digest
    assert road.quarantine(road.repository.head()).find(bundles[1].digest)
