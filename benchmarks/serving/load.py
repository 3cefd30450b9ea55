"""The requests of the benchmarks: playlists as long as real ones, cut as the challenge cuts them.

`delivery.load` sends them.
"""

import json
import random
from collections.abc import Sequence

# Tracks of a playlist at each twentieth of 8,057 real ones (Million Playlist Dataset).
LENGTHS = (5, 14, 20, 25, 32, 39, 47, 54, 62, 71, 81, 90, 101, 112, 124, 138, 153, 172, 193, 217, 250)
_SEEDS = (0, 1, 5, 10, 25, 100)
"""How much of a playlist is shown, as in the challenge of that dataset; 0 is the title alone."""


def bodies(uris: Sequence[str], count: int, seed: int, unknown: float = 0.1, diversity: float = 0.0) -> list[bytes]:
    """Return ``count`` requests: real lengths, cut as the challenge does, and a share of tracks that nobody knows.

    ``diversity`` is what each asks for.
    """
    draw = random.Random(seed)
    made = []
    for _ in range(count):
        place = draw.randrange(len(LENGTHS) - 1)
        length = draw.randint(LENGTHS[place], LENGTHS[place + 1])
        shown = min(length, draw.choice(_SEEDS), len(uris))
        tracks = [{"track_uri": uri} for uri in draw.sample(uris, shown)]
        for track in tracks:
            if draw.random() < unknown:
                track.clear()
                track |= {"track_name": f"Song {draw.randrange(10**6)}", "artist_name": "A New Band"}
        name = "late night drive" if shown == 0 or draw.random() < 0.6 else None
        asked = {"tracks": tracks, "name": name, "k": draw.choice((10, 10, 10, 100, 500)), "diversity": diversity}
        made.append(json.dumps(asked).encode())
    return made
