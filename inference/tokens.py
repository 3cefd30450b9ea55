"""Bearer tokens of an OpenID Connect provider (RFC 6750, RFC 7519, OpenID Connect Discovery 1.0)."""

import json
import logging
import time
from threading import Lock
from typing import Any
from urllib.request import Request, urlopen

import jwt

from inference.access import LONGEST_NAME, Principal, Refused, UnverifiableError
from segue.errors import NO_ANSWER, InputError

_LOG = logging.getLogger("segue.access")
# Signatures alone: a provider's public key must never be taken for a shared secret (RFC 8725, section 2.1).
_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_LOCAL = ("http://127.0.0.1:", "http://localhost:")
_TIMEOUT = 5  # seconds
_LEEWAY = 30  # seconds that clocks may differ by
_RETRY = 30.0  # seconds after which a provider that did not answer is asked again


class _Keys(jwt.PyJWKClient):
    """The provider's keys. Where it does not answer, it is left alone for a while.

    Who waits for its answer holds a lock: each of many tokens would wait for the whole time, one after the other.
    """

    _failed = float("-inf")

    def fetch_data(self) -> Any:
        """Return the set of keys, asked for anew."""
        if time.monotonic() - self._failed < _RETRY:
            raise jwt.PyJWKClientConnectionError("The provider of tokens did not answer a moment ago.")
        try:
            return super().fetch_data()
        except (jwt.PyJWKClientConnectionError, *NO_ANSWER):
            self._failed = time.monotonic()
            raise


class Tokens:
    """Bearer tokens (JWT) of one OpenID Connect provider, for one audience."""

    def __init__(self, issuer: str, audience: str) -> None:
        """Trust ``issuer``; its keys are fetched when the first token comes, and when a token names a new one.

        Raises:
            InputError: The issuer is not reached safely.
        """
        if not issuer.startswith(("https://", *_LOCAL)) or not audience:
            raise InputError(
                "SEGUE_OIDC_ISSUER has to begin with https://, and SEGUE_OIDC_AUDIENCE has to be set with it."
            )
        self._issuer, self._audience = issuer, audience
        self._keys: _Keys | None = None
        self._failed, self._discovering = float("-inf"), Lock()

    def has_form(self, secret: str) -> bool:
        """Return whether this may be a token, which only its provider's keys can tell then."""
        return secret.count(".") == 2

    def recognise(self, secret: str) -> Principal:
        """Return whose token this is. It may take as long as the provider needs for its keys.

        Raises:
            Refused: Nobody's.
            UnverifiableError: That cannot be told now.
        """
        try:
            claims: dict[str, Any] = jwt.decode(
                secret,
                self._client().get_signing_key_from_jwt(secret),
                algorithms=list(_ALGORITHMS),
                audience=self._audience,
                issuer=self._issuer,
                leeway=_LEEWAY,
                options={"require": ["exp", "sub"]},
            )
        except (jwt.PyJWKClientConnectionError, *NO_ANSWER) as error:
            raise UnverifiableError("The provider of tokens does not answer.") from error
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise Refused from error
        subject = str(claims["sub"])
        if not subject.isprintable() or len(subject) > LONGEST_NAME - 10:
            raise Refused
        return Principal(f"token:{subject}")

    def _client(self) -> _Keys:
        with self._discovering:  # once, and not by each of the tokens that come first
            if self._keys is None:
                if time.monotonic() - self._failed < _RETRY:
                    raise UnverifiableError("The provider of tokens did not answer a moment ago.")
                try:
                    self._keys = _Keys(self._discover(), lifespan=600, timeout=_TIMEOUT)
                except (*NO_ANSWER, ValueError, KeyError, TypeError) as error:
                    self._failed = time.monotonic()
                    _LOG.warning(
                        "the provider of tokens cannot be asked", extra={"issuer": self._issuer, "reason": repr(error)}
                    )
                    raise UnverifiableError("The provider of tokens does not answer.") from error
            return self._keys

    def _discover(self) -> str:
        """Return where the provider's keys are (OpenID Connect Discovery, section 4)."""
        address = self._issuer.rstrip("/") + "/.well-known/openid-configuration"
        with urlopen(Request(address), timeout=_TIMEOUT) as answer:  # noqa: S310 - checked above
            told = json.load(answer)
        if told["issuer"] != self._issuer:
            raise ValueError(f"{address} speaks for {told['issuer']}")
        place = str(told["jwks_uri"])
        if not place.startswith(("https://", *_LOCAL)):
            raise ValueError(f"{address} names keys at {place}")
        return place
