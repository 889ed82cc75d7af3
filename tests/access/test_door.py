"""Who is let in: by a password, as an agent; and rules that an operator has changed."""

import base64
import http.client
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import bcrypt
import msgspec
import pytest

from deuteron.agent.settings import AgentSettings
from deuteron.cli.client import Refused, ask
from deuteron.config import ConfigError
from deuteron.policy import PolicyError
from deuteron.settings import ServerSettings
from deuteron.store import Database
from tests.access.agent import agent
from tests.access.conftest import Users
from tests.api.conftest import Client, serve


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def test_passwords(users: Users) -> None:
    client = Client(users.port)
    wrong = [{}, basic("member", "wrong"), basic("unknown", "secret"), basic("member", "x" * 100)]
    wrong += [{"Authorization": text} for text in ("Basic", "Basic !", "Basic bm9jb2xvbg==", "Bearer x")]
    for headers in wrong:
        answer = client.get("/networks", **headers)
        assert answer.status == 401, headers
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")
    assert client.get("/networks", **basic("member", "secret")).status == 200
    assert client.get("//").status == 200
    client.close()


@pytest.fixture
def own_files(tmp_path: Path) -> tuple[Path, Path]:
    passwords, projects = tmp_path / "htpasswd", tmp_path / "projects.toml"
    passwords.write_text(f"# users\n\na:{bcrypt.hashpw(b'one', bcrypt.gensalt(4)).decode()}\n")
    projects.write_text('[b]\nproject_id = "0"\n')
    return passwords, projects


def test_files_that_change(db: Database, own_files: tuple[Path, Path]) -> None:
    passwords, projects = own_files
    settings = ServerSettings(auth="http_basic", http_basic_auth_user_file=str(passwords))
    for api in serve(db, settings):
        made = api.request("POST", "/networks", {"network": {"shared": True}}, basic("a", "one"))
        assert made.status == 201, "without a file of projects everybody is an administrator"
        passwords.write_text(f"a:{bcrypt.hashpw(b'two', bcrypt.gensalt(4)).decode()}\n")
        assert api.get("/networks", **basic("a", "one")).status == 401
        assert api.get("/networks", **basic("a", "two")).status == 200
        passwords.write_text("broken")
        assert api.get("/networks", **basic("a", "two")).status == 200, "what was read before still counts"
        passwords.unlink()
        assert api.get("/networks", **basic("a", "two")).status == 200
    passwords.write_text(f"a:{bcrypt.hashpw(b'one', bcrypt.gensalt(4)).decode()}\n")
    with_projects = msgspec.structs.replace(settings, http_basic_projects_file=str(projects))
    for api in serve(db, with_projects):
        assert api.get("/networks", **basic("a", "one")).status == 401, "a belongs to no project"
        projects.write_text('[a]\nproject_id = "0"\nroles = ["reader"]\n')
        assert api.get("/networks", **basic("a", "one")).status == 200
        assert api.request("POST", "/networks", {"network": {}}, basic("a", "one")).status == 403


def test_files_with_mistakes(db: Database, own_files: tuple[Path, Path]) -> None:
    passwords, projects = own_files
    settings = ServerSettings(
        auth="http_basic",
        http_basic_auth_user_file=str(passwords),
        http_basic_projects_file=str(projects),
    )
    projects.write_text("[a]\nrole = 1\n")
    with pytest.raises(ConfigError, match=r"projects\.toml"):
        next(serve(db, settings))
    passwords.write_text("a:secret\n")
    with pytest.raises(ConfigError, match="line 1: not USER:BCRYPT-HASH"):
        next(serve(db, settings))
    passwords.unlink()
    with pytest.raises(ConfigError, match="No such file"):
        next(serve(db, settings))


def test_agents_show_their_token(db: Database) -> None:
    settings = ServerSettings(agents_token="agents-only")
    for api in serve(db, settings):
        assert post_report(api.port, {}) == 401
        assert post_report(api.port, {"Authorization": "Bearer wrong"}) == 401
        assert post_report(api.port, {"Authorization": "Bearer agents-only"}) == 400, (
            "only the report is wrong"
        )
        assert api.get("/networks").status == 200


