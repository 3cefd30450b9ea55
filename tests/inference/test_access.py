"""Who may ask for what: API keys, bearer tokens of a provider, and how often."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from inference.__main__ import main
from inference.access import ApiKeys, Principal, Refused, UnverifiableError, new_key
from inference.metrics import Metrics
from inference.service import Service
from inference.settings import read_settings
from inference.tokens import Tokens
from segue.errors import InputError
from tests.support.broken_server import BROKEN_OFF, ECHO, broken_server
from tests.support.running_service import running
from tests.support.token_provider import AUDIENCE, Provider, provider


@pytest.fixture(scope="module")
def provider_of_tokens() -> Iterator[Provider]:
    with provider() as one:
        yield one


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A key, and the file that knows it."""
    key, line = new_key("player")
    file = tmp_path_factory.mktemp("keys") / "keys"
    file.write_text(f"# who plays\n\n{line}  # since today\n")
    return key, file


@pytest.fixture(scope="module")
def closed(
    bundle_path: Path, key: tuple[str, Path], provider_of_tokens: Provider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """A client of a service that lets only known callers in."""
    settings = {
        "SEGUE_ACCESS": "closed",
        "SEGUE_API_KEYS": str(key[1]),
        "SEGUE_OIDC_ISSUER": provider_of_tokens.issuer,
        "SEGUE_OIDC_AUDIENCE": AUDIENCE,
    }
    with (
        running(bundle_path, tmp_path_factory.mktemp("closed") / "log", **settings) as service,
        httpx.Client(base_url=service.url, timeout=30) as client,
    ):
        yield client


def predict(client: httpx.Client, **headers: str) -> httpx.Response:
    return client.post("/predict", json={"name": "rock", "k": 2}, headers=headers)


def test_a_closed_service_lets_known_callers_in(
    closed: httpx.Client, key: tuple[str, Path], provider_of_tokens: Provider
) -> None:
    """A key in either header, or a token of the provider."""
    token = provider_of_tokens.token()
    for headers in ({"X-API-Key": key[0]}, {"Authorization": f"Bearer {key[0]}"}, {"Authorization": f"bearer {token}"}):
        assert predict(closed, **headers).status_code == 200
    assert closed.get("/tracks", headers={"X-API-Key": key[0]}).status_code == 200


@pytest.mark.parametrize(
    "headers", [{}, {"X-API-Key": "segue_no"}, {"Authorization": "Bearer a.b.c"}, {"Authorization": "Basic a"}]
)
def test_a_closed_service_lets_nobody_else_in(closed: httpx.Client, headers: dict[str, str]) -> None:
    """401 as a problem document, with the way to be let in, before the body is looked at."""
    for response in (predict(closed, **headers), closed.get("/tracks", headers=headers)):
        assert response.status_code == 401
        assert response.headers["content-type"] == "application/problem+json"
        assert response.headers["www-authenticate"].startswith("Bearer")


def test_probes_and_the_page_stay_open(closed: httpx.Client) -> None:
    """What a cluster asks, and the page, need no key."""
    assert {
        closed.get(path).status_code for path in ("/health", "/ready", "/metrics", "/model", "/", "/openapi.json")
    } == {200}


def test_a_known_caller_may_send_many_events(closed: httpx.Client, key: tuple[str, Path]) -> None:
    """A batch about answers of any listener, kept as a whole."""
    answers = [predict(closed, **{"X-API-Key": key[0]}).json() for _ in range(3)]
    events = [
        {"impression_id": a["impression_id"], "track_uri": a["recommended_tracks"][0]["track_uri"], "event": "click"}
        for a in answers
    ]
    headers = {"X-API-Key": key[0], "Idempotency-Key": os.urandom(8).hex()}
    response = closed.post("/feedback", json={"events": events}, headers=headers)
    assert (response.status_code, response.json()) == (202, {"kept": 3, "again": False})


def test_a_token_has_to_be_right_in_every_part(provider_of_tokens: Provider) -> None:
    """Another audience, another issuer, out of date, no subject, an unknown key, no signature, a shared secret."""
    tokens = Tokens(provider_of_tokens.issuer, AUDIENCE)
    assert tokens.recognise(provider_of_tokens.token()) == Principal("token:player")
    wrong: list[dict[str, Any]] = [
        {"aud": "other"},
        {"iss": "https://other"},
        {"exp": 1},
        {"exp": None},
        {"sub": None},
        {"sub": "a\nb"},
        {"kid": "two"},
        {"algorithm": "none"},
        {"key": "a shared secret of enough bytes....", "algorithm": "HS256"},
    ]
    for claims in wrong:
        with pytest.raises(Refused):
            tokens.recognise(provider_of_tokens.token(**claims))
    forged = provider_of_tokens.token()[:-4] + "AAAA"
    with pytest.raises(Refused):
        tokens.recognise(forged)


def test_unknown_keys_do_not_make_the_provider_be_asked_again_and_again() -> None:
    """Who sends tokens of made-up keys cannot use us to flood the provider."""
    with provider() as one:
        tokens = Tokens(one.issuer, AUDIENCE)
        for number in range(20):
            with pytest.raises(Refused):
                tokens.recognise(one.token(kid=str(number)))
        assert one.asked.count("/keys") <= 2


def test_a_provider_that_is_away_is_no_refusal(bundle_path: Path, tmp_path: Path) -> None:
    """503 and not 401: the token may be right. Who needs none is served."""
    settings = {"SEGUE_OIDC_ISSUER": "http://127.0.0.1:1", "SEGUE_OIDC_AUDIENCE": "x"}
    with (
        running(bundle_path, tmp_path / "log", **settings) as service,
        httpx.Client(base_url=service.url, timeout=30) as client,
    ):
        response = predict_with_feedback(client, "a.b.c")
        assert (response.status_code, response.headers["retry-after"]) == (503, "30")
        assert predict(client).status_code == 200


def test_a_provider_that_hangs_holds_nobody_else_up(key: tuple[str, Path], tmp_path: Path) -> None:
    """Twelve tokens wait for its keys, which it is asked for once; API keys, files and databases do not."""

    async def scenario(one: Provider) -> list[Principal | BaseException]:
        settings = {"bundle": tmp_path, "api_keys": key[1], "oidc_issuer": one.issuer, "oidc_audience": AUDIENCE}
        service = Service(read_settings(**settings), Metrics())
        waiting = [asyncio.create_task(service.recognise(one.token())) for _ in range(12)]
        await asyncio.sleep(0)
        assert await service.recognise(key[0]) == Principal("key:player")
        with pytest.raises(Refused):
            await service.recognise("segue_no")
        await asyncio.to_thread(lambda: None)
        assert not any(task.done() for task in waiting)
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        await service.close()
        return answers

    with provider() as one:
        one.answers.clear()
        answers = asyncio.run(scenario(one))
        one.answers.set()
        assert [type(answer) for answer in answers] == [UnverifiableError] * 12
        assert one.asked.count("/keys") == 1


def test_tokens_that_cannot_be_verified_count(bundle_path: Path, tmp_path: Path) -> None:
    """Against the address that they come from; anybody can make them."""
    settings = {"SEGUE_OIDC_ISSUER": "http://127.0.0.1:1", "SEGUE_OIDC_AUDIENCE": "x", "SEGUE_RATE_LIMIT": "0.01"}
    with (
        running(bundle_path, tmp_path / "log", SEGUE_RATE_BURST="3", **settings) as service,
        httpx.Client(base_url=service.url, timeout=30) as client,
    ):
        assert [predict(client, Authorization="Bearer a.b.c").status_code for _ in range(5)] == [503] * 3 + [429] * 2


@pytest.mark.parametrize("answer", [ECHO, BROKEN_OFF], ids=["echo", "broken off"])
def test_a_provider_that_gives_no_whole_answer_is_no_refusal(answer: bytes) -> None:
    """As one that is away."""
    with broken_server(answer) as issuer, pytest.raises(UnverifiableError):
        Tokens(issuer, AUDIENCE).recognise("a.b.c")


def predict_with_feedback(client: httpx.Client, token: str) -> httpx.Response:
    """Send feedback with a token."""
    event = {"impression_id": "x", "track_uri": "y", "event": "play"}
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "k"}
    return client.post("/feedback", json={"events": [event]}, headers=headers)


