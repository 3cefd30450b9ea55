"""How often one client may ask: a token bucket for each, and a bound on how many are remembered."""

import time
from collections import OrderedDict
from collections.abc import Callable

MOST_CLIENTS = 10_000
"""Whoever asks from a million addresses must not fill the memory; the longest silent is forgotten first."""


class RateLimit:
    """Lets each client ask ``rate`` times a second, and ``burst`` times at once."""

    def __init__(
        self, rate: float, burst: float, most: int = MOST_CLIENTS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """A ``rate`` of 0 limits nobody."""
        self._rate, self._burst, self._most, self._clock = rate, max(1.0, burst), most, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str) -> float:
        """Count one request of ``client``; return 0 where it is allowed, else the seconds until the next one is."""
        if self._rate <= 0:
            return 0.0
        now = self._clock()
        tokens, since = self._buckets.pop(client, (self._burst, now))
        tokens = min(self._burst, tokens + (now - since) * self._rate)
        allowed = tokens >= 1
        self._buckets[client] = (tokens - allowed, now)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1 - tokens) / self._rate
