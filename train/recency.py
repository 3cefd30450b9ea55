"""How much each track of a playlist counts: what was added last says most of what comes next.

The vectors know nothing of places. So the mean of the seeds, and the votes of their neighbours, count a track by a
power of how many tracks of the playlist came after it. Validation chooses the power by number of tracks: long playlists
gain much, short ones nothing, and those of which any tracks are shown lose (docs/research.md): where the tracks stand
in no order, all count alike. The votes of artists and albums have a power of their own (`train.kin`).
"""

import torch
from torch import Tensor, nn

from train.skeleton import BUCKETS, bucket_of


class Recency(nn.Module):
    """How loud a playlist's tracks are, the earlier the less."""

    def __init__(self, fade: float = 1.0) -> None:
        """Begin with all as loud as the last, or with another power; validation may choose (`train.weighing`)."""
        super().__init__()
        self.register_buffer("fade", torch.full((len(BUCKETS),), fade))
        self.fade: Tensor

    def forward(self, count: Tensor, ordered: Tensor, *present: Tensor) -> Tensor:
        """Return (B, S) how loud each track is: 1 for the last, 0 where there is none.

        Args:
            count: (B,) tracks of each playlist.
            ordered: (B,) 0 where they stand in no order.
            present: (B, S') false where there is no track, the last ones first. Tracks whose places among the others
                nobody knows come apart, and count their own places; S is the sum of S'.
        """
        fade = torch.where(ordered == 0, 1.0, self.fade[bucket_of(count)]).unsqueeze(1)
        return torch.cat([fade ** (part.cumsum(1) - 1).clamp(min=0) * part for part in present], 1)
