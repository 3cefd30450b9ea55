"""What listeners did with answers, kept durably: acknowledged only once it is on disk, and counted once.

SQLite in WAL mode is enough for one process and its disk; several pods share a Postgres. The tables are the same, and
`inference.outcomes` reads them.
"""

import hashlib
import sqlite3
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.schema import CreateIndex, CreateTable

from inference.access import LONGEST_NAME
from inference.impressions import Impression, Key
from segue.errors import InputError, SegueError

_TABLES = sa.MetaData()
_BATCHES = sa.Table(
    "feedback_batches",
    _TABLES,
    sa.Column("client", sa.String(LONGEST_NAME), primary_key=True),
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("fingerprint", sa.LargeBinary(32), nullable=False),
    sa.Column("received", sa.BigInteger, nullable=False),  # seconds since 1970
)
EVENTS = sa.Table(
    "feedback_events",
    _TABLES,
    sa.Column("client", sa.String(LONGEST_NAME), primary_key=True),
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("place", sa.Integer, primary_key=True),
    sa.Column("event", sa.String(16), nullable=False),
    sa.Column("track_uri", sa.Text, nullable=False),
    sa.Column("impression", sa.String(200), nullable=False),
    sa.Column("digest", sa.String(71), nullable=False),
    sa.Column("environment", sa.String(100), nullable=False),
    sa.Column("answered", sa.BigInteger, nullable=False),  # when the model answered, in seconds since 1970
    sa.Column("received", sa.BigInteger, nullable=False),
    sa.Index("feedback_events_by_time", "received"),
)
_KEYS = sa.Table(
    "impression_keys",
    _TABLES,
    sa.Column("id", sa.String(16), primary_key=True),
    sa.Column("secret", sa.LargeBinary(32), nullable=False),
    sa.Column("made", sa.BigInteger, nullable=False),  # seconds since 1970
)
_LOCK = 7_236_583  # any number that nobody else locks in a database of ours
_PATIENCE = 5  # seconds that a database may take to answer
_POSTGRES = "postgresql+psycopg"


class FeedbackError(SegueError):
    """The database of feedback cannot be used."""


class Kept(Enum):
    """What became of a batch: it is durable as ``NEW`` and as ``AGAIN``, and was refused as ``ANOTHER``."""

    NEW = "new"
    AGAIN = "kept before, under the same key"
    ANOTHER = "another batch was kept under this key"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that a listener did.

    Attributes:
        event: ``click``, ``skip``, ``play`` or ``add``.
        track_uri: With which track.
        impression: Of which answer.
    """

    event: str
    track_uri: str
    impression: Impression


@dataclass(frozen=True, slots=True)
class Batch:
    """Events that are sent together.

    Attributes:
        client: Who sends them; "" for anybody.
        key: Their idempotency key: the client's own name for the batch.
        events: The events.
        received: When they came, in seconds since 1970.
    """

    client: str
    key: str
    events: tuple[Event, ...]
    received: int

    @property
    def fingerprint(self) -> bytes:
        """What two sendings of one batch share."""
        parts = [part for one in self.events for part in (one.event, one.track_uri, one.impression.id)]
        return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).digest()


class FeedbackStore:
    """The database. Safe to share between threads."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, url: str) -> "FeedbackStore":
        """Open the database at an SQLAlchemy ``url``; what it lacks is made.

        Raises:
            InputError: ``url`` names no database that can be used here.
            FeedbackError: The database cannot be reached or written.
        """
        engine = open_engine(url)
        try:
            with engine.begin() as connection:
                if engine.dialect.name == "postgresql":  # pods that start together make the tables in turn
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
                for table in _TABLES.sorted_tables:
                    connection.execute(CreateTable(table, if_not_exists=True))
                    for index in table.indexes:
                        connection.execute(CreateIndex(index, if_not_exists=True))
        except sa.exc.SQLAlchemyError as error:
            engine.dispose()
            raise FeedbackError(_sentence(engine, error)) from error
        return cls(engine)

    def lay_down(self, key: Key) -> None:
        """Let all who share the database read the ids that ``key`` signs; once more writes the same again.

        Raises:
            FeedbackError: The database cannot be used, or not be written, as on a full disk.
        """
        row = {"id": key.id, "secret": key.secret, "made": key.made}
        try:
            with self._engine.begin() as connection:
                # Whether feedback can be kept is told by this. A row that stays would be no write, nor is one that is
                # updated to what it was: SQLite compares the bytes.
                connection.execute(_KEYS.delete().where(_KEYS.c.id == key.id))
                connection.execute(self._insert(_KEYS).values(row).on_conflict_do_nothing())
        except sa.exc.SQLAlchemyError as error:
            raise FeedbackError(_sentence(self._engine, error)) from error

    def keys(self, ids: Collection[str]) -> list[Key]:
        """Return those keys of ``ids`` that anybody has laid down.

        Raises:
            FeedbackError: The database cannot be used.
        """
        wanted = sa.select(_KEYS.c.secret, _KEYS.c.made).where(_KEYS.c.id.in_(ids))
        try:
            with self._engine.connect() as connection:
                return [Key(bytes(secret), made) for secret, made in connection.execute(wanted)]
        except sa.exc.SQLAlchemyError as error:
            raise FeedbackError(_sentence(self._engine, error)) from error

    def keep(self, batches: Sequence[Batch]) -> list[Kept]:
        """Write batches in one transaction and return what became of each; they are durable on return.

        Raises:
            FeedbackError: The database cannot be used; none of the batches is kept, and all may be sent again.
        """
        found: dict[int, Kept] = {}
        # In the order of their keys, so that two pods with the same batches wait for each other and do not deadlock.
        order = sorted(range(len(batches)), key=lambda i: (batches[i].client, batches[i].key))
        try:
            with self._engine.begin() as connection:
                for i in order:
                    found[i] = self._keep_one(connection, batches[i])
        except sa.exc.SQLAlchemyError as error:
            raise FeedbackError(_sentence(self._engine, error)) from error
        return [found[i] for i in range(len(batches))]

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def _keep_one(self, connection: sa.Connection, batch: Batch) -> Kept:
        named = {"client": batch.client, "key": batch.key}
        row = {**named, "fingerprint": batch.fingerprint, "received": batch.received}
        new = self._insert(_BATCHES).values(row).on_conflict_do_nothing().returning(_BATCHES.c.key)
        if connection.execute(new).first() is None:
            there = sa.select(_BATCHES.c.fingerprint).filter_by(**named)
            same = bytes(connection.execute(there).scalar_one()) == batch.fingerprint
            return Kept.AGAIN if same else Kept.ANOTHER
        rows = [{**named, "place": place, **_row(event, batch)} for place, event in enumerate(batch.events)]
        connection.execute(EVENTS.insert(), rows)
        return Kept.NEW

    def _insert(self, table: sa.Table) -> Any:
        """Return an INSERT with ON CONFLICT, which each database spells in its own way."""
        return (postgresql if self._engine.dialect.name == "postgresql" else sqlite).insert(table)


