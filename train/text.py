"""Stage ``text``: every track's words as vectors of a BERT-kind encoder, each distinct string encoded once.

Two fields a track: its words (``title by artist``, all that a request can give) and what only a catalogue knows (its
album, its genres, then its lyrics). Vectors are cached by content, so a killed stage goes on where it was and a grown
catalogue costs only its new strings. Numbers that a catalogue knows of its tracks are kept beside them.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from data_processing.dataset import Dataset
from segue.errors import InputError
from segue.files import whole_directory
from train.encoder import LoadedEncoder, load_encoder, seeded
from train.features import FEATURES, numeric_columns, standardised
from train.inputs import words_of
from train.tracking import stage_run

_LONGEST = 128
"""Most word pieces of one string: lyrics are cut after their first lines, where the chorus has mostly begun."""


@dataclass(frozen=True)
class Config:
    """Settings of the stage; ``train/conf/text.yaml`` explains each."""

    dataset: str
    output: str
    encoder: str
    cache: str
    batch_pieces: int
    precision: str
    seed: int
    threads: int


def run(config: Config) -> None:
    """Write ``words.npy`` and ``context.npy``, float16 (tracks, H), to ``config.output``; no text, a zero row.

    Where the dataset has numeric features, ``features.npy``, float16 (tracks, F), too (`train.features.standardised`).
    """
    seeded(config.seed, config.threads)
    dataset = Dataset.open(Path(config.dataset))
    loaded = load_encoder(config.encoder)
    precision = _precision(config.precision)
    cache = VectorCache(Path(config.cache) if config.cache else Path(config.output).with_suffix(".cache"))
    with stage_run("text", config, dataset.digest) as track, whole_directory(Path(config.output)) as folder:
        for field, texts in _fields(dataset).items():
            vectors = encode_texts(texts, loaded, cache, config.batch_pieces, precision)
            np.save(folder / f"{field}.npy", vectors)
            track({f"{field}_distinct": len(set(texts))})
        if numeric_columns(dataset):
            features = standardised(dataset)
            np.save(folder / FEATURES, features)
            track({"features": features.shape[1]})


def _precision(name: str) -> str:
    """Return ``name``, or for ``auto`` the fastest that this CPU computes in.

    Raises:
        InputError: There is no such precision.
    """
    if name not in ("auto", "float32", "bfloat16"):
        raise InputError(f"The text encoder has no precision {name!r}; choose auto, float32 or bfloat16.")
    if name != "auto":
        return name
    return "bfloat16" if torch.cpu.get_capabilities().get("avx512_bf16", False) else "float32"


def _fields(dataset: Dataset) -> dict[str, list[str]]:
    albums = dataset.tracks(["album"])["album"].to_pylist()
    genres, lyrics = _by_track(dataset.features(), "genres"), _by_track(dataset.lyrics(), "text")
    # Lyrics come last, since they are what is cut.
    known = [". ".join(filter(None, (album, genres.get(i)))) for i, album in enumerate(albums)]
    context = [f"{text}. {lyrics[i]}" if i in lyrics else text for i, text in enumerate(known)]
    return {"words": words_of(dataset), "context": context}


def _by_track(table: pa.Table | None, column: str) -> dict[int, str]:
    if table is None or column not in table.column_names:
        return {}
    return dict(zip(table["track"].to_pylist(), table[column].to_pylist(), strict=True))


def encode_texts(
    texts: Sequence[str], loaded: LoadedEncoder, cache: "VectorCache", batch_pieces: int, precision: str
) -> NDArray[np.float16]:
    """Return (len(texts), H) unit vectors; an empty text has a zero row.

    Args:
        texts: The strings, repeated as often as they come.
        loaded: The encoder.
        cache: Where vectors are kept between runs.
        batch_pieces: Word pieces of a batch, padding included; texts of like length share one.
        precision: ``float32`` or ``bfloat16`` arithmetic.
    """
    model = _model_key(loaded, precision)
    keys = {text: cache_key(model, text) for text in texts if text}
    known = cache.get(keys.values())
    fresh = [text for text, key in keys.items() if key not in known]
    for batch in tqdm(list(batches_of(fresh, loaded, batch_pieces)), desc="text", unit="batch", disable=not fresh):
        vectors = encode_batch([pieces for _, pieces in batch], loaded, precision)
        pairs = [(keys[text], vector) for (text, _), vector in zip(batch, vectors, strict=True)]
        cache.put(pairs)
        known.update(pairs)
    empty = np.zeros(loaded.encoder.width, np.float16)
    rows = (known[keys[text]] if text else empty for text in texts)
    return np.fromiter(rows, np.dtype((np.float16, loaded.encoder.width)), count=len(texts))


def batches_of(texts: Sequence[str], loaded: LoadedEncoder, batch_pieces: int) -> Iterator[list[tuple[str, list[int]]]]:
    """Yield texts with their word pieces, framed and cut, in batches of like length.

    Args:
        texts: The strings.
        loaded: The encoder.
        batch_pieces: Most word pieces of a batch, padding included.
    """
    framed = [
        (text, [loaded.cls_id, *pieces[: _LONGEST - 2], loaded.sep_id])
        for text, pieces in zip(texts, loaded.tokenise(texts), strict=True)
    ]
    framed.sort(key=lambda pair: (len(pair[1]), pair[0]))
    batch: list[tuple[str, list[int]]] = []
    for pair in framed:
        if batch and (len(batch) + 1) * len(pair[1]) > batch_pieces:
            yield batch
            batch = []
        batch.append(pair)
    if batch:
        yield batch


def encode_batch(rows: Sequence[list[int]], loaded: LoadedEncoder, precision: str) -> NDArray[np.float16]:
    """Return (B, H) unit vectors of texts as `batches_of` has them, in ``float32`` or ``bfloat16`` arithmetic."""
    length = max(len(row) for row in rows)
    tokens = torch.tensor([row + [0] * (length - len(row)) for row in rows])
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
        vectors: NDArray[np.float16] = loaded.encoder(tokens).float().numpy().astype(np.float16)
    return vectors


def _model_key(loaded: LoadedEncoder, precision: str) -> bytes:
    """Return a digest of the weights: another model never reads this one's vectors."""
    digest = blake2b(precision.encode(), digest_size=16)
    for name, weight in loaded.encoder.state_dict().items():
        digest.update(name.encode())
        digest.update(weight.contiguous().view(torch.uint8).numpy().tobytes())
    return digest.digest()


def cache_key(model: bytes, text: str) -> bytes:
    """Return the key of a text under a model."""
    return blake2b(text.encode(), digest_size=16, key=model).digest()


class VectorCache:
    """Float16 vectors by key in one SQLite file; each `put` is durable when it returns."""

    def __init__(self, path: Path) -> None:
        """Open the cache at ``path``, or begin one."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB) WITHOUT ROWID")

    def get(self, keys: Iterable[bytes]) -> dict[bytes, NDArray[np.float16]]:
        """Return the vectors of those of ``keys`` that are kept."""
        wanted = set(keys)
        return {key: vector for key, vector in self.everything() if key in wanted}

    def everything(self) -> Iterator[tuple[bytes, NDArray[np.float16]]]:
        """Yield every kept vector with its key."""
        rows = self._connection.execute("SELECT key, vector FROM vectors")
        return ((key, np.frombuffer(vector, np.float16)) for key, vector in rows)

    def put(self, pairs: Sequence[tuple[bytes, NDArray[np.float16]]]) -> None:
        """Keep vectors by their keys."""
        with self._connection:
            rows = ((key, vector.tobytes()) for key, vector in pairs)
            self._connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)
