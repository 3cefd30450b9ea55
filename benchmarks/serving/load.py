"""An open-loop load generator: requests leave on time, whether or not the ones before were answered.

A closed loop sends the next request when the last one is answered, and so asks least when the service is slowest. Here
arrivals are a Poisson process that was drawn before, and a request's latency counts from when it was due: waiting for
our own turn is the listener's waiting, too ("coordinated omission", Tene 2013). Plain asyncio over sockets, since the
generator shares the cores with what it measures.
"""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

# Tracks of a playlist at each twentieth of 8,057 real ones (Million Playlist Dataset).
LENGTHS = (5, 14, 20, 25, 32, 39, 47, 54, 62, 71, 81, 90, 101, 112, 124, 138, 153, 172, 193, 217, 250)
_SEEDS = (0, 1, 5, 10, 25, 100)
"""How much of a playlist is shown, as in the challenge of that dataset; 0 is the title alone."""


@dataclass
class Load:
    """What came of a load.

    Attributes:
        seconds: How long it went on.
        latencies: Seconds of each answer with status 200, from when its request was due.
        refused: Seconds of each 503 with Retry-After.
        statuses: Answers by status; 0 where none came.
    """

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)


def bodies(uris: Sequence[str], count: int, seed: int, unknown: float = 0.1) -> list[bytes]:
    """Return ``count`` requests: real lengths, cut as the challenge does, and a share of tracks that nobody knows."""
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
        made.append(json.dumps({"tracks": tracks, "name": name, "k": draw.choice((10, 10, 10, 100, 500))}).encode())
    return made


_HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


class _Connections:
    """Keep-alive connections to one service; as many as wait at the same time."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def post(self, body: bytes) -> int:
        """Send one request and return the status of its answer, 0 where the connection broke."""
        try:
            reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection(self._host, self._port)
            writer.write(_HEAD % len(body) + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            status, headers = int(answer[9:12]), answer.lower()
            await reader.readexactly(int(headers.split(b"content-length: ")[1].split(b"\r\n")[0]))
        except (OSError, asyncio.IncompleteReadError):
            return 0
        if b"connection: close" in headers:
            writer.close()
        else:
            self._idle.append((reader, writer))
        return status

    def close(self) -> None:
        for _, writer in self._idle:
            writer.close()


async def drive(host: str, port: int, requests: Sequence[bytes], rate: float, seconds: float, seed: int = 0) -> Load:
    """Send ``rate`` requests a second for ``seconds``, in turn from ``requests``, and return what came of it."""
    draw, load, connections = random.Random(seed), Load(), _Connections(host, port)

    async def one(body: bytes, due: float) -> None:
        status = await connections.post(body)
        took = time.perf_counter() - due
        load.statuses[status] += 1
        if status == 200:
            load.latencies.append(took)
        elif status == 503:
            load.refused.append(took)

    begin = due = time.perf_counter()
    going: set[asyncio.Task[None]] = set()
    for number in range(int(rate * seconds * 2)):
        due += draw.expovariate(rate)
        if due - begin > seconds:
            break
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        task = asyncio.create_task(one(requests[number % len(requests)], due))
        going.add(task)
        task.add_done_callback(going.discard)
    await asyncio.gather(*going)
    load.seconds = time.perf_counter() - begin
    connections.close()
    return load


async def repeat(host: str, port: int, requests: Sequence[bytes], count: int, clients: int) -> Counter[int]:
    """Send ``count`` requests as fast as ``clients`` clients get answers; return how many answers each status had."""
    connections, statuses, left = _Connections(host, port), Counter[int](), iter(range(count))

    async def client() -> None:
        for number in left:
            statuses[await connections.post(requests[number % len(requests)])] += 1

    await asyncio.gather(*(client() for _ in range(clients)))
    connections.close()
    return statuses
