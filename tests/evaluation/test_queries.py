"""Questions made from held-out playlists."""

from hypothesis import given
from hypothesis import strategies as st

from evaluation.arguments import CATEGORIES
from evaluation.categories import ask_category
from evaluation.dataset import Playlist
from evaluation.queries import LEAST_HELD_OUT, ask, sample_playlists

_playlists = st.builds(
    Playlist, st.integers(0, 99), st.sampled_from(["", "  ", "rock", "🎷"]), st.lists(st.integers(0, 200)).map(tuple)
)


@given(_playlists)
def test_a_question_hides_the_rest_of_its_playlist(playlist: Playlist) -> None:
    """Seeds and hidden tracks are the playlist's distinct tracks, in order, cut in two; five stay hidden."""
    distinct = tuple(dict.fromkeys(playlist.tracks))
    for question in ask([playlist]):
        shown = 0 if question.slice == "title" else int(question.slice)
        assert question.seeds == distinct[:shown]
        assert question.relevant == distinct[shown:]
        assert len(question.relevant) >= LEAST_HELD_OUT


def test_a_playlist_takes_part_where_it_is_long_enough_and_has_a_title() -> None:
    """Ten tracks allow up to five seeds; without a title there is no title slice."""
    titled, untitled = Playlist(0, "jazz", tuple(range(10))), Playlist(1, " ", tuple(range(9)))
    asked = [(question.playlist, question.slice) for question in ask([titled, untitled])]
    assert asked == [(0, "title"), (0, "1"), (1, "1"), (0, "5")]


def test_categories_are_the_challenges() -> None:
    """Seeds and titles as the challenge shows them; random seeds are a playlist's own, whatever else is asked."""
    playlists = [Playlist(i, "rock", tuple(range(i, i + 150))) for i in range(3)]
    for category in CATEGORIES:
        for question, playlist in zip(ask_category(playlists, category, seed=5), playlists, strict=True):
            assert len(question.seeds) == int("".join(c for c in category if c.isdigit()) or 0)
            assert bool(question.title) == category.startswith("title")
            assert sorted(question.seeds + question.relevant) == sorted(playlist.tracks)
            assert (question.seeds == playlist.tracks[: len(question.seeds)]) == ("random" not in category)
    one = ask_category(playlists, "title+25random", seed=5)[2]
    assert ask_category(playlists[2:], "title+25random", seed=5) == [one]
    assert ask_category(playlists[2:], "title+25random", seed=6) != [one]


def test_a_sample_is_the_seeds_and_keeps_the_order() -> None:
    """The same seed draws the same playlists; asking for all or more draws nothing."""
    playlists = [Playlist(i, "", ()) for i in range(50)]
    drawn = sample_playlists(playlists, 10, seed=1)
    assert drawn == sample_playlists(playlists, 10, seed=1) != sample_playlists(playlists, 10, seed=2)
    assert [playlist.number for playlist in drawn] == sorted({playlist.number for playlist in drawn})
    assert sample_playlists(playlists, None, 1) == sample_playlists(playlists, 60, 1) == playlists
