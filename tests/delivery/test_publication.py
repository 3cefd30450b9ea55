"""Publishing: a judged bundle into store and registry, whatever the verdict, as often as one likes."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from delivery.publication import publish
from delivery.road import Road
from segue.bundle import Bundle
from segue.errors import BundleError, InputError
from tests.delivery.conftest import Publish
from tests.delivery.memory_registry import MemoryRegistry
from tests.delivery.reports import DATASET, report, write_report


@pytest.mark.parametrize("verdict", ["pass", "fail", "inconclusive"])
def test_every_verdict_is_published(
    road: Road, bundles: list[Bundle], publish_bundle: Publish, registry: MemoryRegistry, verdict: str
) -> None:
    """A fail is worth keeping; only promoting asks for a pass."""
    done = publish_bundle(bundles[0], verdict)
    assert done.new
    assert registry.versions == [done.version]
    kept = done.version.entry
    assert (kept.digest, kept.verdict, kept.dataset) == (bundles[0].digest, verdict, DATASET)
    assert road.store.verify(bundles[0].digest) == bundles[0].manifest
    assert json.loads(road.store.report(kept.digest, kept.report))["verdict"] == verdict


def test_publishing_again_is_a_no_op(bundles: list[Bundle], publish_bundle: Publish, registry: MemoryRegistry) -> None:
    """The same bundle with the same report is the same version."""
    first, second = publish_bundle(bundles[0]), publish_bundle(bundles[0])
    assert (first.new, second.new) == (True, False)
    assert first.version == second.version
    assert len(registry.versions) == 1


def test_a_bundle_that_was_judged_again_is_a_new_version(
    bundles: list[Bundle], publish_bundle: Publish, registry: MemoryRegistry
) -> None:
    """More playlists settled it, say."""
    publish_bundle(bundles[0], "inconclusive")
    assert publish_bundle(bundles[0], "pass").version.number == 2


def test_a_crash_before_the_registry_is_finished_by_the_same_call(
    road: Road, bundles: list[Bundle], publish_bundle: Publish, registry: MemoryRegistry
) -> None:
    """The store has it, the registry does not yet."""
    road.store.put(bundles[0])
    assert publish_bundle(bundles[0]).version.number == 1


def test_a_damaged_bundle_is_not_published(
    road: Road, bundles: list[Bundle], tmp_path: Path, registry: MemoryRegistry
) -> None:
    """Nothing of it reaches the store."""
    broken = shutil.copytree(bundles[0].path, tmp_path / "broken")
    (broken / "model.onnx").write_bytes(b"x")
    with pytest.raises(BundleError, match=r"model\.onnx .* is damaged"):
        publish(road, broken, write_report(tmp_path / "report.json", bundles[0].digest))
    assert not (tmp_path / "store").exists()
    assert registry.versions == []


@pytest.mark.parametrize(
    "changes, problem",
    [
        ({"bundle": f"sha256:{'9' * 64}"}, "The report judges sha256:9999"),
        ({"synthetic": False}, "learned from made-up playlists, and its report does not say so"),
        ({"schema_version": 2}, "schema_version"),
        ({"verdict": "splendid"}, "verdict"),
        ({"comparisons": [{"against": "ials"}]}, "comparisons.0"),
        ({"metrics": {"candidate": {"all": {"ndcg": "high"}}}}, "metrics.candidate.all.ndcg"),
        ({"bundle": "latest"}, "bundle: String should match"),
    ],
)
def test_a_report_that_is_none_or_another_bundles_is_refused(
    road: Road, bundles: list[Bundle], tmp_path: Path, changes: dict[str, Any], problem: str
) -> None:
    """In a sentence that names the field."""
    path = tmp_path / "report.json"
    path.write_text(json.dumps({**report(bundles[0].digest), **changes}))
    with pytest.raises(InputError, match=problem):
        publish(road, bundles[0].path, path)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"verdict": "pass"}'])
def test_something_that_is_no_report_is_refused(road: Road, bundles: list[Bundle], tmp_path: Path, text: str) -> None:
    """And a file that is not there."""
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(InputError, match="is no report of the gate"):
        publish(road, bundles[0].path, tmp_path / "report.json")
    with pytest.raises(InputError, match="cannot be read"):
        publish(road, bundles[0].path, tmp_path / "missing.json")
