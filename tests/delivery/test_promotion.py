"""What may be pinned where, and how a bad bundle goes back."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from delivery.gitops import Change
from delivery.objects import FolderObjects
from delivery.pins import ENVIRONMENTS, QUARANTINE, Pin, pin_path
from delivery.promotion import Order, promote
from delivery.road import Road
from delivery.rollback import Reason, roll_back
from delivery.store import BundleStore
from segue.bundle import Bundle
from segue.errors import InputError, PromotionError, SegueError
from tests.delivery.conftest import Publish
from tests.delivery.memory_registry import MemoryRegistry
from tests.delivery.reports import comparison


def pins(road: Road) -> dict[str, str]:
    head = road.repository.head()
    return {environment: road.pin(head, environment).digest for environment in ENVIRONMENTS}


def promote_through(road: Road, bundle: Bundle, *environments: str) -> None:
    for environment in environments or ENVIRONMENTS:
        promote(road, Order(environment, bundle.digest))


def commit_by_hand(road: Road, files: dict[str, bytes]) -> None:
    road.repository.change(lambda _: Change(files, "By hand"))


def test_a_pass_goes_through_the_environments_in_order(
    road: Road, bundles: list[Bundle], publish_bundle: Publish, registry: MemoryRegistry
) -> None:
    """Without naming a bundle, each environment takes the one before it, and the registry's aliases follow."""
    version = publish_bundle(bundles[0]).version
    moves = [promote(road, Order(environment)) for environment in ENVIRONMENTS]
    assert pins(road) == dict.fromkeys(ENVIRONMENTS, bundles[0].digest)
    assert [move.pin.weight for move in moves] == [100, 10, 100]
    assert registry.aliases == dict.fromkeys(ENVIRONMENTS, version.number)


def test_a_promotion_is_one_commit_that_carries_the_verdict(
    road: Road, bundles: list[Bundle], publish_bundle: Publish
) -> None:
    """Its trailers name digest, report and verdict, and it changes the pin alone."""
    published = publish_bundle(bundles[0])
    before = road.repository.head()
    move = promote(road, Order("staging"))
    told = road.repository.describe(move.commit)
    assert told["Segue-Action"] == "promote"
    assert told["Segue-Verdict"] == "pass"
    assert told["Segue-Digest"] == bundles[0].digest
    assert told["Segue-Report"] == published.report.digest
    assert road.repository.history(move.commit, ".")[:2] == [move.commit, before]
    file = yaml.safe_load((road.repository.path / pin_path("staging")).read_bytes())
    pin = {"digest": bundles[0].digest, "version": 1, "report": published.report.digest, "weight": 100}
    assert file == pin | {"remainder": 0}


@pytest.mark.parametrize("verdict", ["fail", "inconclusive"])
def test_only_a_pass_is_promoted(road: Road, bundles: list[Bundle], publish_bundle: Publish, verdict: str) -> None:
    """Whatever else was measured: no data is never a pass."""
    publish_bundle(bundles[0], verdict)
    before = road.repository.head()
    with pytest.raises(PromotionError, match=f"has the verdict {verdict}, and only a pass can be promoted"):
        promote(road, Order("staging"))
    assert road.repository.head() == before


@pytest.mark.parametrize(
    "comparisons, doubt",
    [
        ([], "compares the bundle with no baseline"),
        ([comparison(against="incumbent")], "compares the bundle with no baseline"),
        ([comparison(slice_="5")], "compares the bundle with no baseline"),
        ([comparison(), comparison("fail", slice_="5")], "with ials on 5 says fail"),
        ([comparison(), comparison("inconclusive", "popularity")], "with popularity on all says inconclusive"),
        ([comparison(low=0.5)], "numbers against ials on all contradict each other"),
        ([comparison(n=0)], "numbers against ials on all contradict each other"),
    ],
)
def test_a_pass_that_its_comparisons_do_not_bear_out_is_refused(
    road: Road, bundles: list[Bundle], publish_bundle: Publish, comparisons: list[object], doubt: str
) -> None:
    """The word pass alone is worth nothing."""
    publish_bundle(bundles[0], "pass", comparisons=comparisons)
    with pytest.raises(PromotionError, match=doubt):
        promote(road, Order("staging"))


