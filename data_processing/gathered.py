"""What was read and is usable, as columns: of some files, which is a part and can be kept on disk, or of all."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segue.files import write_whole

UNKEYED = "\0"
"""What the key of a track without a URI begins with; no URI does."""
_TRACKS, _PLAYLISTS = ("keys", "titles", "artists", "albums"), ("source_ids", "names", "followers", "lengths")
_FACTS = b"facts"


@dataclass(frozen=True, slots=True)
class Gathered:
    """Playlists in reading order, and the tracks in them. An entry costs four bytes, a track its words once.

    Attributes:
        keys: What tells each track from others: its URI, or `UNKEYED` and its normalised title and artist; strings of
            shape (tracks,), as are the next three.
        titles: Each track's title, the first that is not "".
        artists: Each track's artist, likewise.
        albums: Each track's album, likewise.
        source_ids: Each playlist's identifier at its source, strings of shape (playlists,).
        names: Each playlist's title as given, "" where there is none.
        followers: How many follow each playlist, -1 where unknown, shape (playlists,).
        lengths: How many entries each playlist has, shape (playlists,).
        tracks: The entries' tracks by playlist and position, shape (entries,).
        facts: ``read_playlists``, ``read_entries``, ``damaged_names``, ``synthetic``, ``rejections`` (reason to count),
            ``examples`` (reason to a few) and ``sources`` (file to sha256 and bytes).
    """

    keys: pa.Array
    titles: pa.Array
    artists: pa.Array
    albums: pa.Array
    source_ids: pa.Array
    names: pa.Array
    followers: NDArray[np.int32]
    lengths: NDArray[np.int32]
    tracks: NDArray[np.int32]
    facts: Mapping[str, Any]

    def save(self, path: Path) -> None:
        """Write it to one file, whole or not at all: three Arrow streams one after another, the facts in the last.

        Raises:
            OSError: It cannot be written.
        """
        facts = {_FACTS: json.dumps(self.facts).encode()}
        sink = pa.BufferOutputStream()
        for batch in (
            pa.record_batch({name: getattr(self, name) for name in _TRACKS}),
            pa.record_batch({name: pa.array(getattr(self, name)) for name in _PLAYLISTS}),
            pa.record_batch({"tracks": pa.array(self.tracks)}).replace_schema_metadata(facts),
        ):
            options = pa.ipc.IpcWriteOptions(compression="lz4")
            with pa.ipc.new_stream(sink, batch.schema, options=options) as stream:
                stream.write_batch(batch)
        write_whole(path, sink.getvalue())

    @classmethod
    def load(cls, path: Path) -> "Gathered":
        """Read what `save` wrote.

        Raises:
            OSError: It cannot be read, or is damaged.
        """
        try:
            return cls._read(pa.BufferReader(path.read_bytes()))
        except (pa.ArrowException, KeyError, ValueError) as error:
            raise OSError(f"{path} is damaged ({error}); run the same command again, which reads anew") from error

    @classmethod
    def _read(cls, source: pa.BufferReader) -> "Gathered":
        columns: dict[str, Any] = {}
        facts = b""
        for _ in range(3):
            stream = pa.ipc.open_stream(source)
            table = stream.read_all()  # to the stream's end, where the next one begins
            columns |= {name: table[name].combine_chunks() for name in table.schema.names}
            facts = (table.schema.metadata or {}).get(_FACTS, facts)
        for name in ("followers", "lengths", "tracks"):
            columns[name] = columns[name].to_numpy()
        return cls(**columns, facts=json.loads(facts))
