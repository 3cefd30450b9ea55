"""The text stage: each distinct string once, kept by content, the same however it is batched."""

from pathlib import Path

import numpy as np
import pytest

from segue.errors import InputError
from tests.support.tiny_bert import WIDTH, tiny_encoder, write_tiny_bert
from train.encoder import LoadedEncoder, load_encoder
from train.text import VectorCache, encode_texts

TEXTS = ["abba by abba", "", "a much longer title 1999 by somebody", "abba by abba", "x"]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedEncoder:
    return tiny_encoder(tmp_path_factory.mktemp("bert"))


def test_equal_texts_have_equal_unit_vectors_and_an_empty_one_none(loaded: LoadedEncoder, tmp_path: Path) -> None:
    vectors = encode_texts(TEXTS, loaded, VectorCache(tmp_path / "c"), 64, "float32").astype(np.float32)
    assert vectors.shape == (5, WIDTH)
    assert (vectors[0] == vectors[3]).all()
    assert not vectors[1].any()
    assert np.allclose(np.linalg.norm(vectors[[0, 2, 4]], axis=1), 1, atol=2e-3)


def test_batches_do_not_change_a_vector(loaded: LoadedEncoder, tmp_path: Path) -> None:
    """One text a batch or all in one: the same to float16's precision."""
    alone = encode_texts(TEXTS, loaded, VectorCache(tmp_path / "a"), 1, "float32").astype(np.float32)
    together = encode_texts(TEXTS, loaded, VectorCache(tmp_path / "b"), 10_000, "float32").astype(np.float32)
    assert np.allclose(alone, together, atol=2e-3)


def test_what_was_encoded_is_read_back_and_not_encoded_again(loaded: LoadedEncoder, tmp_path: Path) -> None:
    """With a cache that knows every text the model is not asked, so even a planted vector comes back."""
    cache = VectorCache(tmp_path / "c")
    first = encode_texts(TEXTS, loaded, cache, 64, "float32")
    planted = np.full(WIDTH, 0.5, np.float16)
    keys = [key for key, vector in cache.everything() if (vector == first[0]).all()]
    cache.put([(keys[0], planted)])
    again = encode_texts([*TEXTS, "new"], loaded, VectorCache(tmp_path / "c"), 64, "float32")
    assert (again[0] == planted).all()
    assert (again[2] == first[2]).all()


def test_another_model_does_not_read_this_ones_vectors(loaded: LoadedEncoder, tmp_path: Path) -> None:
    cache = VectorCache(tmp_path / "c")
    one = encode_texts(TEXTS, loaded, cache, 64, "float32")
    other = encode_texts(TEXTS, load_encoder(str(write_tiny_bert(tmp_path / "other", seed=5))), cache, 64, "float32")
    assert np.abs(one[0].astype(np.float32) - other[0].astype(np.float32)).max() > 0.01


def test_a_missing_encoder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be loaded .* name a folder or a model id"):
        load_encoder(str(tmp_path / "nothing"))


def test_a_tokenizer_of_another_kind_is_refused(tmp_path: Path) -> None:
    folder = write_tiny_bert(tmp_path / "bert")
    path = folder / "tokenizer.json"
    path.write_text(path.read_text().replace("[CLS]", "<start>"))
    with pytest.raises(InputError, match="not of the BERT kind"):
        load_encoder(str(folder))