def _row(event: Event, batch: Batch) -> dict[str, object]:
    return {
        "event": event.event,
        "track_uri": event.track_uri,
        "impression": event.impression.id,
        "digest": event.impression.digest,
        "environment": event.impression.environment,
        "answered": event.impression.at,
        "received": batch.received,
    }


def database_address(url: str) -> sa.URL:
    """Return where the database at an SQLAlchemy ``url`` is, and by which library it is asked.

    Raises:
        InputError: ``url`` names no database that can be used here.
    """
    try:
        address = make_url(url)
    except (sa.exc.ArgumentError, ValueError) as error:  # without the address: it may hold a password
        raise InputError("SEGUE_DATABASE_URL is no address of a database; see docs/serving.md.") from error
    if address.drivername in ("postgresql", _POSTGRES):
        return address.set(drivername=_POSTGRES)
    if address.drivername != "sqlite" or not address.database or address.database == ":memory:":
        raise InputError("SEGUE_DATABASE_URL has to be sqlite:///path/to/file or postgresql://user:password@host/name.")
    return address


def open_engine(url: str, reading: bool = False) -> sa.Engine:
    """Return the engine of the database at ``url``, set up for durability; nothing is asked of it yet.

    Args:
        url: The database.
        reading: Whether nothing will be written: an SQLite file is not made then, nor changed.

    Raises:
        InputError: ``url`` names no database that can be used here.
        FeedbackError: The folder of an SQLite file cannot be made.
    """
    address = database_address(url)
    if address.drivername == _POSTGRES:
        return sa.create_engine(
            address,
            pool_size=2,
            pool_pre_ping=True,
            connect_args={"connect_timeout": _PATIENCE, "options": "-c statement_timeout=5000"},
        )
    file = Path(address.database or "").absolute()
    if reading:
        connect = partial(sqlite3.connect, f"{file.as_uri()}?mode=ro", timeout=_PATIENCE, uri=True)
        return sa.create_engine(address, creator=connect)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FeedbackError(f"No folder can be made for {address.database} ({error.strerror}).") from error
    engine = sa.create_engine(address, connect_args={"timeout": _PATIENCE})
    sa.event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _: object) -> None:
    """Let readers not wait for writers, and let a commit reach the disk before it is told (synchronous=FULL)."""
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            break
        except sqlite3.OperationalError:  # SQLite does not wait for a writer here: another service begins this file
            if time.monotonic() > end:
                raise
            time.sleep(0.01)
    connection.execute("PRAGMA synchronous=FULL")


def _sentence(engine: sa.Engine, error: sa.exc.SQLAlchemyError) -> str:
    place = engine.url.render_as_string(hide_password=True)
    reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
    return f"The database of feedback at {place} cannot be used ({reason}); check SEGUE_DATABASE_URL."
