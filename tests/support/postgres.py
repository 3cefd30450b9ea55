"""A real Postgres on the loopback, in a folder of its own; for tests that skip where none is installed."""

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_FOLDERS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
PROGRAMS = _FOLDERS[0] if _FOLDERS else None
_PATIENCE = 60.0


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """Yield the URL of an empty database that nobody else uses; ``folder`` has to be new."""
    assert PROGRAMS is not None
    folder.mkdir(parents=True)
    if os.geteuid() == 0:  # Postgres refuses to run as root
        owner = pwd.getpwnam("postgres")
        os.chown(folder, owner.pw_uid, owner.pw_gid)
    data, port = folder / "data", _free_port()
    _run("initdb", "--pgdata", str(data), "--username", "segue", "--auth", "trust", "--no-sync")
    settings = ["-c", f"port={port}", "-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={folder}"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(_as_owner("postgres", "-D", str(data), *settings), stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + _PATIENCE
            ready = _as_owner("pg_isready", "--quiet", "--host", "127.0.0.1", "--port", str(port))
            while subprocess.run(ready).returncode != 0:
                assert server.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline, (folder / "log").read_text()
                time.sleep(0.1)
            yield f"postgresql://segue@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run(_as_owner("pg_ctl", "stop", "-D", str(data), "-m", "immediate", "-s"))
            server.wait(_PATIENCE)


def _run(*command: str) -> None:
    subprocess.run(_as_owner(*command), check=True, capture_output=True, timeout=_PATIENCE)


def _as_owner(program: str, *options: str) -> Sequence[str]:
    command = [f"{PROGRAMS}/{program}", *options]
    return ["runuser", "-u", "postgres", "--", *command] if os.geteuid() == 0 else command


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def why_not() -> str:
    """Return why no Postgres can be started here, "" where one can."""
    if PROGRAMS is None:
        return "There is no Postgres under /usr/lib/postgresql; apt-get install postgresql brings it."
    if os.geteuid() == 0 and not shutil.which("runuser"):
        return "Postgres does not run as root, and there is no runuser to be somebody else with."
    return ""
