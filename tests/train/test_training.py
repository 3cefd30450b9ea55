"""Examples, candidates and the two phases of the ranker's training."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from segue.errors import InputError
from tests.support.tiny_bert import tiny_encoder
from tests.support.tiny_ranker import GRAMS, tiny_catalogue, tiny_encoding, tiny_ranker, tiny_second
from train.candidates import CandidateSampler, sampled_softmax
from train.encoder import LoadedEncoder
from train.examples import UNORDERED, Example, Playlists, cut, draw, epoch, validation
from train.interactions import Interactions
from train.judging import judge, judge_choices, judge_each, rank
from train.llara import own_state, train_in_phases
from train.llara_model import Ranker
from train.neighbourhood import Neighbourhood
from train.neighbours import neighbour_table
from train.ranker_training import Phase, PhaseSettings, calibrate, parameters_of, train_phase
from train.skeleton import ANY
from train.title_neighbours import with_titles
from train.training import Training, as_tensors
from train.weighing import open_gates, weigh_fold_in, weigh_kin, weigh_recency, weigh_title_neighbours, weigh_titles

TRACKS = 200
SETTINGS = PhaseSettings(epochs=4, batch=16, table_rate=0.05, title_rate=0.05, net_rate=0.005, scalar_rate=0.02)


def genre_playlists(count: int, seed: int) -> Playlists:
    """Return playlists of one genre each, titled by it: track ``t`` belongs to genre ``t % 4``."""
    rng = np.random.default_rng(seed)
    genres = rng.integers(0, 4, count)
    pools = [np.arange(genre, TRACKS, 4) for genre in range(4)]
    tracks = [rng.choice(pools[genre], 12, replace=False).astype(np.int64) for genre in genres]
    titles = [("rock", "jazz", "folk", "polka")[genre] for genre in genres]
    return Playlists(tracks, titles, [f"song {track} by x{track % 4}" for track in range(TRACKS)])


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedEncoder:
    return tiny_encoder(tmp_path_factory.mktemp("bert"))


def training_on(loaded: LoadedEncoder, model: Ranker) -> Training:
    playlists = genre_playlists(160, seed=1)
    counts = model.tracks.catalogue.count.numpy().astype(np.float64)
    return Training(
        playlists=playlists,
        judged=validation(genre_playlists(40, seed=2), counts=(0, 1, 5)),
        sampler=CandidateSampler(counts, len(playlists), negatives=100, power=0.5),
        encoding=tiny_encoding(loaded),
        tokenise=loaded.tokenise,
        title_kept=0.5,
        hidden=0.3,
        hidden_least=0.02,
        seed=0,
    )


def skeleton_phase(model: Ranker, epochs: int = 4) -> Phase:
    parameters = parameters_of(model, ("tracks.", "playlist.", "popularity"))
    return Phase("skeleton", replace(SETTINGS, epochs=epochs), parameters, language=False, curriculum=False)


def llara_phase(model: Ranker) -> Phase:
    settings = replace(SETTINGS, epochs=20, net_rate=0.003)
    return Phase("llara", settings, parameters_of(model, ("llara.",)), language=True, curriculum=True)


def silent(*_: object) -> None:
    """Take an epoch's figures and say nothing."""


def test_seeds_and_targets_of_an_example_are_the_playlist() -> None:
    """Whatever is drawn, seeds and targets are disjoint, in order and together the whole playlist."""
    playlists, rng = genre_playlists(50, seed=0), np.random.default_rng(0)
    for row in range(50):
        example = draw(playlists, row, rng, title_kept=0.5)
        assert example is not None
        whole = playlists.tracks[row].tolist()
        assert sorted([*example.query.seeds, *example.targets.tolist()]) == sorted(whole)
        assert [t for t in whole if t in example.query.seeds] == list(example.query.seeds)
        assert example.query.seeds or example.query.title


def test_a_playlist_that_leaves_nothing_to_go_by_is_not_drawn() -> None:
    playlists = Playlists([np.array([3])], [""], ["x"] * 4)
    assert draw(playlists, 0, np.random.default_rng(0), 1.0) is None


