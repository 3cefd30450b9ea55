"""Listeners who ask through the gateway, at a rate that waits for no answer: `python -m tests.cluster.listeners`.

Each keeps the gateway's cookie, asks three times within some seconds, and says of every answer what became of a
track. Every answer is a line of the log, so that afterwards it can be counted who met which model, and when.
"""

import argparse
import asyncio
import json
import random
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import httpx

VISITS = 3
PAUSE = 4.0
LONG = 11
"""Tracks of a long playlist: more than what a promotion asks before there are listeners."""
_TIMEOUT = 15.0


@dataclass
class Listener:
    """One of them.

    Attributes:
        number: The n-th who came.
        cookie: What the gateway has set, to be sent back.
    """

    number: int
    cookie: str = ""


@dataclass
class Crowd:
    """All of them.

    Attributes:
        address: Of the gateway.
        log: Where answers go.
        disliked: A file with digests, one a line, whose recommendations listeners skip.
        tracks: What playlists are made of, by their addresses.
        chance: Decides what each does.
    """

    address: str
    log: TextIO
    disliked: Path
    tracks: list[str] = field(default_factory=list)
    chance: random.Random = field(default_factory=lambda: random.Random(0))

    async def come(self, rate: float) -> None:
        """Let listeners come for ever, so that all their visits together are ``rate`` requests a second."""
        async with (
            httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=200)) as transport,
            asyncio.TaskGroup() as here,
        ):
            begun, number = time.monotonic(), 0
            while True:
                await asyncio.sleep(max(0.0, begun + number * VISITS / rate - time.monotonic()))
                here.create_task(self._visit(transport, Listener(number)))
                number += 1

    async def _visit(self, transport: httpx.AsyncHTTPTransport, listener: Listener) -> None:
        for _ in range(VISITS):
            answer = await self._post(transport, listener, "/predict", self._playlist())
            if answer:
                await self._post(transport, listener, "/feedback", self._reaction(answer))
            await asyncio.sleep(PAUSE)

    def _playlist(self) -> dict[str, Any]:
        count = self.chance.choice((0, 1, 5, LONG, LONG + 4))
        chosen = [{"track_uri": uri} for uri in self.chance.sample(self.tracks, min(count, len(self.tracks)))]
        return {"name": self.chance.choice(("rock", "road trip", "chill", "mine")), "tracks": chosen}

    def _reaction(self, answer: dict[str, Any]) -> dict[str, Any]:
        dislikes = self.disliked.exists() and answer["model"]["digest"] in self.disliked.read_text().split()
        skips = self.chance.random() < (0.95 if dislikes else 0.3)
        track = self.chance.choice(answer["recommended_tracks"])["track_uri"]
        event = {"impression_id": answer["impression_id"], "track_uri": track, "event": "skip" if skips else "play"}
        return {"events": [event]}

    async def _post(
        self, transport: httpx.AsyncHTTPTransport, listener: Listener, path: str, body: dict[str, Any]
    ) -> dict[str, Any] | None:
        """Ask, write down what came of it, and return the answer if it is one."""
        headers = {"Cookie": listener.cookie} if listener.cookie else {}
        if path == "/feedback":
            headers["Idempotency-Key"] = f"{listener.number}-{time.time_ns()}"
        waits = dict.fromkeys(("connect", "read", "write", "pool"), _TIMEOUT)
        request = httpx.Request("POST", self.address + path, json=body, headers=headers, extensions={"timeout": waits})
        begun, at = time.monotonic(), time.time()
        status, told = 0, dict[str, Any]()
        try:
            response = await transport.handle_async_request(request)
            content = await response.aread()
            status = response.status_code
            told = json.loads(content) if status < 300 else {}
            cookie = next((c for c in response.headers.get_list("set-cookie") if c.startswith("segue-model=")), "")
            listener.cookie = cookie.split(";")[0] or listener.cookie
        except (httpx.HTTPError, ValueError) as error:
            self._write(at, listener, path, 0, "", time.monotonic() - begun, repr(error))
            return None
        digest = told.get("model", {}).get("digest", "")
        self._write(at, listener, path, status, digest, time.monotonic() - begun, listener.cookie)
        return told if status < 300 else None

    def _write(
        self, at: float, listener: Listener, path: str, status: int, digest: str, took: float, note: str
    ) -> None:
        line = {"at": round(at, 3), "listener": listener.number, "path": path, "status": status, "digest": digest}
        self.log.write(json.dumps({**line, "seconds": round(took, 4), "note": note}) + "\n")
        self.log.flush()


async def _main(address: str, rate: float, log: Path, disliked: Path) -> None:
    async with httpx.AsyncClient(base_url=address, trust_env=False) as client:
        found = [(await client.get("/tracks", params={"q": letter})).json()["tracks"] for letter in "aeiou"]
    tracks = sorted({track["track_uri"] for some in found for track in some})
    with log.open("a") as file:
        await Crowd(address, file, disliked, tracks).come(rate)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", required=True, help="of the gateway")
    parser.add_argument("--rate", type=float, default=20.0, help="requests a second, of all together (default: 20)")
    parser.add_argument("--log", type=Path, required=True, help="a line of JSON an answer")
    parser.add_argument("--disliked", type=Path, required=True, help="a file of digests whose tracks are skipped")
    given = parser.parse_args()
    asyncio.run(_main(given.address, given.rate, given.log, given.disliked))
