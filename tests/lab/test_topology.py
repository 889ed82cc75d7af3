import subprocess
import sys
from pathlib import Path

import pytest

from deuteron.lab import topology
from deuteron.lab.topology import LabError, convert


def test_the_default_lab_is_that_of_the_documentation() -> None:
    found = topology.load()
    assert list(found.hosts) == ["controller", "net1", "net2", "net3", "compute1", "compute2", "outside"]
    assert list(found.with_service("server")) == ["controller"]
    assert list(found.with_service("agent")) == ["net1", "net2", "net3", "compute1", "compute2"]
    assert found.address("net1", "underlay") == "10.20.0.12"
    assert found.addresses("net1")["external"] == ()
    assert found.address("outside", "external") == "203.0.113.1"


def test_hosts_have_different_addresses() -> None:
    found = topology.load()
    addresses = [a for host in found.hosts for own in found.addresses(host).values() for a in own]
    assert len(addresses) == len(set(addresses))


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ({}, "hosts"),
        ({"hosts": {}}, "1 to 200 hosts"),
        ({"hosts": {"a" * 14: {"services": []}}}, "a name is"),
        ({"hosts": {"a b": {"services": []}}}, "a name is"),
        ({"hosts": {"aa": {"services": ["mail"]}}}, "mail"),
        ({"hosts": {"aa": {"speed": 3}}}, "speed"),
        ({"hosts": {"aa": {"roles": ["l2"]}}}, "service server"),
        ({"hosts": {"aa": {"services": ["server"]}, "bb": {"services": ["server"]}}}, "aa and bb"),
        ({"hosts": {"aa": {"services": ["server"], "networks": []}}}, "management"),
        ({"hosts": {"aa": {"services": ["server", "agent"]}}}, "needs roles"),
        ({"hosts": {"aa": {"services": [], "loopback": ["1.2.3"]}}}, "1.2.3"),
    ],
)
def test_a_wrong_topology_is_refused_with_what_is_wrong(document: dict[str, object], complaint: str) -> None:
    with pytest.raises(LabError, match="^here: .*" + complaint):
        convert(document, "here")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"none\.toml: No such file"):
        topology.load(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("[hosts")
    with pytest.raises(LabError, match=r"bad\.toml"):
        topology.load(tmp_path / "bad.toml")


def test_commands_of_the_lab_start_without_the_server() -> None:
    script = "import sys, deuteron.cli.lab, deuteron.lab.lab, deuteron.lab.enter, deuteron.lab.prober; "
    script += (
        "print([name for name in ('sqlalchemy', 'starlette', 'uvicorn', 'asyncio') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