def test_an_epoch_shows_every_playlist_once_and_depends_on_the_seed_alone() -> None:
    playlists = genre_playlists(50, seed=0)

    def shown(seed: int) -> list[Example]:
        return [example for batch in epoch(playlists, 16, np.random.default_rng(seed), 0.5) for example in batch]

    sizes = [len(example.query.seeds) + len(example.targets) for example in shown(0)]
    assert sizes == [12] * 50
    assert [e.query for e in shown(1)] == [e.query for e in shown(1)]
    assert [e.query for e in shown(1)] != [e.query for e in shown(2)]


def test_the_corrected_softmax_is_the_full_one_on_average() -> None:
    """With logQ the sampled loss is near the loss over all tracks; without it, it is far below."""
    rng = np.random.default_rng(0)
    counts = np.concatenate([np.full(20, 200.0), np.full(380, 2.0)])
    logits = torch.from_numpy(rng.normal(size=400).astype(np.float32)) + torch.from_numpy(np.log(counts)).float()
    target = 5
    full = -float(logits.log_softmax(0)[target])
    # One playlist of many: its own tracks hardly change what is sampled.
    sampler = CandidateSampler(counts, 10_000, negatives=60, power=0.5)
    example = Example(
        cut(Playlists([np.array([target])], ["t"], ["w"] * 400), 0, np.arange(0), True).query, np.array([5])
    )
    sampled, plain = [], []
    for _ in range(300):
        candidates = sampler.draw([example], rng)
        row = logits[candidates.ids].unsqueeze(0)
        own = candidates.ids == target
        # Given that the target is always there, its own chance is 1.
        fixed = replace(candidates, log_chance=torch.where(own, 0.0, candidates.log_chance))
        sampled.append(float(sampled_softmax(row, fixed)))
        plain.append(float(sampled_softmax(row, replace(candidates, log_chance=torch.zeros(len(own))))))
    assert abs(np.mean(sampled) - full) < 0.05 * full
    assert np.mean(plain) < 0.9 * full


def test_seeds_are_no_competitors_of_the_targets() -> None:
    """A seed with an enormous logit does not change the loss."""
    playlists = Playlists([np.array([1, 2, 3])], ["t"], ["w"] * 10)
    example = cut(playlists, 0, np.arange(1), title=True)
    candidates = CandidateSampler(np.ones(10), 5, 50, 0.0).draw([example], np.random.default_rng(0))
    logits = torch.zeros(1, len(candidates.ids))
    loud = logits.clone()
    loud[0, candidates.ids == 1] = 50.0
    assert torch.equal(sampled_softmax(logits, candidates), sampled_softmax(loud, candidates))


def test_the_skeleton_learns_what_belongs_together(loaded: LoadedEncoder, tmp_path: Path) -> None:
    """From random vectors to the planted genres, by title alone and by one track."""
    model = tiny_ranker(loaded, TRACKS, loud=False)
    training = training_on(loaded, model)
    calibrate(model, training)
    before = judge(model, training)
    train_phase(model, skeleton_phase(model, epochs=15), training, tmp_path / "c.pt", silent)
    after = judge(model, training)
    assert after[0] > before[0] + 0.06
    assert after[1] > before[1] + 0.06


def test_titles_that_mislead_are_weighed_down_where_there_are_seeds(loaded: LoadedEncoder, tmp_path: Path) -> None:
    """After the weighing validation is ranked no worse at any number of seeds; a title alone keeps its full weight."""
    model = tiny_ranker(loaded, TRACKS, loud=False)
    training = training_on(loaded, model)
    calibrate(model, training)
    train_phase(model, skeleton_phase(model, epochs=3), training, tmp_path / "c.pt", silent)
    torch.nn.init.normal_(model.playlist.grams.weight, std=3.0)  # titles that tell nothing, loudly
    before = judge(model, training, known=True)
    weigh_titles(model, training)
    after = judge(model, training, known=True)
    assert all(after[seeds] >= before[seeds] for seeds in before)
    assert after[1] > before[1]
    assert model.playlist.title_weight[0] == 1
    assert (model.playlist.title_weight[1:] < 1).all()


