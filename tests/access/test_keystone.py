"""Tokens of a Keystone: whose they are, what is remembered, and what happens while Keystone is away."""

import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from deuteron.api import auth_keystone
from deuteron.settings import KeystoneSettings, ServerSettings
from deuteron.store import Database
from tests.access.conftest import ONE, OTHER
from tests.access.keystone_double import Keystone
from tests.api.conftest import Answer, Client, serve


@pytest.fixture
def keystone() -> Iterator[Keystone]:
    running = Keystone()
    yield running
    running.close()


@pytest.fixture
def database_url(_prepared_sqlite: Path, tmp_path: Path) -> str:
    """One kind of database is enough here."""
    path = shutil.copy(_prepared_sqlite, tmp_path / "deuteron.db")
    return f"sqlite:///{path}"


@pytest.fixture
def api(db: Database, keystone: Keystone) -> Iterator[Client]:
    settings = KeystoneSettings(
        auth_url=keystone.url, password="secret", www_authenticate_uri="http://keystone.example:5000"
    )
    yield from serve(db, ServerSettings(auth="keystone"), settings)


def networks(api: Client, **headers: str) -> Answer:
    return api.get("/networks", **{name.replace("_", "-"): value for name, value in headers.items()})


def test_whose_token(api: Client, keystone: Keystone) -> None:
    member = {"X-Auth-Token": keystone.token("member", "reader", project=ONE)}
    made = api.request("POST", "/networks", {"network": {"name": "n"}}, member)
    assert made.status == 201
    assert made.body["network"]["project_id"] == ONE
    path = f"/networks/{made.body['network']['id']}"
    assert api.get(path, **member).status == 200
    assert api.get(path, **{"X-Auth-Token": keystone.token("member", project=OTHER)}).status == 404
    assert api.get(path, **{"X-Auth-Token": keystone.token("ADMIN", project=OTHER)}).status == 200
    assert len(set(keystone.asked)) == len(keystone.asked) == 3, "each token is validated once"


def test_no_token_and_wrong_ones(api: Client, keystone: Keystone) -> None:
    for answer in (networks(api), networks(api, X_Auth_Token="made-up"), networks(api, X_Auth_Token="é")):
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == 'Keystone uri="http://keystone.example:5000"'
        assert answer.body["error"]["code"] == 401
    networks(api, X_Auth_Token="made-up")
    assert keystone.asked.count("made-up") == 1, "it is remembered that a token is not good"
    assert api.get("//").status == 200, "which versions there are is no secret"
    assert api.get("//v1/status").status == 401
    assert api.get("/there/is/nothing").status == 401


def test_a_token_expires_also_in_memory(
    api: Client, keystone: Keystone, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = keystone.token("member", project=ONE, seconds=100)
    assert networks(api, X_Auth_Token=token).status == 200
    monkeypatch.setattr(auth_keystone, "time", SimpleNamespace(time=lambda: time.time() + 101))
    assert networks(api, X_Auth_Token=token).status == 401


def test_a_service_carries_on_for_a_user(api: Client, keystone: Keystone) -> None:
    late = keystone.token("reader", project=ONE, seconds=-1)
    assert networks(api, X_Auth_Token=late).status == 401
    service = keystone.token("service", project="service")
    assert networks(api, X_Auth_Token=late, X_Service_Token=service).status == 200
    assert networks(api, X_Auth_Token=late).status == 401
    user = keystone.token("member", project=ONE)
    assert networks(api, X_Auth_Token=late, X_Service_Token=user).status == 401
    assert networks(api, X_Auth_Token=user, X_Service_Token="made-up").status == 401


def test_a_token_for_the_system(api: Client, keystone: Keystone) -> None:
    token = keystone.token("admin", system=True)
    answer = networks(api, X_Auth_Token=token)
    assert (answer.status, answer.error) == (403, "InvalidScope")
    assert api.get("//v1/status", **{"X-Auth-Token": token}).status == 200


def test_keystone_is_away(api: Client, keystone: Keystone) -> None:
    known, new = keystone.token("reader", project=ONE), keystone.token("reader", project=ONE)
    assert networks(api, X_Auth_Token=known).status == 200
    keystone.down = True
    assert networks(api, X_Auth_Token=known).status == 200
    assert networks(api, X_Auth_Token=new).status == 503
    keystone.down = False
    assert networks(api, X_Auth_Token=new).status == 200


def test_many_requests_ask_once(api: Client, keystone: Keystone) -> None:
    warm = keystone.token("reader", project=ONE)
    assert networks(api, X_Auth_Token=warm).status == 200
    token = keystone.token("reader", project=ONE)
    keystone.delay.clear()

    def ask(_: int) -> int:
        client = Client(api.port)
        try:
            return networks(client, X_Auth_Token=token).status
        finally:
            client.close()

    with ThreadPoolExecutor(8) as threads:
        answers = [threads.submit(ask, number) for number in range(8)]
        time.sleep(0.5)
        keystone.delay.set()
        assert [answer.result() for answer in answers] == [200] * 8
    assert keystone.asked.count(token) == 1


def test_our_own_token_is_renewed(api: Client, keystone: Keystone) -> None:
    assert networks(api, X_Auth_Token=keystone.token("reader", project=ONE)).status == 200
    keystone.tokens.clear()
    assert networks(api, X_Auth_Token=keystone.token("reader", project=ONE)).status == 200


@pytest.mark.parametrize("auth_url", ["http://127.0.0.1:9", "http://127.0.0.1:9/v3"])
def test_nobody_there(db: Database, auth_url: str) -> None:
    keystone = KeystoneSettings(auth_url=auth_url, http_request_max_retries=0)
    for api in serve(db, ServerSettings(auth="keystone"), keystone):
        assert networks(api, X_Auth_Token="anything").status == 503
