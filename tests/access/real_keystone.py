"""The same against a real Keystone: `make test-keystone`, for it takes minutes to install and to start.

DEUTERON_TEST_KEYSTONE is the directory of a virtual environment with Keystone and gunicorn.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deuteron.settings import KeystoneSettings, ServerSettings
from deuteron.store import Database
from tests.api.conftest import Client, serve

PASSWORD = "secret"
CONFIGURATION = """
[DEFAULT]
log_file = {root}/keystone.log
[database]
connection = sqlite:///{root}/keystone.db?timeout=60
[token]
provider = fernet
[fernet_tokens]
key_repository = {root}/fernet
[credential]
key_repository = {root}/credential
[identity]
password_hash_rounds = 4
"""


class Identity:
    """Keystone's API, as its administrator."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._token = self.token("admin", "admin")

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[Any, Any]:
        raw = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/v3{path}", raw, method=method)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            request.add_header(name, value)
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
            return json.loads(text) if text else None, answer.headers

    def token(self, user: str, project: str = "") -> str:
        """Return a token of a user, for a project or for the system."""
        default = {"id": "default"}
        identity = {"user": {"name": user, "domain": default, "password": PASSWORD}}
        scope = {"project": {"name": project, "domain": default}} if project else {"system": {"all": True}}
        auth = {"identity": {"methods": ["password"], "password": identity}, "scope": scope}
        return str(self.request("POST", "/auth/tokens", {"auth": auth})[1]["X-Subject-Token"])

    def create(self, kind: str, **attributes: Any) -> str:
        body, _ = self.request("POST", f"/{kind}s", {kind: attributes}, **{"X-Auth-Token": self._token})
        return str(body[kind]["id"])

    def user(self, name: str, project_id: str, *roles: str) -> None:
        """Create a user with roles in a project."""
        user = self.create("user", name=name, domain_id="default", password=PASSWORD)
        known, _ = self.request("GET", "/roles", **{"X-Auth-Token": self._token})
        ids = {role["name"]: role["id"] for role in known["roles"]}
        for role in roles:
            path = f"/projects/{project_id}/users/{user}/roles/{ids[role]}"
            self.request("PUT", path, **{"X-Auth-Token": self._token})

    def revoke(self, token: str) -> None:
        self.request("DELETE", "/auth/tokens", **{"X-Auth-Token": self._token, "X-Subject-Token": token})


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Identity]:
    programs = Path(os.environ["DEUTERON_TEST_KEYSTONE"], "bin")
    with serving(tmp_path_factory.mktemp("keystone"), programs) as running:
        yield running


@contextlib.contextmanager
def serving(root: Path, programs: Path) -> Iterator[Identity]:
    """Run a Keystone that keeps its data in a directory."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        port = one.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    _prepare(root, programs, url)
    (root / "gunicorn.conf.py").write_text(
        f'wsgi_app = "keystone.wsgi.api:application"\nbind = "127.0.0.1:{port}"\nworkers = 1\n'
    )
    environment = {
        **os.environ,
        "OS_KEYSTONE_CONFIG_FILES": f"{root}/keystone.conf",
        "GUNICORN_CMD_ARGS": f"--config {root}/gunicorn.conf.py",
    }
    with (root / "gunicorn.log").open("wb") as log:
        running = subprocess.Popen([programs / "gunicorn"], env=environment, stdout=log, stderr=log)
    try:
        _wait(url)
        yield _filled(Identity(url))
    finally:
        running.terminate()
        running.wait(120)


def _prepare(root: Path, programs: Path, url: str) -> None:
    (root / "keystone.conf").write_text(CONFIGURATION.format(root=root))
    for directory in ("fernet", "credential"):
        (root / directory).mkdir(mode=0o700)
    me = ["--keystone-user", "root", "--keystone-group", "root"]
    urls = [
        word for kind in ("admin", "internal", "public") for word in (f"--bootstrap-{kind}-url", f"{url}/v3")
    ]
    for command in (
        ["db_sync"],
        ["fernet_setup", *me],
        ["credential_setup", *me],
        ["bootstrap", "--bootstrap-password", PASSWORD, "--bootstrap-region-id", "RegionOne", *urls],
    ):
        words = [f"{programs}/keystone-manage", "--config-file", f"{root}/keystone.conf", *command]
        subprocess.run(words, check=True, capture_output=True, timeout=300)


def _wait(url: str) -> None:
    end = time.monotonic() + 600
    while True:
        try:
            with urllib.request.urlopen(f"{url}/v3", timeout=30):
                return
        except OSError:
            assert time.monotonic() < end, "Keystone did not start"
            time.sleep(0.5)


def _filled(keystone: Identity) -> Identity:
    projects = {
        name: keystone.create("project", name=name, domain_id="default")
        for name in ("service", "one", "other")
    }
    keystone.user("neutron", projects["service"], "service")
    keystone.user("member", projects["one"], "member")
    keystone.user("reader", projects["one"], "reader")
    keystone.user("stranger", projects["other"], "member")
    return keystone


@pytest.fixture
def database_url(_prepared_sqlite: Path, tmp_path: Path) -> str:
    return f"sqlite:///{shutil.copy(_prepared_sqlite, tmp_path / 'deuteron.db')}"


@pytest.fixture
def api(db: Database, identity: Identity) -> Iterator[Client]:
    settings = KeystoneSettings(auth_url=identity.url, password=PASSWORD, token_cache_time=1.0)
    yield from serve(db, ServerSettings(auth="keystone"), settings)


def test_tokens_of_users(api: Client, identity: Identity) -> None:
    member = {"X-Auth-Token": identity.token("member", "one")}
    made = api.request("POST", "/networks", {"network": {"name": "n"}}, member)
    assert made.status == 201, made
    path = f"/networks/{made.body['network']['id']}"
    seen = {
        user: api.get(path, **{"X-Auth-Token": identity.token(user, project)}).status
        for user, project in (("reader", "one"), ("stranger", "other"), ("admin", "admin"))
    }
    assert seen == {"reader": 200, "stranger": 404, "admin": 200}
    reader = {"X-Auth-Token": identity.token("reader", "one")}
    assert api.request("PUT", path, {"network": {"name": "m"}}, reader).status == 403
    assert api.request("DELETE", path, None, member).status == 204


def test_no_token_a_wrong_one_a_revoked_one(api: Client, identity: Identity) -> None:
    assert api.get("/networks").status == 401
    answer = api.get("/networks", **{"X-Auth-Token": "gAAAAABmadeup"})
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == f'Keystone uri="{identity.url}"'
    token = identity.token("member", "one")
    assert api.get("/networks", **{"X-Auth-Token": token}).status == 200
    identity.revoke(token)
    time.sleep(1.1)
    assert api.get("/networks", **{"X-Auth-Token": token}).status == 401


def test_services_and_the_system(api: Client, identity: Identity) -> None:
    user = {"X-Auth-Token": identity.token("member", "one")}
    service = {"X-Service-Token": identity.token("neutron", "service")}
    assert api.get("/networks", **user, **service).status == 200
    system = {"X-Auth-Token": identity.token("admin")}
    assert api.get("/networks", **system).error == "InvalidScope"
    assert api.get("//v1/status", **system).status == 200