def test_the_neighbours_of_titles_are_weighed_by_what_ranks_validation_best(loaded: LoadedEncoder) -> None:
    """A ranker that has learnt no title yet hears them, most where there is no track; one without n-grams has none."""
    model = tiny_ranker(loaded, TRACKS, loud=False)
    training = training_on(loaded, model)
    playlists = training.playlists
    edges = Interactions.of(np.repeat(np.arange(160), 12), np.concatenate(playlists.tracks), 160, TRACKS)
    alone = neighbour_table(edges, 50, 5.0, 1.0)
    model.neighbourhood = Neighbourhood(with_titles(alone, edges, playlists.titles, GRAMS), GRAMS)
    before = judge(model, training, known=True)
    weigh_title_neighbours(model, training)
    after = judge(model, training, known=True)
    assert all(after[seeds] >= before[seeds] for seeds in before)
    assert after[0] > 1.4 * before[0]
    assert model.neighbourhood.title_weight[0] == 1
    model.neighbourhood = Neighbourhood(alone)
    weigh_title_neighbours(model, training)
    assert not model.neighbourhood.title_weight.any()


def test_the_fold_in_is_weighed_by_what_ranks_validation_best(loaded: LoadedEncoder, tmp_path: Path) -> None:
    """It solves with the trained vectors, ranks validation no worse anywhere, and is silent below the fewest seeds."""
    model = tiny_ranker(loaded, TRACKS, loud=False)
    training = training_on(loaded, model)
    calibrate(model, training)
    train_phase(model, skeleton_phase(model, epochs=6), training, tmp_path / "c.pt", silent)
    with torch.no_grad():
        model.playlist.fold_in.zero_()  # so that what seeds say is the fold-in's to tell
    before = judge(model, training, known=True)
    weigh_fold_in(model, training, fewest=2)
    after = judge(model, training, known=True)
    assert after[0] == before[0]
    assert after[5] > before[5]
    assert after[1] == before[1]
    assert not model.fold_in.weight[:2].any()
    assert model.fold_in.weight[4] > 0


def album_playlists(count: int, seed: int) -> Playlists:
    """Return playlists that hold ten of the tracks of each of two albums, the second album after the first.

    Albums are those of `tests.support.tiny_ranker.tiny_catalogue`; nothing else tells what belongs together.
    """
    rng, album = np.random.default_rng(seed), tiny_catalogue(TRACKS).album.numpy()
    pairs = [rng.choice(20, 2, replace=False) for _ in range(count)]
    tracks = [np.concatenate([np.flatnonzero(album == one)[:10] for one in pair]).astype(np.int64) for pair in pairs]
    return Playlists(tracks, ["mix"] * count, [""] * TRACKS)


def test_kin_is_weighed_where_it_is_proven_to_help(loaded: LoadedEncoder) -> None:
    """A ranker that learnt nothing hears the albums of a playlist's tracks; artists, who tell nothing, are silent."""
    model = tiny_ranker(loaded, TRACKS, loud=False)
    training = replace(training_on(loaded, model), judged=validation(album_playlists(40, seed=2), counts=(0, 1, 5)))
    before = judge(model, training, known=True)
    weigh_kin(model, training)
    after = judge(model, training, known=True)
    assert model.kin is not None
    assert not model.kin.artist_weight.any()
    assert model.kin.album_weight[0] == 0
    assert (model.kin.album_weight[1:] > 0).all()
    assert all(after[seeds] > before[seeds] + 0.1 for seeds in (1, 5))


def test_recency_is_chosen_where_the_last_tracks_tell_what_follows(loaded: LoadedEncoder) -> None:
    """Of thirteen shown tracks the last three are of the album that goes on; the ten before are of one that is over."""
    model = tiny_ranker(loaded, TRACKS, loud=False)
    assert model.kin is not None
    model.kin.album_weight.fill_(4.0)
    training = replace(training_on(loaded, model), judged=validation(album_playlists(40, seed=2), counts=(0, 5, 13)))
    before = judge(model, training, known=True)
    weigh_recency(model, training)
    after = judge(model, training, known=True)
    assert after[13] > before[13]
    assert model.recency.fade[6] < 1
    assert model.recency.fade[0] == 1


def test_a_playlist_without_an_order_has_weights_of_its_own(loaded: LoadedEncoder) -> None:
    """Where albums tell what follows only if no order is claimed, they are heard there alone."""
    model = tiny_ranker(loaded, TRACKS, loud=False)
    assert model.kin is not None
    told = validation(album_playlists(40, seed=2), counts=(5,))[5]
    untold = [replace(each, targets=np.array([TRACKS - 1])) for each in told]
    unordered = [replace(each, query=replace(each.query, ordered=False, seeds=each.query.seeds * 5)) for each in told]
    training = replace(training_on(loaded, model), judged={25: untold, UNORDERED: unordered})
    weigh_kin(model, training)
    assert model.kin.album_weight[ANY] > 0
    assert not model.kin.album_weight[:ANY].any()