def test_a_client_that_asks_too_often_is_told_when_to_come_back(bundle_path: Path, tmp_path: Path) -> None:
    """429 with Retry-After, for that client alone: the gateway's word on who asks counts, and only the gateway's."""
    settings = {"SEGUE_RATE_LIMIT": "0.01", "SEGUE_RATE_BURST": "3", "SEGUE_TRUSTED_PROXIES": "127.0.0.0/8"}
    with (
        running(bundle_path, tmp_path / "log", **settings) as service,
        httpx.Client(base_url=service.url, timeout=30) as client,
    ):
        first = [predict(client, **{"X-Forwarded-For": "203.0.113.7"}) for _ in range(5)]
        assert [response.status_code for response in first] == [200, 200, 200, 429, 429]
        assert int(first[-1].headers["retry-after"]) >= 1
        assert first[-1].headers["content-type"] == "application/problem+json"
        assert predict(client, **{"X-Forwarded-For": "203.0.113.8"}).status_code == 200
        assert {client.get("/health").status_code for _ in range(9)} == {200}
    del settings["SEGUE_TRUSTED_PROXIES"]
    with (
        running(bundle_path, tmp_path / "log2", **settings) as service,
        httpx.Client(base_url=service.url, timeout=30) as client,
    ):
        statuses = [predict(client, **{"X-Forwarded-For": f"203.0.113.{i}"}).status_code for i in range(5)]
        assert statuses == [200, 200, 200, 429, 429]


