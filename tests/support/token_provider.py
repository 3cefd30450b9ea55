"""An OpenID Connect provider on the loopback: its keys over HTTP, and tokens that it signs."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

AUDIENCE = "segue"


class Provider:
    """Signs tokens.

    Attributes:
        issuer: Its address.
        asked: Paths that it was asked for.
        answers: Whether it answers when it is asked for its keys; until it is set again it hangs.
    """

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.asked: list[str] = []
        self.answers = threading.Event()
        self.answers.set()
        self._key = ec.generate_private_key(ec.SECP256R1())

    def answer(self, path: str) -> Any:
        """Return the document at a path, None where there is none."""
        self.asked.append(path)
        if path == "/.well-known/openid-configuration":
            return {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/keys"}
        if path == "/keys":
            self.answers.wait(60)
            key = json.loads(ECAlgorithm.to_jwk(self._key.public_key()))
            return {"keys": [{**key, "kid": "one", "use": "sig", "alg": "ES256"}]}
        return None

    def token(self, key: Any = None, algorithm: str = "ES256", kid: str = "one", **claims: Any) -> str:
        """Return a token for a minute; ``claims`` replace its own, and None leaves one out."""
        own = {"iss": self.issuer, "aud": AUDIENCE, "sub": "player", "exp": int(time.time()) + 60}
        payload = {name: value for name, value in {**own, **claims}.items() if value is not None}
        signing: Any = None if algorithm == "none" else key or self._key
        return jwt.encode(payload, signing, algorithm, headers={"kid": kid})


@contextmanager
def provider() -> Iterator[Provider]:
    """Yield a provider that answers."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            document = made.answer(self.path)
            self.send_response(200 if document else 404)
            self.end_headers()
            self.wfile.write(json.dumps(document).encode())

        def log_message(self, format: str, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made = Provider(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
