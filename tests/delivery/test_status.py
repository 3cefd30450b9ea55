"""What stands where: the truth of the pins, checked down to the bundle's bytes on this machine."""

from pathlib import Path

import pytest
import yaml

from delivery.gitops import Change, Repository
from delivery.pins import ENVIRONMENTS, QUARANTINE, Pin, Quarantine, pin_path
from delivery.promotion import Order, promote
from delivery.road import Road
from delivery.rollback import roll_back
from delivery.status import Standing, audit, fetch_to, standing
from segue.bundle import Bundle
from segue.errors import InputError, SegueError
from tests.delivery.conftest import Publish
from tests.delivery.memory_registry import MemoryRegistry

ROOT = Path(__file__).parents[2]


def pin_by_hand(road: Road, pin: Pin) -> None:
    change = Change({pin_path("staging"): pin.to_yaml("staging")}, "Pin by hand")
    road.repository.change(lambda _: change)


def test_a_standing_tells_the_pin_and_where_its_bundle_is(
    road: Road, bundles: list[Bundle], publish_bundle: Publish, registry: MemoryRegistry
) -> None:
    """All of it without the registry, which may be slow or away."""
    published = publish_bundle(bundles[0])
    commit = promote(road, Order("staging")).commit
    registry.away = True
    found = standing(road, "staging")
    assert found == Standing("staging", bundles[0].digest, 1, "pass", found.path, 100, commit, synthetic=True)
    bundle = Bundle.open(Path(found.path), bundles[0].digest)
    assert bundle.file("report.json").read_bytes() == published.report.data


def test_nothing_stands_before_the_first_promotion(road: Road, tmp_path: Path) -> None:
    """Also where there is no repository yet; asking makes none."""
    assert standing(road, "production") == Standing("production")
    unmade = Road(road.store, road.registry, Repository(tmp_path / "unmade"), road.cache)
    assert standing(unmade, "production") == Standing("production")
    assert audit(unmade) == []
    assert not (tmp_path / "unmade").exists()
    with pytest.raises(InputError, match="no environment 'moon'"):
        standing(road, "moon")


def test_a_damaged_copy_on_this_machine_is_fetched_again(
    road: Road, bundles: list[Bundle], publish_bundle: Publish
) -> None:
    """Nothing is served that does not verify."""
    publish_bundle(bundles[0])
    promote(road, Order("staging"))
    copy = Path(standing(road, "staging").path) / "model.onnx"
    sound = copy.read_bytes()
    copy.write_bytes(b"x")
    assert Path(standing(road, "staging").path) / "model.onnx" == copy
    assert copy.read_bytes() == sound


def test_a_pin_to_what_the_store_does_not_hold_is_refused(
    road: Road, bundles: list[Bundle], publish_bundle: Publish
) -> None:
    """Somebody wrote a digest by hand; or a report that judges another bundle."""
    report = publish_bundle(bundles[0]).report.digest
    pin_by_hand(road, Pin(f"sha256:{'7' * 64}", 1, report))
    with pytest.raises(SegueError, match="lacks the report"):
        standing(road, "staging")
    road.store.put_report(f"sha256:{'7' * 64}", publish_bundle(bundles[0]).report.data)
    with pytest.raises(SegueError, match=r"judges .*, not sha256:7777"):
        standing(road, "staging")


def test_a_pin_written_by_hand_shows_its_true_verdict(
    road: Road, bundles: list[Bundle], publish_bundle: Publish
) -> None:
    """It went around the rules; status says what the report says."""
    published = publish_bundle(bundles[0], "fail")
    pin_by_hand(road, Pin(bundles[0].digest, 1, published.report.digest))
    assert standing(road, "staging").verdict == "fail"


def test_the_audit_tells_who_did_what_and_why(road: Road, bundles: list[Bundle], publish_bundle: Publish) -> None:
    """Newest first, what was done by hand included."""
    for bundle in bundles[:2]:
        publish_bundle(bundle)
        promote(road, Order("staging", bundle.digest))
    roll_back(road, "staging", "too loud")
    pin_by_hand(road, Pin())
    events = audit(road)
    assert [event.action for event in events] == ["by hand", "rollback", "promote", "promote", "lay out"]
    assert (events[0].reason, events[1].reason) == ("Pin by hand", "too loud")
    assert (events[1].environment, events[1].digest, events[1].verdict) == ("staging", bundles[0].digest, "pass")
    assert {event.author for event in events} == {"Segue"}
    assert "too loud" in events[1].to_text()


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_projects_own_pins_begin_empty_and_as_the_local_ones_do(environment: str) -> None:
    """k8s/ of this repository is the layout that the local road copies."""
    data = (ROOT / pin_path(environment)).read_bytes()
    assert set(yaml.safe_load(data)) == {"digest", "version", "report", "weight", "remainder"}
    if not Pin.from_yaml(data, environment):
        assert data == Pin().to_yaml(environment)
    assert Quarantine.from_yaml((ROOT / QUARANTINE).read_bytes(), QUARANTINE) is not None


def test_what_is_pinned_or_registered_comes_to_a_folder(
    road: Road, bundles: list[Bundle], publish_bundle: Publish, tmp_path: Path
) -> None:
    """By environment or by version; nothing is made where nothing is pinned, and an unknown version is said."""
    assert fetch_to(road, "production", None, tmp_path / "incumbent") == ""
    assert not (tmp_path / "incumbent").exists()
    publish_bundle(bundles[0])
    publish_bundle(bundles[1])
    promote(road, Order("staging", bundles[1].digest))
    assert fetch_to(road, "staging", None, tmp_path / "incumbent") == bundles[1].digest
    assert fetch_to(road, None, 1, tmp_path / "incumbent") == bundles[0].digest
    assert Bundle.open(tmp_path / "incumbent").digest == bundles[0].digest
    with pytest.raises(InputError, match="has no version 9"):
        fetch_to(road, None, 9, tmp_path / "incumbent")