def test_a_pass_that_leaves_out_the_incumbent_it_names_is_refused(
    road: Road, bundles: list[Bundle], publish_bundle: Publish
) -> None:
    """What runs today has to be beaten, or matched, by numbers."""
    publish_bundle(bundles[1], "pass", incumbent=bundles[0].digest)
    with pytest.raises(PromotionError, match="does not compare the bundle with the incumbent"):
        promote(road, Order("staging"))


def test_a_slice_of_few_playlists_does_not_hold_a_pass_up(
    road: Road, bundles: list[Bundle], publish_bundle: Publish
) -> None:
    """The gate lets a slice be inconclusive where it holds too few playlists to tell."""
    publish_bundle(bundles[0], "pass", comparisons=[comparison(), comparison("inconclusive", slice_="25")])
    assert promote(road, Order("staging")).changed


@pytest.mark.parametrize("environment, previous", [("canary", "staging"), ("production", "canary")])
def test_no_environment_is_skipped(
    road: Road, bundles: list[Bundle], publish_bundle: Publish, environment: str, previous: str
) -> None:
    """Not with a digest, not without one, not where another bundle stands before it."""
    publish_bundle(bundles[0])
    with pytest.raises(PromotionError, match=f"Nothing is pinned in {previous}"):
        promote(road, Order(environment))
    promote_through(road, bundles[0])
    publish_bundle(bundles[1])
    with pytest.raises(PromotionError, match=f"{environment} takes only what stands in {previous}"):
        promote(road, Order(environment, bundles[1].digest))
    assert set(pins(road).values()) == {bundles[0].digest}


def test_promoting_again_changes_nothing_and_finishes_the_aliases(
    road: Road, bundles: list[Bundle], publish_bundle: Publish, registry: MemoryRegistry
) -> None:
    """After a crash between commit and registry the same call ends the work without another commit."""
    publish_bundle(bundles[0])
    registry.away = False
    first = promote(road, Order("staging"))
    registry.aliases.clear()
    second = promote(road, Order("staging"))
    assert (second.commit, second.changed) == (first.commit, False)
    assert registry.aliases == {"staging": 1}


def test_the_canary_takes_a_weight_and_a_new_one(road: Road, bundles: list[Bundle], publish_bundle: Publish) -> None:
    """The same bundle with another share is another commit; other environments have no share to set."""
    publish_bundle(bundles[0])
    promote_through(road, bundles[0], "staging", "canary")
    assert promote(road, Order("canary", weight=50)).pin.weight == 50
    with pytest.raises(InputError, match="production has none to set"):
        promote(road, Order("production", weight=50))
    with pytest.raises(InputError, match="not a share of requests from 0 to 100"):
        promote(road, Order("canary", weight=101))


def test_a_bundle_that_was_judged_again_counts_by_its_last_verdict(
    road: Road, bundles: list[Bundle], publish_bundle: Publish
) -> None:
    """An earlier pass is no way around a later fail, by digest or by version."""
    publish_bundle(bundles[0], "pass")
    publish_bundle(bundles[0], "fail")
    with pytest.raises(PromotionError, match="verdict fail"):
        promote(road, Order("staging", bundles[0].digest))
    with pytest.raises(PromotionError, match="judged again, as version 2 with the verdict fail"):
        promote(road, Order("staging", version=1))


def test_what_the_registry_does_not_know_is_refused(road: Road, bundles: list[Bundle]) -> None:
    """Each with the way to mend it."""
    with pytest.raises(PromotionError, match="does not know any bundle; publish it"):
        promote(road, Order("staging"))
    with pytest.raises(PromotionError, match=f"does not know the bundle {bundles[0].digest}"):
        promote(road, Order("staging", bundles[0].digest))
    with pytest.raises(PromotionError, match="no version 7"):
        promote(road, Order("staging", version=7))
    with pytest.raises(InputError, match="no environment 'moon'"):
        promote(road, Order("moon"))


def test_a_report_that_was_changed_in_the_store_is_refused(
    road: Road, bundles: list[Bundle], publish_bundle: Publish, tmp_path: Path
) -> None:
    """A fail that somebody turned into a pass, and a pass with other numbers, are both not what was published."""
    for bundle, verdict in ((bundles[0], "fail"), (bundles[1], "pass")):
        publish_bundle(bundle, verdict)
        for file in (tmp_path / "store" / "bundles" / "sha256" / bundle.digest[7:]).rglob("*.json"):
            if file.name != "manifest.json":
                file.write_text(file.read_text().replace('"fail"', '"pass"').replace("0.31", "0.41"))
        with pytest.raises(SegueError, match="not the one that was published"):
            promote(road, Order("staging", bundle.digest))
    assert set(pins(road).values()) == {""}


