"""What is rendered for daemons and nft: against golden files, and against the programs' own checks."""

import dataclasses
import subprocess
from pathlib import Path

import pytest

from deuteron.agent.l3 import advertisements, keepalived, kernel, rules
from deuteron.agent.l3.switch import gate, records
from deuteron.plan import units
from tests.agent.l3 import scene

GOLDEN = Path(__file__).with_name("golden")
FILES = keepalived.Files(
    Path("/run/deuteron/keepalived/e"),
    Path("/run/deuteron/switch/fifo/e"),
    Path("/run/deuteron/switch/heartbeat"),
    Path("/run/deuteron/switch/fence/e.nft"),
)


def election(peers: int) -> units.Election:
    return units.Election(
        id="e1ec0001-0000-4000-8000-000000000001",
        ha_network="0a0a0a0a-1111-4222-8333-444444444444",
        vni=4001,
        mtu=1450,
        vrid=7,
        priority=250,
        advert_ms=20,
        mac="fa:16:3e:0a:00:01",
        address="169.254.192.1/18",
        peers=tuple(
            units.Peer(
                host=f"net{n}",
                address=f"169.254.192.{n}",
                mac=f"fa:16:3e:0a:00:{n:02x}",
                vtep=f"10.99.0.{n}",
            )
            for n in range(2, 2 + peers)
        ),
    )


def dual_stack() -> units.Router:
    whole = scene.router()
    managed = units.RouterPort(
        id="3c3c3c3c-0000-4000-8000-000000000007",
        network="bbbbbbbb-0000-4000-8000-000000000008",
        mac="fa:16:3e:00:00:03",
        mtu=1400,
        addresses=("2001:db8:2::1/64",),
        managed=("2001:db8:2::/64",),
    )
    return scene.router(interfaces=(*whole.interfaces, managed))


ROUTERS = {
    "router.nft": rules.render(scene.router(), [scene.floating_ip()]),
    "router-no-snat.nft": rules.render(scene.router(snat=False), [scene.floating_ip()]),
    "router-two-gateways.nft": rules.render(
        scene.router(more_gateways=(scene.second_gateway(),)),
        [scene.floating_ip(), scene.second_floating_ip()],
    ),
    "router-inside-only.nft": rules.render(scene.router(gateway=None, nexthops=()), []),
    "gate.nft": gate.render([3, 1, 2], [2], "02:00:00:00:00:01"),
}
RENDERED = {
    **ROUTERS,
    "keepalived.conf": keepalived.render(election(2), "ha-0a0a0a0a-11", "169.254.0.7", FILES),
    "keepalived-alone.conf": keepalived.render(election(0), "ha-0a0a0a0a-11", "169.254.0.7", FILES),
    "radvd.conf": advertisements.render(dual_stack().interfaces),
}


@pytest.mark.parametrize("name", sorted(RENDERED))
def test_golden(name: str) -> None:
    assert RENDERED[name] == (GOLDEN / name).read_text()


@pytest.mark.parametrize("name", sorted(ROUTERS))
@pytest.mark.lab
def test_nft_takes_it(name: str) -> None:
    words = ["unshare", "--net", "sh", "-c", "nft -c -f - && nft -f - </dev/null"]
    done = subprocess.run(words, input=ROUTERS[name], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("peers", [0, 2])
@pytest.mark.lab
def test_keepalived_takes_it(tmp_path: Path, peers: int) -> None:
    files = dataclasses.replace(FILES, directory=tmp_path)
    for script in (files.alive, files.close):
        script.write_text(records.ALIVE_SCRIPT)
        script.chmod(0o755)
    files.config.write_text(keepalived.render(election(peers), "ha-0a0a0a0a-11", "169.254.0.7", files))
    inside = f"ip link add ha-0a0a0a0a-11 type veth; keepalived --config-test --use-file={files.config}"
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", inside], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout


@pytest.mark.lab
def test_radvd_takes_it(tmp_path: Path) -> None:
    config = tmp_path / "radvd.conf"
    config.write_text(RENDERED["radvd.conf"])
    done = subprocess.run(
        ["radvd", "--configtest", "-C", str(config)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_nothing_is_advertised_without_ipv6() -> None:
    assert advertisements.render(scene.plain_router(1).interfaces) == ""


def test_wrong_addresses_never_reach_a_file() -> None:
    evil = units.FloatingIP(id="f", router=scene.ROUTER, floating_ip="1.2.3.4 }\n drop", fixed_ip="10.0.0.5")
    with pytest.raises(ValueError, match=r"1\.2\.3\.4"):
        rules.render(scene.router(), [evil])


def test_of_ports_that_go_the_routes_go_first() -> None:
    """For the same network there may be another port, by which packets go from then on."""
    commands = kernel.remove_ports([], {"sg-b": {}, "sg-a": {}})
    assert commands == [
        *("address flush dev sg-a", "address flush dev sg-b"),
        *("link delete sg-a", "link delete sg-b"),
    ]
