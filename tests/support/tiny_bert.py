"""A BERT-kind encoder small enough to train in a test, saved as a folder that the real loading code reads."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import BertConfig, BertModel

from train.encoder import LoadedEncoder, load_encoder

WIDTH = 32


def write_tiny_bert(folder: Path, seed: int = 0) -> Path:
    """Write a random encoder of width `WIDTH` whose word pieces are letters and digits, and return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    characters = "abcdefghijklmnopqrstuvwxyz0123456789"
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *characters, *(f"##{c}" for c in characters)]
    tokenizer = Tokenizer(models.WordPiece({p: i for i, p in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(pieces),
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=256,
        pad_token_id=0,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder, safe_serialization=True)
    return folder


def tiny_encoder(folder: Path) -> LoadedEncoder:
    """Return the encoder of `write_tiny_bert`, loaded."""
    return load_encoder(str(write_tiny_bert(folder)))
