"""Language models that read a hybrid prompt: words and behaviour tokens in one sequence.

Two kinds stand behind one interface. ``encoder``: the first layers of a BERT-kind model, small enough to answer within
a request on a CPU. ``causal`` (`train.causal`): a decoder with LoRA (Hu et al. 2022), loaded from a folder, an id or a
GGUF file.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from tokenizers import Tokenizer
from torch import Tensor, nn

from train.encoder import LoadedEncoder
from train.low_rank import MARK


@dataclass(frozen=True, slots=True)
class PromptTokenizer:
    """How a language model spells a prompt, where it is not as the text encoder does.

    Attributes:
        tokenizer: Its fast tokenizer, without truncation and padding.
        begin_id: Id of the piece that begins a prompt; not 0, which is padding.
        separator_id: Id of the piece that ends each part of a prompt; not 0.
    """

    tokenizer: Tokenizer
    begin_id: int
    separator_id: int


class Backbone(Protocol):
    """What LLaRA asks of a language model.

    Attributes:
        width: W, the size of its hidden states.
    """

    width: int

    @property
    def prompt_tokenizer(self) -> PromptTokenizer | None:
        """Its own tokenizer; None where it reads the text encoder's word pieces."""

    def embed(self, tokens: Tensor) -> Tensor:
        """Return (B, T, W) embeddings of word pieces (B, T)."""

    def read(self, embeddings: Tensor, present: Tensor, positions: Tensor) -> Tensor:
        """Return (B, W), what the model makes of (B, T, W) where ``present`` (B, T), at ``positions`` (T,)."""


class EncoderBackbone(nn.Module):
    """The first layers of a BERT-kind encoder, fine-tuned; its word embeddings stay as they are."""

    def __init__(self, loaded: LoadedEncoder, layers: int) -> None:
        """Take a copy of the first ``layers`` layers; the word embeddings are shared with the text encoder."""
        super().__init__()
        source: Any = loaded.encoder.model
        words = source.embeddings.word_embeddings
        config = type(source.config).from_dict({**source.config.to_dict(), "num_hidden_layers": layers})
        config._attn_implementation = "eager"
        model: Any = type(source)(config, add_pooling_layer=False)
        model.load_state_dict(source.state_dict(), strict=False)
        model.embeddings.word_embeddings = words.requires_grad_(False)
        # Dropout is a choice of the pretraining: with a prompt of ten pieces it is mostly noise.
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        self.model, self.width = model, int(config.hidden_size)
        self.prompt_tokenizer: PromptTokenizer | None = None

    def embed(self, tokens: Tensor) -> Tensor:
        """Return (B, T, W) embeddings of word pieces (B, T)."""
        embeddings: Tensor = self.model.embeddings.word_embeddings(tokens)
        return embeddings

    def read(self, embeddings: Tensor, present: Tensor, positions: Tensor) -> Tensor:
        """Return (B, W), the mean of the last hidden states where ``present``."""
        hidden = self.model(
            inputs_embeds=embeddings, attention_mask=present.long(), position_ids=positions.unsqueeze(0)
        ).last_hidden_state
        weight = present.unsqueeze(-1).to(hidden.dtype)
        mean: Tensor = (hidden * weight).sum(1) / weight.sum(1).clamp(min=1)
        return mean


def is_borrowed(name: str) -> bool:
    """Return whether the parameter ``name`` of a ranker is a language model's own, kept where that model came from."""
    return "word_embeddings" in name or (".backbone.base." in name and MARK not in name)
