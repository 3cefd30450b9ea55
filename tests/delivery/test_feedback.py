"""What listeners did, joined to the answers it is about: counted once, in the block of the answer."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from delivery.feedback import FeedbackDatabase
from delivery.watching import Span, WatchError
from inference.feedback import EVENTS

OLD, NEW = (f"sha256:{digit * 64}" for digit in "ab")
SPAN = Span(1000.0, 15, 4)
_TABLES = sa.MetaData()
_EVENTS = sa.Table(
    "feedback_events",
    _TABLES,
    *(sa.Column(name, sa.Text) for name in ("event", "track_uri", "impression", "digest", "environment")),
    *(sa.Column(name, sa.BigInteger) for name in ("answered", "received")),
)


class Events:
    """A database of events, as the service lays them down."""

    def __init__(self, path: Path) -> None:
        self.url = f"sqlite:///{path}"
        self._engine = sa.create_engine(self.url)
        _TABLES.create_all(self._engine)

    def add(
        self, event: str, impression: str, answered: int, after: int = 5, arm: tuple[str, str] = ("canary", NEW)
    ) -> None:
        """Lay down one event ``after`` seconds after its answer."""
        row = {"event": event, "track_uri": "x:1", "impression": impression, "environment": arm[0], "digest": arm[1]}
        with self._engine.begin() as connection:
            connection.execute(_EVENTS.insert(), {**row, "answered": answered, "received": answered + after})


@pytest.fixture
def events(tmp_path: Path) -> Events:
    return Events(tmp_path / "feedback.db")


def test_an_answer_counts_once_in_its_block(events: Events) -> None:
    """Whatever its listener did five times over; a skip and an add of one answer are both."""
    for _ in range(5):
        events.add("skip", "one", 1000)
    events.add("add", "one", 1000)
    events.add("skip", "two", 1020)
    events.add("click", "three", 1059)
    events.add("play", "four", 1016, arm=("production", OLD))
    found = FeedbackDatabase(events.url).read((OLD, NEW), SPAN, 60)
    assert found["skipped"].canary.tolist() == found["unliked"].canary.tolist() == [1, 1, 0, 1]
    assert found["skipped"].canary_bad.tolist() == [1, 1, 0, 0]
    assert found["unliked"].canary_bad.tolist() == [0, 1, 0, 0]
    assert found["skipped"].control.tolist() == [0, 1, 0, 0]
    assert found["skipped"].control_bad.sum() == 0


def test_what_comes_too_late_never_changes_what_was_counted(events: Events) -> None:
    """A skip after the time for feedback is none, and an answer that had only that is not there."""
    events.add("click", "one", 1000)
    events.add("skip", "one", 1000, after=61)
    events.add("skip", "two", 1000, after=61)
    found = FeedbackDatabase(events.url).read((OLD, NEW), SPAN, 60)
    assert (found["skipped"].canary.sum(), found["skipped"].canary_bad.sum()) == (1, 0)


def test_other_models_and_other_times_are_not_counted(events: Events) -> None:
    """An old bundle in the canary, the shadow in staging, an answer before the span or after it."""
    events.add("skip", "one", 1010, arm=("canary", OLD))
    events.add("skip", "two", 1010, arm=("staging", NEW))
    events.add("skip", "three", 999)
    events.add("skip", "four", 1060)
    found = FeedbackDatabase(events.url).read((OLD, NEW), SPAN, 60)
    assert (found["skipped"].canary.sum(), found["skipped"].control.sum()) == (0, 0)


@pytest.mark.parametrize("url", ["no address", "sqlite:////nowhere/at/all.db", "sqlite://", "what://x"])
def test_a_database_that_cannot_be_read_is_said(url: str) -> None:
    """It is waited for, and never a pass."""
    with pytest.raises(WatchError, match="database"):
        FeedbackDatabase(url).read((OLD, NEW), SPAN, 60)


def test_the_services_own_table_has_what_is_read() -> None:
    """The service writes it, and delivery reads it by the names of its columns."""
    assert EVENTS.name == _EVENTS.name
    assert {column.name for column in _EVENTS.columns} <= {column.name for column in EVENTS.columns}
