import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_processing.readers import json_stream
from data_processing.readers.json_stream import JsonStream
from segue.errors import InputError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def read(data: bytes, chunk: int = 7) -> tuple[list[object], dict[str, object]]:
    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(chunk, size or chunk))

    stream = JsonStream(Slow(data), "a slice")
    return list(stream.elements("playlists")), stream.fields


@given(
    before=st.dictionaries(st.text(), JSON, max_size=3), elements=st.lists(JSON, max_size=5), chunk=st.integers(1, 40)
)
def test_reads_what_json_reads(before: dict[str, object], elements: list[object], chunk: int) -> None:
    """Whatever the document and however it is cut into chunks, elements and fields are those of the whole parse."""
    before.pop("playlists", None)
    for indent in (None, 2):
        document = {**before, "playlists": elements, "after": 12345}
        found, fields = read(json.dumps(document, indent=indent).encode(), chunk)
        assert found == elements
        assert fields == {**before, "after": 12345}


def test_keeps_little_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a chunk and an element are held, however long the document is."""
    monkeypatch.setattr(json_stream, "_CHUNK", 1000)
    data = b'{"playlists": [' + b", ".join(b'"%05d"' % i for i in range(100_000)) + b"]}"
    stream = JsonStream(io.BytesIO(data), "a slice")
    most = max(len(stream._text) for _ in stream.elements("playlists"))
    assert most < 5000


@pytest.mark.parametrize(
    "document",
    [
        '{"playlists": [1, 2',
        '{"playlists": [1, {"tracks": "cut of',
        '{"playlists": [1 2]}',
        '{"playlists": [1]',
        '{"playlists": [1]} and more',
        "[1, 2]",
        "",
        '{"playlists": [1], "info" 3}',
    ],
)
def test_a_document_that_is_no_whole_object_is_refused_in_a_sentence(document: str) -> None:
    """Cut off or malformed at any place: an error that names the document, and no silent end."""
    with pytest.raises(InputError, match=r"^a slice is no whole JSON object \(.*\); fetch or export it again\.$"):
        read(document.encode())


@pytest.mark.parametrize("document", ['{"playlist": {}}', '{"playlists": {"a": 1}}'])
def test_a_document_of_another_shape_is_refused(document: str) -> None:
    """An object without the list says so."""
    with pytest.raises(InputError, match="another shape"):
        read(document.encode())


def test_bytes_that_are_no_utf8_become_lone_surrogates() -> None:
    """Latin-1 in a JSON file damages the entry that holds it, not the file."""
    found, _ = read('{"playlists": ["caf\xe9", "tea"]}'.encode("latin-1"))
    assert found == ["caf\udce9", "tea"]
