"""A bundle small enough to work out by hand, with the inputs and outputs of a real one and no torch behind it.

A playlist's vector is the sum of its seeds' and stand-ins' vectors, of its title's n-grams' and of its unknown tracks'
word pieces' vectors; a track's score is their dot product plus a small prior that prefers low ids. Track ``i`` belongs
to genre ``i % GENRES`` and its vector is that genre's unit vector, so a playlist of one genre is continued by that
genre, in the order of ids.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
from onnx import numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from segue.bundle import CATALOGUE, MODEL, SPELLING, TOKENIZER, Bundle, write_bundle
from segue.catalogue import write_catalogue
from segue.query import Encoding
from segue.spelling import Spelling
from segue.text import title_grams
from segue.track import Track

GENRES = ("rock", "jazz", "techno")
ENCODING = Encoding(cls_id=1, sep_id=2, gram_buckets=4096)

_GRAPH = """
<ir_version: 10, opset_import: ["" : 18]>
tiny (int64[B, S] seeds, int64[B, G] title_grams, int64[B, T] prompt_tokens, int64[B, U, L] unknown_tokens,
      int64[B, P] stand_ins, int64[B, A] artists, int64[B] ordered, int64[1] k)
    => (int64[B, K] ids, float[B, K] scores)
{
    zero = Constant <value: tensor = int64 {0}> ()
    one_axis = Constant <value: tensor = int64[1] {1}> ()
    two_axes = Constant <value: tensor = int64[2] {1, 2}> ()
    last_axis = Constant <value: tensor = int64[1] {-1}> ()
    plus = Constant <value: tensor = float {inf}> ()
    minus = Constant <value: tensor = float {-inf}> ()
    zero_point = Constant <value: tensor = float {128}> ()
    known = GreaterOrEqual(seeds, zero)
    safe_seeds = Max(seeds, zero)
    read = Concat <axis = 1> (seeds, stand_ins, artists)
    has_seed = GreaterOrEqual(read, zero)
    has_seed_float = Cast <to = 1> (has_seed)
    seed_column = Unsqueeze(has_seed_float, last_axis)
    safe_read = Max(read, zero)
    seed_blocks = Gather(item_blocks, safe_read)
    seed_floats = Cast <to = 1> (seed_blocks)
    seed_rows = Sub(seed_floats, zero_point)
    seed_masked = Mul(seed_rows, seed_column)
    summed_seeds = ReduceSum <keepdims = 0> (seed_masked, one_axis)
    two = Constant <value: tensor = float {2}> ()
    in_order = Cast <to = 1> (ordered)
    louder = Sub(two, in_order)
    loudness = Unsqueeze(louder, last_axis)
    from_seeds = Mul(summed_seeds, loudness)
    has_gram = GreaterOrEqual(title_grams, zero)
    has_gram_float = Cast <to = 1> (has_gram)
    gram_column = Unsqueeze(has_gram_float, last_axis)
    safe_grams = Max(title_grams, zero)
    gram_rows = Gather(gram_vectors, safe_grams)
    gram_masked = Mul(gram_rows, gram_column)
    from_title = ReduceSum <keepdims = 0> (gram_masked, one_axis)
    piece_rows = Gather(piece_vectors, unknown_tokens)
    from_unknown = ReduceSum <keepdims = 0> (piece_rows, two_axes)
    seeds_and_title = Add(from_seeds, from_title)
    playlist = Add(seeds_and_title, from_unknown)
    prompt_float = Cast <to = 1> (prompt_tokens)
    prompt_sum = ReduceSum <keepdims = 1> (prompt_float, one_axis)
    nothing = Mul(prompt_sum, none)
    by_genre = MatMul(playlist, item_columns)
    with_prior = Add(by_genre, prior)
    all_scores = Add(with_prior, nothing)
    update = Where(known, minus, plus)
    allowed = ScatterElements <axis = 1, reduction = "min"> (all_scores, safe_seeds, update)
    scores, ids = TopK <axis = 1> (allowed, k)
}
"""


def tiny_tracks(count: int = 30) -> list[Track]:
    """Return made-up tracks: number i is ``Song i`` by ``Artist i%7`` of genre ``i % 3``."""
    return [
        Track(f"tiny:track:{i}", f"{GENRES[i % 3].title()} Song {i}", f"Artist {i % 7}", f"Album {i % 11}")
        for i in range(count)
    ]


def _weights(count: int) -> dict[str, np.ndarray[Any, Any]]:
    items = np.eye(3, dtype=np.float32)[np.arange(count) % 3]
    grams = np.zeros((ENCODING.gram_buckets, 3), np.float32)
    pieces = np.zeros((len(_vocabulary()), 3), np.float32)
    for genre, name in enumerate(GENRES):
        grams[title_grams(name, ENCODING.gram_buckets, ENCODING.gram_limit), genre] = 1
        pieces[_vocabulary()[name], genre] = 1
    return {
        "item_blocks": (items + 128).astype(np.uint8),
        "item_columns": np.ascontiguousarray(items.T),
        "gram_vectors": grams,
        "piece_vectors": pieces,
        "prior": (-1e-3 * np.arange(count)).astype(np.float32),
        "none": np.zeros(1, np.float32),
    }


def _vocabulary() -> dict[str, int]:
    return {word: i for i, word in enumerate(["[PAD]", "[CLS]", "[SEP]", "[UNK]", "song", "by", "artist", *GENRES])}


def _tokenizer(path: Path) -> None:
    tokenizer = Tokenizer(models.WordLevel(_vocabulary(), unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(path))


def write_tiny_bundle(
    path: Path,
    work: Path,
    tracks: Sequence[Track] | None = None,
    seed: int = 0,
    synthetic: bool = True,
    dataset: str = f"sha256:{'0' * 64}",
    spelling: Spelling | None = None,
) -> Bundle:
    """Write the tiny bundle to ``path`` (``work`` is scratch) and return it; another ``seed``, another digest.

    It says that it was trained on ``dataset``, and mends titles by ``spelling`` where there is one.
    """
    tracks = tiny_tracks() if tracks is None else tracks
    work.mkdir(parents=True, exist_ok=True)
    model = onnx.parser.parse_model(_GRAPH)
    model.graph.initializer.extend(numpy_helper.from_array(a, name) for name, a in _weights(len(tracks)).items())
    onnx.checker.check_model(model)
    onnx.save(model, str(work / MODEL))
    content, blocks = (work / MODEL).read_bytes(), _weights(len(tracks))["item_blocks"]
    scan = {"vectors": {"offset": content.index(blocks.tobytes()), "shape": list(blocks.shape)}}
    write_catalogue(work / CATALOGUE, tracks)
    _tokenizer(work / TOKENIZER)
    names = [MODEL, CATALOGUE, TOKENIZER]
    if spelling is not None:
        (work / SPELLING).write_bytes(spelling.to_bytes())
        names.append(SPELLING)
    return write_bundle(
        path,
        {name: work / name for name in names},
        model={"encoding": ENCODING.to_json(), "tracks": len(tracks), "inputs": [], "outputs": [], "scan": scan},
        lineage={"dataset": dataset, "commit": "", "run": "tiny", "seed": seed},
        synthetic=synthetic,
    )
