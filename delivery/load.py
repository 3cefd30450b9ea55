"""An open-loop load generator: requests leave on time, whether or not the ones before were answered.

A closed loop sends the next request when the last one is answered, and so asks least when the service is slowest. Here
arrivals are a Poisson process that was drawn before, and a request's latency counts from when it was due: waiting for
our own turn is the listener's waiting, too ("coordinated omission", Tene 2013). Plain asyncio over sockets, since the
generator shares the cores with what it measures. `delivery` asks staging with it, and `benchmarks` a service beside it.
"""

import asyncio
import random
import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

ANSWERED_WITHIN = 10.0
"""Seconds after which nobody waits for an answer any more; it counts as none."""
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)")
_Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Load:
    """What came of a load.

    Attributes:
        seconds: How long it went on.
        latencies: Seconds of each answer with status 200, from when its request was due.
        late: Seconds by which each request left late: what the generator itself adds to all of the above.
        refused: Seconds of each 503.
        statuses: Answers by status; 0 where none came.
        strange: Answers with status 200 in which what was expected did not stand.
        usage: What the service used meanwhile, by name, where it was told.
    """

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    strange: int = 0
    usage: dict[str, float] = field(default_factory=dict)

    @property
    def sent(self) -> int:
        """How many requests left."""
        return self.statuses.total()

    def percentile(self, place: float) -> float:
        """Return the latency in seconds that ``place`` percent of the answers do not exceed; nan without answers."""
        return _percentile(self.latencies, place)

    @property
    def generator_late(self) -> float:
        """By how many seconds 95 of 100 requests left late at most: more than some milliseconds is a busy machine."""
        return _percentile(self.late, 95)

    def figures(self) -> dict[str, Any]:
        """Return what is printed and logged of it."""
        return {
            "n": self.sent,
            "seconds": self.seconds,
            "answers_a_second": self.statuses[200] / self.seconds if self.seconds else 0.0,
            "failed": sum(count for status, count in self.statuses.items() if status not in (200, 503)),
            "refused": self.statuses[503],
            "milliseconds": {f"p{place}": 1e3 * self.percentile(place) for place in (50, 90, 95, 99)},
            "generator_late_milliseconds": 1e3 * self.generator_late,
            **self.usage,
        }


def _percentile(seconds: Sequence[float], place: float) -> float:
    return float(np.percentile(seconds, place)) if seconds else float("nan")


async def drive(
    host: str,
    port: int,
    requests: Sequence[bytes],
    rate: float,
    seconds: float,
    seed: int = 0,
    *,
    path: str = "/predict",
    secure: bool = False,
    keep: bool = True,
    expected: bytes = b"",
) -> Load:
    """Send ``rate`` requests a second for ``seconds``, in turn from ``requests``, and return what came of it.

    Args:
        host: Where the service listens.
        port: The same.
        requests: Bodies of JSON.
        rate: Requests a second.
        seconds: For how long they leave; the last one is waited for `ANSWERED_WITHIN` at most.
        seed: Of the moments at which they leave.
        path: Where they go.
        secure: By TLS.
        keep: Whether connections are kept. Where several pods stand behind one address, a connection is one pod's;
            on one of its own each request may come to another.
        expected: What has to stand in every answer.
    """
    draw, load, connections = random.Random(seed), Load(), _Connections(host, port, path, secure, keep)

    async def one(body: bytes, due: float) -> None:
        load.late.append(time.perf_counter() - due)
        status, answer = await connections.post(body)
        took = time.perf_counter() - due
        load.statuses[status] += 1
        if status == 200:
            load.latencies.append(took)
            load.strange += expected not in answer
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
    await connections.close()
    return load


async def repeat(host: str, port: int, requests: Sequence[bytes], count: int, clients: int) -> Counter[int]:
    """Send ``count`` requests as fast as ``clients`` clients get answers; return how many answers each status had."""
    connections, statuses, left = _Connections(host, port), Counter[int](), iter(range(count))

    async def client() -> None:
        for number in left:
            status, _ = await connections.post(requests[number % len(requests)])
            statuses[status] += 1

    await asyncio.gather(*(client() for _ in range(clients)))
    await connections.close()
    return statuses


class _Connections:
    """Connections to one service: as many as wait at the same time, or where none is kept, one a request."""

    def __init__(self, host: str, port: int, path: str = "/predict", secure: bool = False, keep: bool = True) -> None:
        self._host, self._port, self._secure, self._keep = host, port, secure, keep
        named = f"[{host}]" if ":" in host else host
        named += "" if port == (443 if secure else 80) else f":{port}"
        close = "" if keep else "Connection: close\r\n"
        head = f"POST {path} HTTP/1.1\r\nHost: {named}\r\nContent-Type: application/json\r\n{close}"
        self._head = head.encode()
        self._idle: list[_Connection] = []

    async def post(self, body: bytes) -> tuple[int, bytes]:
        """Send one request and return the status and the body of its answer, 0 where none came in time."""
        try:
            async with asyncio.timeout(ANSWERED_WITHIN):
                return await self._ask(body)
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError):  # away, broken off, late, or no HTTP
            return 0, b""

    async def _ask(self, body: bytes) -> tuple[int, bytes]:
        reader, writer = self._kept() or await asyncio.open_connection(
            self._host, self._port, ssl=True if self._secure else None
        )
        try:
            writer.write(b"%sContent-Length: %d\r\n\r\n%s" % (self._head, len(body), body))
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            status, found = int(head[9:12]), _LENGTH.search(head)
            content = await reader.readexactly(int(found[1])) if found else await _chunks(reader)
        except BaseException:
            writer.close()
            raise
        if not self._keep or b"connection: close" in head:
            writer.close()
        else:
            self._idle.append((reader, writer))
        return status, content

    def _kept(self) -> _Connection | None:
        """Return a connection that is still open: a pod closes those that it keeps when it ends."""
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof() and not writer.is_closing():
                return reader, writer
            writer.close()
        return None

    async def close(self) -> None:
        for _, writer in self._idle:
            writer.close()
        await asyncio.sleep(0)  # asyncio closes them when it comes round


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    """Return a body that comes in chunks (RFC 9112, 7.1), as some gateways send it on."""
    content = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        content += (await reader.readexactly(size + 2))[:-2]
    await reader.readuntil(b"\r\n")
    return content