@pytest.mark.parametrize("name", ["model.onnx", "catalogue.sqlite", "tokenizer.json", "manifest.json"])
def test_a_flipped_byte_in_the_store_is_refused(
    road: Road, bundles: list[Bundle], publish_bundle: Publish, tmp_path: Path, name: str
) -> None:
    """Also where this machine has a sound copy: it is the store's that others will fetch. Publishing again heals it."""
    publish_bundle(bundles[0])
    promote(road, Order("staging"))
    file = tmp_path / "store" / "bundles" / "sha256" / bundles[0].digest[7:] / name
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(SegueError, match=r"damaged|changed"):
        promote(road, Order("canary"))
    assert not publish_bundle(bundles[0]).new
    assert promote(road, Order("canary")).changed


def test_a_rollback_goes_back_one_bundle_and_quarantines_the_bad_one_in_one_commit(
    road: Road, bundles: list[Bundle], publish_bundle: Publish, registry: MemoryRegistry
) -> None:
    """The pin is as it was, the list has the digest and the reason, and the alias follows."""
    for bundle in bundles[:2]:
        publish_bundle(bundle)
        promote_through(road, bundle)
    before = road.repository.head()
    move = roll_back(road, "production", "continues jazz\nSegue-Verdict: pass")
    assert pins(road)["production"] == bundles[0].digest
    assert road.repository.history(move.commit, ".")[1] == before
    told = road.repository.describe(move.commit)
    assert (told["Segue-Action"], told["Segue-Quarantined"]) == ("rollback", bundles[1].digest)
    assert told["Segue-Reason"] == "continues jazz Segue-Verdict: pass"
    entry = road.quarantine(move.commit).find(bundles[1].digest)
    assert entry is not None
    assert (entry.environment, entry.reason) == ("production", "continues jazz Segue-Verdict: pass")
    assert registry.aliases["production"] == 1
    assert any("canary still pins the bundle that was rolled back" in note for note in move.notes)


def test_a_rolled_back_bundle_is_not_promoted_without_saying_why(
    road: Road, bundles: list[Bundle], publish_bundle: Publish
) -> None:
    """It stays quarantined for every environment until a reason releases it, in a commit that keeps the reason."""
    for bundle in bundles[:2]:
        publish_bundle(bundle)
        promote_through(road, bundle)
    roll_back(road, "production", "bad")
    for environment in ENVIRONMENTS:
        with pytest.raises(PromotionError, match=r"rolled back from production \(bad\) and is quarantined"):
            promote(road, Order(environment, bundles[1].digest))
    move = promote(road, Order("staging", bundles[1].digest, release="the catalogue was at fault"))
    assert road.repository.describe(move.commit)["Segue-Release"] == "the catalogue was at fault"
    assert road.quarantine(move.commit).entries == ()
    assert promote(road, Order("production", bundles[1].digest)).changed


def test_a_release_of_what_is_not_quarantined_is_refused(
    road: Road, bundles: list[Bundle], publish_bundle: Publish
) -> None:
    """A reason that stands in every script would release whatever is rolled back next."""
    publish_bundle(bundles[0])
    with pytest.raises(PromotionError, match="is not quarantined; promote it without"):
        promote(road, Order("staging", release="always"))


def test_rolling_back_twice_goes_back_two_bundles_and_then_no_further(
    road: Road, bundles: list[Bundle], publish_bundle: Publish
) -> None:
    """What was rolled back is never gone back to, though it stands in the history in between."""
    for bundle in bundles[:3]:
        publish_bundle(bundle)
        promote_through(road, bundle)
    assert roll_back(road, "production").pin.digest == bundles[1].digest
    assert roll_back(road, "production").pin.digest == bundles[0].digest
    before = road.repository.head()
    with pytest.raises(PromotionError, match="Nothing good stood in production before"):
        roll_back(road, "production")
    assert road.repository.head() == before
    quarantined = {entry.digest for entry in road.quarantine(before).entries}
    assert quarantined == {bundles[1].digest, bundles[2].digest}


def test_nothing_is_rolled_back_where_nothing_stands(road: Road) -> None:
    """An environment that was never promoted to, in a history without a promotion."""
    with pytest.raises(PromotionError, match="Nothing is pinned in production"):
        roll_back(road, "production")


