"""Databases of feedback for tests: an SQLite file each, or one each on a real Postgres; each can be away at first."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from tests.support.postgres import postgres


class Databases(Protocol):
    """Where databases come from."""

    def away(self) -> str:
        """Return the URL of a database that cannot be used yet."""
        ...

    def bring(self, url: str) -> None:
        """Make the database at ``url`` one that can be used, with nothing in it."""
        ...


class SqliteFiles:
    """SQLite files, each in a folder of its own; while one is away, a file stands in the folder's place."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def away(self) -> str:
        """Return the URL of a file that cannot be made."""
        place = self._folder / os.urandom(6).hex()
        place.touch()
        return f"sqlite:///{place}/feedback.sqlite"

    def bring(self, url: str) -> None:
        """Let the file be made."""
        Path(url.removeprefix("sqlite:///")).parent.unlink()


class PostgresDatabases:
    """Databases of a Postgres, which turns away who asks for one that it does not have."""

    def __init__(self, server: str) -> None:
        self._server = server

    def away(self) -> str:
        """Return the URL of a database that is not there."""
        return f"{self._server.rpartition('/')[0]}/d{os.urandom(6).hex()}"

    def bring(self, url: str) -> None:
        """Create it."""
        import psycopg

        with psycopg.connect(self._server, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {url.rpartition('/')[2]}".encode())


@contextmanager
def databases_of(kind: str, folder: Path) -> Iterator[Databases]:
    """Yield databases of a kind, ``sqlite`` below ``folder`` or ``postgres``."""
    if kind == "sqlite":
        yield SqliteFiles(folder)
        return
    short = Path("/tmp") / f"segue-postgres-{os.getpid()}-{os.urandom(4).hex()}"  # a socket's path
    with postgres(short) as server:
        yield PostgresDatabases(server)
