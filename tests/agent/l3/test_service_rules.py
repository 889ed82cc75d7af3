"""What nftables is told of what routers do besides forwarding."""

import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deuteron.agent.l3 import services, serving
from deuteron.agent.l3.meters import Reader
from deuteron.agent.status import Status
from deuteron.agent.system import netns, nft
from deuteron.plan.units import Helper, Log, Meter, MeterReport, MeterRule, Services
from tests.agent.l3 import scene

GOLDEN = Path(__file__).with_name("golden") / "services.nft"
FTP = Helper(name="ftp", protocol="tcp", port=21)
HELPERS = (FTP, Helper(name="ftp", protocol="tcp", port=2121), Helper(name="h323", protocol="udp", port=1719))
METER = Meter(
    id="3e7e0001-0000-4000-8000-000000000001",
    rules=(
        MeterRule(direction="egress", source="10.0.0.0/24"),
        MeterRule(direction="ingress", destination="2001:db8:1::/64", source="2001:db8:ffff::/64"),
        MeterRule(direction="egress", source="10.0.0.9/32", excluded=True),
    ),
)
ALL = services.of(
    scene.router(
        services=Services(helpers=HELPERS, ndp_proxy=True, proxied=("2001:db8:1::5",), meters=(METER,))
    )
)
NONE = services.of(scene.router())
LIMIT = "rate 100/second burst 25 packets"
LOGGED = replace(
    services.of(scene.router(services=Services(logs=(Log(id="l", project="p"),)))), others=("qg-other",)
)
GONE = "label-gone"


def text() -> str:
    return services.render(ALL, LIMIT) + services.render_meters(ALL, [GONE])


def test_golden() -> None:
    assert text() == GOLDEN.read_text()


@pytest.mark.lab
def test_nft_takes_it() -> None:
    was = f"add table inet {services.METERS}\nadd chain inet {services.METERS} {GONE}\n"
    was += f"add counter inet {services.METERS} {GONE}\n"
    whole = (
        was
        + text()
        + services.render(LOGGED, LIMIT)
        + services.render_meters(ALL, [services.counter(METER.id)])
        + services.removal(NONE)
    )
    done = subprocess.run(
        ["unshare", "--net", "nft", "-f", "-"], input=whole, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_only_what_is_translated_at_a_gateway_is_written_down() -> None:
    (line,) = [line for line in services.render(LOGGED, LIMIT).splitlines() if " log " in line]
    assert line.strip() == (
        f'oifname {{ "{LOGGED.device}", "qg-other" }} ct state new ct status & (snat | confirmed) == snat '
        f'limit {LIMIT} log prefix "SNAT" group 56839'
    )
    assert services.removal(LOGGED).count("delete table") == 1


@pytest.mark.lab
@pytest.mark.parametrize("limit", [LIMIT, "what the kernel does not know"])
def test_what_the_kernel_lacks_keeps_nothing_else_back(namespace: str, limit: str) -> None:
    missing = Helper(name="nothing-like-that", protocol="tcp", port=21)
    wanted = replace(LOGGED, helpers=(missing, FTP))
    failed = serving.build(wanted, services.Services(), namespace, limit)
    assert ("log" in failed) == (limit != LIMIT)
    assert "helper nothing-like-that" in failed
    with netns.entered(namespace):
        chains = nft.contents("inet", services.TABLE)[0]
    assert ("translated" in chains) == (limit == LIMIT)
    assert ("helpers" in chains) == ("helper ftp" not in failed)


def test_what_nobody_wants_is_removed() -> None:
    assert services.removal(ALL) == ""
    assert services.removal(NONE).count("delete table") == 2
    assert services.removal(services.without(ALL, HELPERS)) == ""


def test_a_router_without_a_gateway_has_helpers_only() -> None:
    wanted = Services(helpers=HELPERS, ndp_proxy=True, meters=(METER,))
    found = services.of(scene.router(gateway=None, nexthops=(), services=wanted))
    assert (found.helpers, found.proxies, found.meters) == (HELPERS, False, ())


def test_a_counter_that_is_there_goes_on() -> None:
    name = services.counter(METER.id)
    assert f"add counter inet {services.METERS} {name}" in services.render_meters(ALL, [])
    again = services.render_meters(ALL, [name])
    assert "counter inet" not in again
    assert services.meter_of(name) == METER.id


@pytest.mark.parametrize("helper", ['x" }', "a b", "ftp\n"])
def test_no_name_of_a_helper_gets_out_of_its_place(helper: str) -> None:
    assert services.unusable(Helper(name=helper, protocol="tcp", port=21))
    assert not services.unusable(FTP)


@pytest.fixture
def namespace() -> Iterator[str]:
    name = f"f-meter-{uuid.uuid4().hex[:8]}"
    netns.create(name)
    yield name
    netns.delete(name)


@pytest.mark.lab
def test_what_is_counted_is_told(namespace: str) -> None:
    status = Status()
    reader = Reader(status, 60)
    reader.namespaces = {"r": namespace, "s": "f-meter-gone"}
    told = MeterReport(router="r", label="m", packets=3, bytes=300)
    reader.read()
    assert status.take().meters == ()
    nft.apply(f"add table inet {services.METERS}\n", namespace)
    nft.apply(f"add counter inet {services.METERS} label-m {{ packets 3 bytes 300 }}\n", namespace)
    reader.read()
    assert status.take().meters == (told,)
    reader.read()
    assert status.take().meters == ()
    status.tell_all()
    assert status.take().meters == (told,)
    reader.namespaces = {}
    reader.read()
    status.tell_all()
    assert status.take().meters == ()