def test_a_rollback_passes_over_what_the_store_lost(
    road: Road, bundles: list[Bundle], publish_bundle: Publish, tmp_path: Path
) -> None:
    """Going back to a bundle that cannot be fetched would leave nothing; the older one serves, and it is said."""
    for bundle in bundles[:3]:
        publish_bundle(bundle)
        promote_through(road, bundle)
    (tmp_path / "store" / "bundles" / "sha256" / bundles[1].digest[7:] / "model.onnx").unlink()
    move = roll_back(road, "production")
    assert move.pin.digest == bundles[0].digest
    assert any("Version 2 was passed over" in note for note in move.notes)


@pytest.mark.parametrize("other", [False, True])
def test_a_store_that_does_not_hold_what_stands_says_nothing_of_older_ones(
    road: Road, bundles: list[Bundle], publish_bundle: Publish, tmp_path: Path, other: bool
) -> None:
    """It is not the one of this environment: a folder that is not there, or that of somebody's own runs."""
    for bundle in bundles[:2]:
        publish_bundle(bundle)
        promote_through(road, bundle)
    elsewhere = BundleStore(FolderObjects(tmp_path / "elsewhere"))
    if other:
        elsewhere.put(bundles[2])
    move = roll_back(replace(road, store=elsewhere), "production")
    assert move.pin.digest == bundles[0].digest
    assert f"{tmp_path}/elsewhere does not even hold what stands there now" in move.notes[0]
    assert road.repository.describe(move.commit)["Segue-Verdict"] == "pass"


@pytest.mark.parametrize("away", [False, True])
def test_a_rollback_that_was_cut_off_is_finished_and_not_done_twice(
    road: Road, bundles: list[Bundle], publish_bundle: Publish, registry: MemoryRegistry, away: bool
) -> None:
    """Called again under the same name, it does not quarantine the good bundle as well; Git alone tells."""
    for bundle in bundles[:3]:
        publish_bundle(bundle)
        promote_through(road, bundle)
    first = roll_back(road, "production", Reason("bad", request="one"))
    registry.aliases["production"] = 3  # as a kill right after the commit leaves it
    registry.away = away
    again = roll_back(road, "production", Reason("bad", request="one"))
    assert (again.commit, again.pin.digest, again.changed) == (first.commit, bundles[1].digest, False)
    assert registry.aliases["production"] == (3 if away else 2)
    assert "has done what one asks for" in again.notes[0]
    assert not any("still pins" in note for note in again.notes)
    assert road.repository.describe(first.commit)["Segue-Request"] == "one"


def test_another_request_is_another_rollback(
    road: Road, bundles: list[Bundle], publish_bundle: Publish, registry: MemoryRegistry
) -> None:
    """With another name or none it goes back one further, whatever the registry says or does not say."""
    for bundle in bundles:
        publish_bundle(bundle)
        promote_through(road, bundle)
    registry.away = True
    assert roll_back(road, "production", Reason(request="one")).pin.digest == bundles[2].digest
    assert roll_back(road, "canary", Reason(request="one")).changed  # a name counts in its environment
    registry.away = False
    assert roll_back(road, "production", Reason(request="on")).pin.digest == bundles[1].digest
    assert roll_back(road, "production").pin.digest == bundles[0].digest
    assert not roll_back(road, "production", Reason(request="one")).changed


def test_a_rollback_of_one_bundle_takes_no_other_back(
    road: Road, bundles: list[Bundle], publish_bundle: Publish
) -> None:
    """Somebody else may have been quicker, and what stands now is good."""
    for bundle in bundles[:3]:
        publish_bundle(bundle)
        promote_through(road, bundle)
    assert roll_back(road, "production", Reason(bad=bundles[2].digest)).pin.digest == bundles[1].digest
    again = roll_back(road, "production", Reason(bad=bundles[2].digest))
    assert (again.changed, again.pin.digest) == (False, bundles[1].digest)
    assert again.notes == (f"production does not pin {bundles[2].digest}, so nothing was rolled back.",)


def test_a_registry_that_is_away_holds_no_rollback_up(
    road: Road, bundles: list[Bundle], publish_bundle: Publish, registry: MemoryRegistry
) -> None:
    """The pins are the truth; the alias is set by the next command."""
    for bundle in bundles[:2]:
        publish_bundle(bundle)
        promote_through(road, bundle)
    registry.away = True
    move = roll_back(road, "production")
    assert pins(road)["production"] == bundles[0].digest
    assert "alias in the registry is not set yet" in move.notes[-1]
    registry.away = False
    promote(road, Order("staging", bundles[0].digest))
    assert registry.aliases["production"] == 1


