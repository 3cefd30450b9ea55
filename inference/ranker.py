"""Rank a bundle's whole catalogue for playlists: what the service answers with, and what evaluation judges."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from inference.diversity import POOL, calibrate
from inference.graph import Graph, first_line, open_graph
from segue.bundle import CATALOGUE, PROMPT_TOKENIZER, SPELLING, TOKENIZER, Bundle
from segue.catalogue import Catalogue
from segue.errors import BundleError, InputError
from segue.query import Encoding, Query, Tokenise, encode
from segue.spelling import Spelling

Ids = NDArray[np.int64]
Scores = NDArray[np.float32]

# A pass holds a few rows of one float per track and query; 2**25 of them, 16 queries over two million tracks, are
# 128 MiB.
_SCORES_PER_PASS = 2**25
_QUERIES_PER_PASS = 16  # of like size: measured, 64 took a third longer


@dataclass(frozen=True, slots=True)
class Ranker:
    """A verified bundle, loaded and warm. Immutable, and safe to share between threads.

    Attributes:
        bundle: The bundle on disk, with its digest and manifest.
        catalogue: Its tracks.
        encoding: Sizes of the graph's inputs.
    """

    bundle: Bundle
    catalogue: Catalogue
    encoding: Encoding
    _tokenise: Tokenise
    _tokenise_prompt: Tokenise | None
    _spelling: Spelling
    _graph: Graph

    @property
    def kind(self) -> str:
        """How it ranks: by a ``scan`` of the catalogue, or by the whole ``graph``."""
        return self._graph.kind

    @classmethod
    def open(cls, path: Path, digest: str | None = None, threads: int | None = None) -> "Ranker":
        """Verify the bundle at ``path``, load it and run it once.

        Args:
            path: The bundle's folder.
            digest: The digest asked for, ``sha256:…``; without it the folder is only checked against itself.
            threads: CPU threads of one pass; without it all cores.

        Raises:
            BundleError: The bundle does not verify, or verifies but cannot be run.
        """
        return cls.load(Bundle.open(path, digest), threads)

    @classmethod
    def load(cls, bundle: Bundle, threads: int | None = None) -> "Ranker":
        """Load and warm a bundle that was verified; as `open` otherwise."""
        catalogue = Catalogue(bundle.file(CATALOGUE))
        encoding = _read_encoding(bundle, len(catalogue))
        tokenise, own = _load_tokenizer(bundle, TOKENIZER), _load_prompt_tokenizer(bundle, encoding)
        spelling = _load_spelling(bundle)
        ranker = cls(bundle, catalogue, encoding, tokenise, own, spelling, open_graph(bundle, threads))
        ranker._warm_up()
        return ranker

    def query(
        self,
        seeds: Sequence[int],
        title: str = "",
        unknown: Sequence[str] = (),
        stand_ins: Sequence[int] = (),
        ordered: bool = True,
        artists: Sequence[int] = (),
    ) -> Query:
        """Return a playlist to continue; a repeated seed counts once.

        Of its known tracks those that a prompt reads, the last ones, are spelled out from the catalogue.

        Args:
            seeds: Catalogue ids of the playlist's tracks, in order.
            title: Its title, or "".
            unknown: Tracks that the catalogue lacks, each as words (`segue.track.track_words`).
            stand_ins: Catalogue ids that are read beside them (`inference.matching.stand_ins`).
            ordered: Whether its tracks stand in the order in which they were added.
            artists: Catalogue ids of tracks whose artists alone are heard (`inference.matching.Matched.artists`).

        Raises:
            InputError: One of the ids is not of this catalogue.
        """
        distinct = tuple(dict.fromkeys(int(seed) for seed in seeds))
        beside = tuple(dict.fromkeys(int(track) for track in stand_ins if track not in distinct))
        heard = tuple(int(track) for track in artists)
        self._check_seeds((*distinct, *beside, *heard))
        words = tuple(track.words for track in self.catalogue.tracks(distinct[-self.encoding.prompt_tracks :]))
        return Query(distinct, title, tuple(unknown), words, beside, ordered, heard)

    def rank(self, queries: Sequence[Query], k: int = 500, diversity: float = 0.0) -> tuple[Ids, Scores]:
        """Return the best ``k`` tracks of the whole catalogue for each of B playlists, without their own tracks.

        Titles are read as `segue.spelling.Spelling.mend` writes them, where the bundle knows how titles are spelled.

        Args:
            queries: The playlists.
            k: How many tracks.
            diversity: 0 ranks by score; above it, up to 1, the best candidates are re-ranked (`inference.diversity`).

        Returns:
            Ids, int64 (B, k), best first, -1 where no track is left, and their scores, float32 (B, k), there -inf.

        Raises:
            InputError: A seed is not of this catalogue, a text is no valid Unicode, ``k`` is below 1, or ``diversity``
                is not from 0 to 1.
        """
        if k < 1:
            raise InputError(f"A ranking needs at least one place, and k is {k}; ask for 1 or more.")
        if not 0 <= diversity <= 1:
            raise InputError(f"A ranking's diversity goes from 0 to 1, and it is {diversity}; ask for one of these.")
        if not diversity:
            return self._rank(queries, k)
        ids, scores = self._rank(queries, max(k, POOL))
        for row, query in enumerate(queries):
            order = self._calibrated(query, ids[row], scores[row], diversity, k)
            ids[row], scores[row] = ids[row][order], scores[row][order]
        return ids[:, :k], scores[:, :k]

    def _calibrated(self, query: Query, ids: Ids, scores: Scores, diversity: float, k: int) -> Ids:
        """Return the order (n,) in which a ranking's n places stand after re-ranking the first of them."""
        everywhere = np.arange(len(ids))
        count = min(POOL, int((ids >= 0).sum()))
        own = (*query.seeds, *query.stand_ins)
        vectors = self._graph.directions(np.array([*own, *ids[:count]], np.int64))
        if vectors is None or not count:
            return everywhere
        candidates = vectors[len(own) :]
        # One track, or a title, has no shares; what may follow it then tells the moods, and how much of each.
        profile = vectors[: len(own)] if len(own) > 1 else candidates
        first = calibrate(profile, candidates, scores[:count], diversity, min(k, count))
        return np.concatenate([first, np.setdiff1d(everywhere, first)])

    def _rank(self, queries: Sequence[Query], k: int) -> tuple[Ids, Scores]:
        """Rank by score; as `rank` otherwise."""
        for query in queries:
            self._check(query)
        if len(queries) == 1:
            return self._pass(queries, k)
        ids, scores = np.full((len(queries), k), -1, np.int64), np.full((len(queries), k), -np.inf, np.float32)
        size = max(1, min(_QUERIES_PER_PASS, _SCORES_PER_PASS // max(1, len(self.catalogue))))
        # A pass costs each of its playlists what its longest one does, and the text encoder if any has unknown tracks.
        order = sorted(range(len(queries)), key=lambda row: _size(queries[row]))
        for start in range(0, len(queries), size):
            part = order[start : start + size]
            ids[part], scores[part] = self._pass([queries[row] for row in part], k)
        return ids, scores

    def _pass(self, queries: Sequence[Query], k: int) -> tuple[Ids, Scores]:
        """Rank a few playlists in one run of the graph; as `rank` otherwise."""
        ids, scores = np.full((len(queries), k), -1, np.int64), np.full((len(queries), k), -np.inf, np.float32)
        # The graph excludes the seeds that it reads; those that a long playlist holds beyond them are dropped here.
        unread = [frozenset(query.seeds[: -self.encoding.seed_limit]) for query in queries]
        wanted = min(k + max(map(len, unread)), len(self.catalogue))
        found, values = self._run(queries, wanted)
        for row, hidden in enumerate(unread):
            keep = np.isfinite(values[row])
            if hidden:
                keep &= ~np.isin(found[row], list(hidden))
            count = min(k, int(keep.sum()))
            ids[row, :count] = found[row][keep][:count]
            scores[row, :count] = values[row][keep][:count]
        return ids, scores

    def _run(self, queries: Sequence[Query], k: int) -> tuple[Ids, Scores]:
        read = [replace(query, title=self._spelling.mend(query.title)) for query in queries]
        inputs = encode(read, self.encoding, self._tokenise, self._tokenise_prompt)
        return self._graph.run(inputs, k)

    def _warm_up(self) -> None:
        """Run every branch of the graph once, so that a bundle that cannot answer never becomes ready."""
        try:
            query = self.query(range(min(1, len(self.catalogue))), "warm up", ("warm up",))
            found, values = self._run([Query(), query], min(2, len(self.catalogue)))
        except Exception as error:  # onnxruntime's and tokenizers' errors have no common base but this one
            raise BundleError(
                f"The model of the bundle at {self.bundle.path} cannot be run ({first_line(error)}); export it again."
            ) from error
        right = found.shape == values.shape and found.dtype == np.int64 and values.dtype == np.float32
        if not right or np.isnan(values).any():
            raise BundleError(
                f"The model of the bundle at {self.bundle.path} answers with no ranking; export it again."
            )

    def _check(self, query: Query) -> None:
        self._check_seeds((*query.seeds, *query.stand_ins, *query.artists))
        for text in (query.title, *query.unknown, *query.words):
            if not _is_unicode(text):
                raise InputError(f"The text {text!r} is no valid Unicode; send it without lone surrogates.")

    def _check_seeds(self, seeds: Sequence[int]) -> None:
        for seed in seeds:
            if not 0 <= seed < len(self.catalogue):
                raise InputError(
                    f"The catalogue has {len(self.catalogue)} tracks and no track number {seed}; "
                    "take ids from this bundle's catalogue."
                )


def _size(query: Query) -> tuple[int, int, int]:
    """Return how large a query makes a graph's inputs: unknown tracks first, which cost most."""
    return len(query.unknown), len(query.seeds), len(query.title) + sum(map(len, query.words))


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _read_encoding(bundle: Bundle, tracks: int) -> Encoding:
    try:
        encoding = Encoding.from_json(bundle.manifest.model["encoding"])
        ranked = int(bundle.manifest.model["tracks"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BundleError(
            f"The manifest of the bundle at {bundle.path} does not say how its inputs are encoded ({error!r}); "
            "export it again."
        ) from error
    if ranked != tracks:
        raise BundleError(
            f"The bundle at {bundle.path} ranks {ranked} tracks and its catalogue has {tracks}; export it again."
        )
    return encoding


def _load_tokenizer(bundle: Bundle, name: str) -> Tokenise:
    """Return a function from texts to the ids of their pieces, without special tokens."""
    try:
        tokenizer = Tokenizer.from_file(str(bundle.file(name)))
    except Exception as error:  # tokenizers raises bare Exceptions
        raise BundleError(
            f"The tokenizer of the bundle at {bundle.path} cannot be read ({first_line(error)}); export it again."
        ) from error
    # `segue.query.encode` cuts and pads; what the file says of both served its training.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    # One by one: for a batch the library wakes its own threads, which costs a request more than it saves.
    return lambda texts: [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]


def _load_spelling(bundle: Bundle) -> Spelling:
    """Return how titles are spelled; a bundle without one has its titles read as they are."""
    return Spelling.read(bundle.file(SPELLING)) if SPELLING in bundle.manifest.files else Spelling({})


def _load_prompt_tokenizer(bundle: Bundle, encoding: Encoding) -> Tokenise | None:
    """Return as `_load_tokenizer` for prompts, or None where the text encoder's tokenizer spells them too."""
    listed = PROMPT_TOKENIZER in bundle.manifest.files
    if listed != encoding.own_prompt:
        raise BundleError(
            f"The bundle at {bundle.path} has either {PROMPT_TOKENIZER} or the ids that frame prompts, and not both; "
            "export it again."
        )
    return _load_tokenizer(bundle, PROMPT_TOKENIZER) if listed else None