def test_weights_are_not_chosen_by_tracks_without_a_past(loaded: LoadedEncoder) -> None:
    """Who is followed by such alone counts nothing, and they stand in nobody's way."""
    model = tiny_ranker(loaded, TRACKS, loud=False)
    cold = np.flatnonzero(model.tracks.catalogue.count.numpy() == 0)
    with torch.no_grad():
        model.tracks.hidden_bias.fill_(1e3)  # which ranks all of them first
    lists = [np.array([1, cold[0]]), np.array([1, 2, cold[1]])]
    judged = validation(Playlists(lists, ["", ""], [""] * TRACKS), counts=(1,))
    training = replace(training_on(loaded, model), judged=judged)
    all_of_them, known = (judge_each(model, training, known=known)[1] for known in (False, True))
    assert all_of_them[0] > 0
    assert known[0] == 0
    assert known[1] > 0
    (ranked,) = rank(model, training, judged, known=True).values()
    assert set(ranked[0, -len(cold) - 1 :]) >= set(cold)


def voices(model: Ranker) -> dict[str, torch.Tensor]:
    """Return the weights of which logits are said to be linear."""
    assert model.llara is not None
    assert model.neighbourhood is not None
    assert model.kin is not None
    return {
        "fold-in": model.fold_in.weight,
        "neighbours": model.neighbourhood.weight,
        "titles' neighbours": model.neighbourhood.title_weight,
        "artists": model.kin.artist_weight,
        "albums": model.kin.album_weight,
        "gate": model.llara.gate,
    }


@pytest.mark.parametrize("name", ["fold-in", "neighbours", "titles' neighbours", "artists", "albums", "gate"])
def test_choices_along_a_line_are_judged_as_one_by_one(loaded: LoadedEncoder, name: str) -> None:
    """Two rankings tell what as many as there are choices do, with all other parts speaking; and as `judge_each`."""
    model = tiny_ranker(loaded, TRACKS)
    training, weight, choices = training_on(loaded, model), voices(model)[name], (0.0, 0.5, 2.0, 8.0)
    along, each = (judge_choices(model, training, weight, choices, linear) for linear in (True, False))
    for choice in choices:
        weight.fill_(choice)
        alone = judge_each(model, training, known=True)
        for seeds, values in alone.items():
            assert np.array_equal(each[choice][seeds], values)
            assert along[choice][seeds] == pytest.approx(values, abs=1e-6)
    assert any(not np.array_equal(each[0.0][seeds], each[8.0][seeds]) for seeds in each[0.0])


def test_a_second_skeleton_is_trained_by_itself(loaded: LoadedEncoder, tmp_path: Path) -> None:
    """The first ends as it does alone, the second moves in its own phase; validation chooses how both are mixed."""
    alone, both = (tiny_ranker(loaded, TRACKS, loud=False) for _ in range(2))
    both.second = tiny_second(both.tracks.catalogue)
    before = {name: tensor.clone() for name, tensor in both.second.state_dict().items()}
    own = parameters_of(both.second, ("tracks.", "playlist.", "popularity"))
    second = replace(skeleton_phase(both), name="second", parameters=own, second=True)
    train_in_phases(alone, [skeleton_phase(alone)], training_on(loaded, alone), tmp_path / "a", silent)
    train_in_phases(both, [skeleton_phase(both), second], training_on(loaded, both), tmp_path / "b", silent)
    assert torch.equal(alone.tracks.own.weight, both.tracks.own.weight)
    assert not torch.equal(before["tracks.own.weight"], both.second.tracks.own.weight)
    training = training_on(loaded, both)
    both.neighbourhood = None  # weighed after the share, as the fold-in is
    both.fold_in.weight.zero_()
    both.recency.fade.fill_(1.0)
    both.kin = None
    reached = sum(judge(both, training, known=True).values())
    for share in (0.0, 0.35, 0.65):
        both.second_share.fill_(share)
        assert sum(judge(both, training, known=True).values()) <= reached


