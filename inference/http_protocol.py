"""HTTP/1.1 as uvicorn reads it, but that what is no HTTP at all is refused by a problem document as well."""

from http import HTTPStatus

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from inference.problems import problem

_REFUSAL = problem(HTTPStatus.BAD_REQUEST, "This is no HTTP/1.1 request.", headers={"Connection": "close"})


class HttpProtocol(H11Protocol):
    """One connection."""

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be read; no application is asked, so that no middleware sees it either."""
        refusal = h11.Response(status_code=_REFUSAL.status_code, headers=_REFUSAL.raw_headers, reason=b"Bad Request")
        for event in (refusal, h11.Data(data=bytes(_REFUSAL.body)), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
