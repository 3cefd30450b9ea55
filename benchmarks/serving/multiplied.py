"""A trained ranker whose tracks stand several times, each a little off: as many tracks as a benchmark wants.

Its vectors, neighbours, weights, artists and names are what training made of real playlists, where random numbers make
no list like another. It says nothing of how well a ranker of so many tracks ranks.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from data_processing.dataset import Dataset
from segue.query import Encoding
from segue.track import Track
from train.encoder import LoadedEncoder, load_encoder
from train.export import load_ranker
from train.kin import Kin
from train.llara import encoding_of, settings_of
from train.llara_model import Ranker
from train.neighbourhood import Neighbourhood
from train.neighbours import NeighbourTable

AWAY = 0.3
"""How far a copy is from its track, as a share of the length of its own vector."""


def open_ranker(folder: Path, dataset: Dataset) -> tuple[Ranker, Encoding, LoadedEncoder]:
    """Return the ranker that stage ``llara`` wrote to ``folder``, its encoding, and the encoder that it was given."""
    settings = settings_of(folder)
    loaded = load_encoder(settings.encoder)
    ranker = load_ranker(folder, settings, dataset, loaded)
    return ranker, encoding_of(settings, loaded, ranker), loaded


def multiply(ranker: Ranker, tracks: int) -> Tensor:
    """Let the tracks of ``ranker`` stand ``tracks`` times in all, copies behind one another; return whose each is."""
    draw = torch.Generator().manual_seed(0)
    known = len(ranker.log_count)
    of = torch.arange(tracks) * known // tracks
    for skeleton in (ranker, ranker.second):
        if skeleton is None:
            continue
        table = skeleton.tracks
        table.catalogue = replace(
            table.catalogue,
            **{name: getattr(table.catalogue, name)[of] for name in ("artist", "album", "text", "count")},
        )
        own = table.own.weight.detach()[of]
        off = torch.randn(own.shape, generator=draw).mul_(AWAY * own.shape[1] ** -0.5)
        own += off.mul_(own.norm(dim=1, keepdim=True))
        bias = table.bias.weight.detach()[of]
        table.own, table.bias = (nn.Embedding(len(each), each.shape[1], _weight=each) for each in (own, bias))
        skeleton.log_count = skeleton.log_count[of]
    if ranker.kin is not None:
        kin = Kin(ranker.tracks.catalogue)
        kin.load_state_dict(ranker.kin.state_dict())
        ranker.kin = kin
    if (said := ranker.neighbourhood) is not None:
        first = torch.searchsorted(of, torch.arange(known)).int()
        rows = torch.cat([said.row[of], said.title_row]).squeeze(1)
        said_of = NeighbourTable(rows.numpy(), first[said.ids.long()].numpy(), said.values.numpy())
        more = Neighbourhood(said_of, len(said.title_row))
        more.load_state_dict(said.state_dict())
        ranker.neighbourhood = more
    return of


def names(dataset: Dataset, of: Tensor) -> Iterator[Track]:
    """Yield the tracks: the first of several alike has the real one's names and URI."""
    real = dataset.tracks(["uri", "title", "artist", "album"]).to_pylist()
    last = -1
    for number, one in enumerate(of.tolist()):
        track = Track(**real[one])
        if one == last:
            track = replace(track, uri=f"spotify:track:{number:022d}", title=f"{track.title} {number}")
        last = one
        yield track