def test_llara_learns_over_a_skeleton_that_stays(loaded: LoadedEncoder, tmp_path: Path) -> None:
    """Its residual begins at zero, tells titles apart afterwards, and lowers the loss; the skeleton does not move."""
    model = tiny_ranker(loaded, TRACKS, loud=False)
    training, losses = training_on(loaded, model), []
    phase = llara_phase(model)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in phase.parameters)
    calibrate(model, training)
    skeleton = {name: tensor.clone() for name, tensor in model.state_dict().items() if not name.startswith("llara.")}
    titles = as_tensors([cut(training.playlists, row, np.arange(0), title=True) for row in range(8)], training)
    nothing = torch.zeros(8, 0, dtype=torch.bool)
    model.reads_language = False
    silent_vectors = model.playlists(titles, nothing)
    model.reads_language = True
    assert torch.equal(model.playlists(titles, nothing), silent_vectors)
    train_phase(model, phase, training, tmp_path / "c.pt", lambda _, __, figures: losses.append(figures["loss"]))
    assert losses[-1] < losses[0] - 0.1
    residuals = (model.playlists(titles, nothing) - silent_vectors).detach()
    same = torch.tensor([a == b for a in training.playlists.titles[:8] for b in training.playlists.titles[:8]])
    apart = torch.cdist(residuals, residuals).flatten()
    assert apart[same].max() < 1e-4 < apart[~same].min()
    assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in skeleton.items())


def test_llaras_gate_is_open_where_it_is_proven_to_help(loaded: LoadedEncoder, tmp_path: Path) -> None:
    """One that learnt titles is heard at titles and spoils nothing; one that says the contrary is silent everywhere."""
    model = tiny_ranker(loaded, TRACKS, loud=False)
    training = training_on(loaded, model)
    assert model.llara is not None
    calibrate(model, training)
    train_phase(model, skeleton_phase(model, epochs=15), training, tmp_path / "s.pt", silent)
    model.playlist.title_weight.zero_()  # so that titles are LLaRA's to tell
    train_phase(model, llara_phase(model), training, tmp_path / "c.pt", silent)
    model.llara.gate.zero_()
    before = judge(model, training, known=True)
    open_gates(model, training)
    after = judge(model, training, known=True)
    assert model.llara.gate[0] > 0
    assert after[0] > before[0]
    assert all(after[seeds] >= before[seeds] for seeds in before)
    with torch.no_grad():
        model.llara.to_behaviour.weight.neg_()
    open_gates(model, training)
    assert not model.llara.gate.any()


def test_training_that_was_stopped_ends_where_it_would_have_ended(loaded: LoadedEncoder, tmp_path: Path) -> None:
    """Stopped after two epochs of four and taken up by a new process's model: the same weights bit for bit."""

    class StoppedError(Exception):
        pass

    def stop_at_two(_: str, number: int, __: object) -> None:
        if number == 2:
            raise StoppedError

    straight = tiny_ranker(loaded, TRACKS, loud=False)
    train_phase(straight, skeleton_phase(straight), training_on(loaded, straight), tmp_path / "a.pt", silent)
    first = tiny_ranker(loaded, TRACKS, loud=False)
    with pytest.raises(StoppedError):
        train_phase(first, skeleton_phase(first), training_on(loaded, first), tmp_path / "b.pt", stop_at_two)
    second = tiny_ranker(loaded, TRACKS, loud=False)
    train_phase(second, skeleton_phase(second), training_on(loaded, second), tmp_path / "b.pt", silent)
    kept = own_state(second)
    assert all(torch.equal(tensor, kept[name]) for name, tensor in own_state(straight).items())


def test_a_checkpoint_of_another_model_is_refused(loaded: LoadedEncoder, tmp_path: Path) -> None:
    small, large = tiny_ranker(loaded, TRACKS, loud=False), tiny_ranker(loaded, TRACKS + 50, loud=False)
    train_phase(small, skeleton_phase(small, epochs=1), training_on(loaded, small), tmp_path / "c.pt", silent)
    with pytest.raises(InputError, match="is of another model"):
        train_phase(large, skeleton_phase(large, epochs=1), training_on(loaded, large), tmp_path / "c.pt", silent)