def test_the_rules_hold_for_what_a_commit_is_put_on(
    road: Road, bundles: list[Bundle], publish_bundle: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rollback that lands between check and commit stops the promotion it would have been undone by."""
    for bundle in bundles[:2]:
        publish_bundle(bundle)
        promote_through(road, bundle, "staging", "canary", "production")
    promote(road, Order("staging", bundles[1].digest))
    verify = road.store.verify

    def rolled_back_meanwhile(digest: str) -> object:
        monkeypatch.setattr(road.store, "verify", verify)
        roll_back(road, "production", "meanwhile")
        return verify(digest)

    monkeypatch.setattr(road.store, "verify", rolled_back_meanwhile)
    with pytest.raises(PromotionError, match="meanwhile"):
        promote(road, Order("canary", bundles[1].digest, weight=50))


@pytest.mark.parametrize(
    "text, problem",
    [
        (b"digest: [", "is no YAML"),
        (b"- a list", "holds no mapping"),
        (b"1: x\ny: z\n", "its fields have to be"),
        (b"digest: ''\nversion: 0\nreport: ''\n", "its fields have to be"),
        (b"digest: sha256:12\nversion: 1\nreport: ''\nweight: 100\n", "digest 'sha256:12' is not sha256:"),
        (b"digest: ''\nversion: true\nreport: ''\nweight: 100\n", "its version is True"),
        (b"digest: ''\nversion: 0\nreport: ''\nweight: 200\n", "its weight is 200"),
        (b"digest: ''\nversion: 0\nreport: ''\nweight: 10\nremainder: 80\n", "it has to be 90"),
    ],
)
def test_a_pin_that_cannot_be_read_stops_everything(
    road: Road, bundles: list[Bundle], publish_bundle: Publish, text: bytes, problem: str
) -> None:
    """It was written by hand; nothing is guessed and nothing is written over."""
    publish_bundle(bundles[0])
    commit_by_hand(road, {pin_path("staging"): text})
    with pytest.raises(PromotionError, match=problem):
        promote(road, Order("staging"))


@pytest.mark.parametrize("text", [b"quarantined: 3", b"{}", b"quarantined: [{digest: x, environment: y, reason: z}]"])
def test_a_quarantine_that_cannot_be_read_stops_every_promotion(
    road: Road, bundles: list[Bundle], publish_bundle: Publish, text: bytes
) -> None:
    """A damaged list of bad bundles is not an empty one."""
    publish_bundle(bundles[0])
    commit_by_hand(road, {QUARANTINE: text})
    with pytest.raises(PromotionError, match=r"quarantine\.yaml cannot be read"):
        promote(road, Order("staging"))


def test_a_note_tells_when_the_bundle_was_judged_against_another_incumbent(
    road: Road, bundles: list[Bundle], publish_bundle: Publish
) -> None:
    """Two candidates judged against the same incumbent: once one stands, the other's evidence is old."""
    publish_bundle(bundles[0])
    promote_through(road, bundles[0])
    publish_bundle(bundles[1])
    for environment in ENVIRONMENTS:
        assert "judged against no incumbent" in promote(road, Order(environment)).notes[0]
    assert not promote(road, Order("production")).notes


def test_a_note_tells_when_nobody_knows_whether_the_judging_playlists_were_trained_on(
    road: Road, bundles: list[Bundle], publish_bundle: Publish
) -> None:
    publish_bundle(bundles[0], foreign_dataset=True)
    assert "a dataset that it was not trained on" in promote(road, Order("staging")).notes[0]


def test_a_pass_on_playlists_that_chose_the_settings_is_none(
    road: Road, bundles: list[Bundle], publish_bundle: Publish
) -> None:
    publish_bundle(bundles[0], split="validation")
    with pytest.raises(PromotionError, match="judged on validation playlists"):
        promote(road, Order("staging"))
    assert not road.pin(road.repository.head(), "staging")


def test_a_pin_says_what_it_read() -> None:
    """Writing and reading are inverse, for the empty pin too."""
    pin = Pin(f"sha256:{'a' * 64}", 3, f"sha256:{'b' * 64}", 10)
    for one in (pin, Pin(), replace(pin, weight=0)):
        assert Pin.from_yaml(one.to_yaml("canary"), "here") == one