def post_report(port: int, headers: dict[str, str]) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=100)
    try:
        connection.request("POST", "/agent/v1/hosts/h/report", b"no report", headers)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.fixture
def changed_rules(db: Database, settings: ServerSettings, tmp_path: Path) -> Iterator[Users]:
    """Readers of any project see ports of instances; nobody's ports can be deleted; networks take a role."""
    path = tmp_path / "policy.yaml"
    path.write_text(
        '"get_port": "rule:admin_only or role:member and not field:port:device_owner=~^compute:"\n'
        '"delete_port": "!"\n'
        '"create_network": "rule:admin_only or role:reader"\n'
        '"get_network:mtu": "rule:admin_only"\n'
    )
    for anybody in serve(db, msgspec.structs.replace(settings, policy_file=str(path))):
        found = Users(anybody.port)
        yield found
        for one in found.all.values():
            one.close()


def test_an_operator_changes_rules(changed_rules: Users) -> None:
    users = changed_rules
    network = users.reader.make("network")
    assert "mtu" not in network
    assert "mtu" in users.admin.shown("network", network["id"])
    ids = {
        owner: users.admin.make("port", network_id=network["id"], device_owner=owner)["id"]
        for owner in ("", "compute:nova", "network:dhcp")
    }
    listed = {one["id"] for one in users.stranger.get("/ports").body["ports"]}
    shown = {id_ for id_ in ids.values() if users.stranger.get(f"/ports/{id_}").status == 200}
    assert listed == shown == {ids[""], ids["network:dhcp"]}
    refused = users.admin.delete(f"/ports/{ids['']}")
    assert (refused.status, refused.message) == (403, "rule:delete_port is disallowed by policy")


def test_rules_with_mistakes(db: Database, tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text('"get_port": "rule:nothing"')
    with pytest.raises(PolicyError, match="get_port: it uses rule:nothing"):
        next(serve(db, ServerSettings(policy_file=str(path))))


def test_an_agent_shows_its_token(db: Database) -> None:
    for api in serve(db, ServerSettings(agents_token="agents-only")):
        server = f"http://127.0.0.1:{api.port}"
        settings = AgentSettings(server=server, host="h", token="agents-only", local_ip="127.0.0.1")
        with agent(settings) as says:
            assert next(says) == "planned"
            assert next(says) == "reported"


def test_the_command_says_who_asks(users: Users, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = f"http://127.0.0.1:{users.port}"
    monkeypatch.delenv("OS_TOKEN", raising=False)
    monkeypatch.setenv("OS_AUTH_TYPE", "http_basic")
    monkeypatch.setenv("OS_USERNAME", "admin")
    monkeypatch.setenv("OS_PASSWORD", "secret")
    assert ask(endpoint, "GET", "/v1/status")["hosts"] == []
    monkeypatch.setenv("OS_USERNAME", "member")
    with pytest.raises(Refused, match="administrator"):
        ask(endpoint, "GET", "/v1/status")
    monkeypatch.setenv("OS_PASSWORD", "wrong")
    with pytest.raises(Refused, match="the name or the password is wrong"):
        ask(endpoint, "GET", "/v1/status")


def test_agents_are_not_let_in_unasked(tmp_path: Path, password_files: tuple[Path, Path]) -> None:
    """On an address that others reach a server needs the agents' token."""
    configuration = tmp_path / "deuteron.toml"
    configuration.write_text(
        f'[server]\nauth = "http_basic"\nhttp_basic_auth_user_file = "{password_files[0]}"\n'
        f'database = "sqlite:///{tmp_path}/d.db"\nlisten = ["0.0.0.0:0"]\n'
    )
    program = Path(sys.executable).with_name("deuteron")
    command = [str(program), "server", "--config", str(configuration)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 2
    assert "whoever reaches this address may pass for an agent; set agents_token" in done.stderr
