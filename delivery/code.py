"""What the code of a room is, as one digest: DVC then sees a change of it as it sees one of a file."""

from hashlib import sha256
from pathlib import Path

ROOMS = ("segue", "data_processing", "train", "inference", "evaluation")
ROOT = Path(__file__).resolve().parents[1]
_SOURCES = (".py", ".yaml", ".html", ".css", ".js")


def code_digests(root: Path = ROOT) -> dict[str, str]:
    """Return room to the sha256 over the names and bytes of its sources; compiled files and caches do not count."""
    return {room: _digest(root / room) for room in ROOMS}


def _digest(room: Path) -> str:
    found = sha256()
    for file in sorted(path for path in room.rglob("*") if path.suffix in _SOURCES and path.is_file()):
        data = file.read_bytes()
        found.update(f"{file.relative_to(room).as_posix()}\0{len(data)}\0".encode() + data)
    return found.hexdigest()
