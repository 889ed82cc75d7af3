"""The judge that nobody here wrote: every network command of the `openstack` client, unmodified."""

import io
import logging
import shlex
import shutil
from collections import defaultdict
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from openstackclient.shell import IGNORED_MODULES, OpenStackShell

from deuteron.settings import ServerSettings
from deuteron.store import Database
from tests.agents_api.conftest import Cloud, running
from tests.oracle.identity import Identity

DOWN_TIME = 5.0
"""Seconds: after so long a silence an agent may be deleted."""


class _App(OpenStackShell):
    def interact(self) -> None:
        """Nobody types: after it was set up, it is given commands one by one."""


class Shell:
    """The client, started once, asked many times."""

    def __init__(self, auth_url: str) -> None:
        self.app = _App()
        self.app.stdin = io.StringIO()
        self.app.run(
            shlex.split(
                f"--os-auth-url {auth_url} --os-identity-api-version 3 --os-project-name demo --os-username "
                "admin --os-password secret --os-user-domain-id default --os-project-domain-id default"
            )
        )
        self.names: dict[str, str] = defaultdict(lambda: "nothing")

    def command(self, line: str) -> str:
        """Return which command a line gives."""
        return str(self.app.command_manager.find_command(shlex.split(line.rpartition(" := ")[2]))[1])

    def run(self, line: str) -> tuple[int, str]:
        """Give one command; return its exit code and what was said, also to the log."""
        name, _, command = line.rpartition(" := ")
        words = shlex.split(command.format_map(self.names)) + (["-f", "value", "-c", "id"] if name else [])
        self.app.stdout, logged = io.StringIO(), io.StringIO()
        handler = logging.StreamHandler(logged)
        handler.setLevel(logging.WARNING)
        logging.getLogger().addHandler(handler)
        try:
            code = self.app.run_subcommand(words)
        except SystemExit:
            code = 2
        finally:
            logging.getLogger().removeHandler(handler)
        said = self.app.stdout.getvalue()
        if name and code == 0:
            self.names[name] = said.strip()
        return code, f"{said}{logged.getvalue()}"


def sections() -> list[tuple[str, list[str]]]:
    """Return what is to be typed, and which extension each part of it needs."""
    found: list[tuple[str, list[str]]] = []
    for line in Path(__file__).with_name("commands.txt").read_text().splitlines():
        if line.startswith("["):
            found.append((line.strip("[]"), []))
        elif line and not line.startswith("#"):
            found[-1][1].append(line)
    return found


@pytest.fixture
def database_url(_prepared_sqlite: Path, tmp_path: Path) -> str:
    """One kind of database is enough for a client."""
    return f"sqlite:///{shutil.copy(_prepared_sqlite, tmp_path / 'deuteron.db')}"


@pytest.fixture
def cloud(db: Database) -> Iterator[Cloud]:
    """Two hosts, one that carries distributed routers, and one that was and is no more."""
    for made in running(db, ServerSettings(agent_down_time=DOWN_TIME)):
        for host in ("host1", "host2", "gone"):
            made.agent(host)
        made.agent("host3", agent_mode="dvr_snat")
        made.agents.pop("gone").stream.close()
        yield made


@pytest.fixture
def shell(cloud: Cloud) -> Iterator[Shell]:
    identity = Identity(f"http://127.0.0.1:{cloud.port}")
    made = Shell(identity.url)
    found = {(one["agent_type"], one["host"]): one["id"] for one in cloud.api.get("/agents").body["agents"]}
    made.names["agent"] = made.names["l3"] = found["L3 agent", "host1"]
    made.names["dhcp"] = found["DHCP agent", "host1"]
    made.names["gone"] = found["DHCP agent", "gone"]
    yield made
    identity.close()


def test_every_command(cloud: Cloud, shell: Shell) -> None:
    offered = {one["alias"] for one in cloud.api.get("/extensions").body["extensions"]}
    gone = f"/agents/{shell.names['gone']}"
    ran, failed, refused = set(), [], {}
    for extension, lines in sections():
        for line in lines:
            if extension not in offered:
                refused[shell.command(line)] = line
                continue
            ran.add(shell.command(line))
            if "{gone}" in line:
                cloud.until(lambda: not cloud.api.get(gone).body["agent"]["alive"])
            code, said = shell.run(line)
            if code != 0:
                failed.append(f"{line}\n    {said[-600:]}")
    assert not failed, "\n".join(failed)
    for command in sorted(refused.keys() - ran):
        code, said = shell.run(refused[command])
        assert code != 0, f"{command} runs, but its extension is not offered: {said}"
        assert "HttpException: 5" not in said
    groups = ("openstack.network.v2", "openstack.neutronclient.v2")
    known = {
        entry.name.replace("_", " ")
        for group in groups
        for entry in entry_points(group=group)
        if not entry.module.startswith(IGNORED_MODULES)
    }
    assert not known - ran - refused.keys(), sorted(known - ran - refused.keys())