def test_wrong_keys_count(bundle_path: Path, key: tuple[str, Path], tmp_path: Path) -> None:
    """Against the address that they come from; who has a key is let in from there all the same."""
    settings = {"SEGUE_API_KEYS": str(key[1]), "SEGUE_RATE_LIMIT": "0.01", "SEGUE_RATE_BURST": "3"}
    with (
        running(bundle_path, tmp_path / "log", **settings) as service,
        httpx.Client(base_url=service.url, timeout=30) as client,
    ):
        assert [predict(client, **{"X-API-Key": f"{i}"}).status_code for i in range(5)] == [401] * 3 + [429] * 2
        assert predict(client, **{"X-API-Key": key[0]}).status_code == 200


def test_a_key_is_made_and_its_file_holds_no_key(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The command prints the key once, and the line by which the service knows it."""
    assert main(["key", "player.1"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    key, line = first.removeprefix("key   "), second.removeprefix("line  ")
    assert line.startswith("player.1 sha256:")
    assert key not in line
    (tmp_path / "keys").write_text(line)
    keys = ApiKeys.read(tmp_path / "keys")
    assert (keys.recognise(key), keys.recognise(key + "x")) == (Principal("key:player.1"), None)
    assert main(["key", "a b"]) == 1
    assert "has to be 1 to 64 letters" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["player", "player md5:12", f"a b sha256:{'0' * 64}", f"p sha256:{'0' * 63}"])
def test_a_line_that_is_no_key_is_named(tmp_path: Path, text: str) -> None:
    """A service with a broken file of keys does not start."""
    (tmp_path / "keys").write_text(f"# keys\n{text}\n")
    with pytest.raises(InputError, match=r"Line 2 of .* is not `name sha256:"):
        ApiKeys.read(tmp_path / "keys")


def test_a_file_of_keys_that_is_missing_is_named(tmp_path: Path) -> None:
    """And not taken for an empty one."""
    with pytest.raises(InputError, match=r"cannot be read .*see SEGUE_API_KEYS"):
        ApiKeys.read(tmp_path / "keys")


@pytest.mark.parametrize(
    "issuer,audience", [("http://provider", "x"), ("ftp://provider", "x"), ("https://provider", "")]
)
def test_a_provider_is_only_asked_safely(issuer: str, audience: str) -> None:
    """Keys that come without TLS could be anybody's."""
    with pytest.raises(InputError, match="SEGUE_OIDC_ISSUER has to begin with https://"):
        Tokens(issuer, audience)
