"""What a part adds, playlist by playlist: the paired difference of two rankers and how sure its mean is."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

ADDS, NOTHING, COSTS = "adds", "adds nothing that shows", "costs"


@dataclass(frozen=True, slots=True)
class Gain:
    """A difference between a figure with a part and without it.

    Attributes:
        playlists: How many were asked about.
        whole: The figure with the part.
        mean: How much of it goes without the part; above 0 the part helps.
        low: Lower end of the interval; minus infinity below two playlists.
        high: Upper end of it.
    """

    playlists: int
    whole: float
    mean: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """`ADDS`, `COSTS`, or `NOTHING` where the interval holds 0."""
        if self.low > 0:
            return ADDS
        return COSTS if self.high < 0 else NOTHING

    def to_json(self) -> dict[str, int | float | str | None]:
        """Return it with 6 decimals; an end that is not known is null."""
        ends = {
            name: round(end, 6) if math.isfinite(end) else None
            for name, end in (("low", self.low), ("high", self.high))
        }
        means = {"whole": round(self.whole, 6), "gain": round(self.mean, 6)}
        return {"playlists": self.playlists, **means, **ends, "verdict": self.verdict}


def gain(
    whole: NDArray[np.float64], without: NDArray[np.float64], asked: NDArray[np.float64], alpha: float
) -> Gain | None:
    """Return what a part adds to a mean over playlists, or to a share of tracks; None where nothing was asked.

    The interval is the paired t interval over playlists, and for a share of tracks that of a ratio of two sums, whose
    tracks are found or missed together where they stand in one playlist.

    Args:
        whole: (n,) sums over what was asked of each playlist, with the part.
        without: (n,) the same without it.
        asked: (n,) how much was asked of each: 1 for a figure of the playlist, or its number of tracks.
        alpha: Chance with which the interval misses the true difference.
    """
    kept = asked > 0
    whole, without, asked = whole[kept], without[kept], asked[kept]
    count = len(asked)
    if not count:
        return None
    total, difference = float(asked.sum()), whole - without
    mean = float(difference.sum()) / total
    width = math.inf
    if count > 1:
        spread = float(np.square(difference - mean * asked).sum()) * count / (count - 1)
        width = float(special.stdtrit(count - 1, 1 - alpha / 2)) * math.sqrt(spread) / total
    return Gain(count, float(whole.sum()) / total, mean, mean - width, mean + width)
