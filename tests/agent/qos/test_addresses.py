"""Limits of addresses at a router's way out: what is wanted, the commands, what a kernel makes of them."""

import json
import subprocess
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deuteron.agent.qos import addresses
from deuteron.agent.qos.addresses import Tree, Trees, Wanted, Way
from deuteron.agent.qos.routers import AddressLimits
from deuteron.agent.qos.shaping import Bucket
from deuteron.plan.units import FloatingIP, Limit, Router, RouterPort

GATEWAY = "0000000d-aaaa-3333-4444-555555555555"
OUT, IN = Limit(direction="egress", rate=4000), Limit(direction="ingress", rate=8000)
WAY = Way("qrouter-r", "qg-0000000d-aa", "ifb0000000d-aa")
BUCKET = Bucket(rate=1, burst=2, queue=3)


def _router(*limits: Limit, id_: str = "r", **more: Any) -> Router:
    fixed = ("2001:db8::5/64", "203.0.113.5/24")
    gateway = RouterPort(id=GATEWAY, network="n", mac="02:00:00:00:00:01", mtu=1500, addresses=fixed)
    return Router(id=id_, number=1, gateway=gateway, limits=limits, **more)


def _floating(number: int, *limits: Limit, router: str = "r", **more: Any) -> FloatingIP:
    return FloatingIP(
        id=f"f{number}",
        router=router,
        floating_ip=f"203.0.113.{number}",
        fixed_ip=f"10.0.0.{number}",
        limits=limits,
        **more,
    )


def test_where_addresses_go_out() -> None:
    floating = [_floating(10, OUT, IN), _floating(11, IN, distributed=True), _floating(12)]
    found = addresses.ways("r", _router(OUT), floating)
    assert {way: (set(has.egress), set(has.ingress)) for way, has in found.items()} == {
        WAY: ({"203.0.113.5", "203.0.113.10"}, {"203.0.113.10"}),
        Way("qrouter-r", "rfp-r", "ifbr"): (set(), {"203.0.113.11"}),
    }
    assert {way.namespace for way in addresses.ways("r", _router(OUT, distributed=True), [])} == {"snat-r"}
    assert addresses.ways("r", None, [_floating(10, OUT)]) == {}


limited = st.dictionaries(
    st.sampled_from([f"10.0.0.{number}" for number in range(6)]),
    st.builds(Bucket, rate=st.integers(1, 2), burst=st.just(2), queue=st.just(3)),
)
wanted = st.builds(Wanted, egress=limited, ingress=limited)


class _Kernel:
    """What commands make of devices: classes and filters by number."""

    def __init__(self) -> None:
        self.roots: set[str] = set()
        self.classes: dict[tuple[str, str], str] = {}
        self.filters: dict[tuple[str, str], str] = {}

    def do(self, todo: addresses.Work) -> None:
        for command in [*todo.make, *todo.queue, *todo.remove]:
            self._do(command.split(), command)

    def _do(self, words: list[str], command: str) -> None:
        device = words[words.index("dev") + 1] if "dev" in words else words[2]
        if words[:2] in (["qdisc", "delete"], ["link", "delete"]):
            self.roots.discard(device)
            for kept in (self.classes, self.filters):
                for key in [key for key in kept if key[0] == device]:
                    del kept[key]
        elif words[:2] == ["qdisc", "add"] and "root" in words:
            assert device not in self.roots
            self.roots.add(device)
        elif words[0] == "class":
            number = words[words.index("classid") + 1].partition(":")[2]
            if words[1] == "delete":
                del self.classes[device, number]
            else:
                assert device in self.roots
                self.classes[device, number] = words[words.index("rate") + 1]
        elif words[0] == "filter":
            number = words[words.index("handle") + 1].partition("::")[2]
            at = f"{device} in" if "ingress" in words else device
            if words[1] == "delete":
                del self.filters[at, number]
            else:
                assert (at, number) not in self.filters
                self.filters[at, number] = words[words.index("match") + 3]

    def limits(self, device: str) -> dict[str, str]:
        """Return the rate of each address that is led to a class."""
        there = {key[1]: address for key, address in self.filters.items() if key[0] == device}
        assert there.keys() == {number for at, number in self.classes if at == device}
        return {address: self.classes[device, number].partition("/")[0] for number, address in there.items()}


@given(st.lists(wanted, max_size=6))
def test_any_change_leads_to_what_is_wanted(history: list[Wanted]) -> None:
    kernel, trees = _Kernel(), Trees()
    for now in history:
        kernel.do(addresses.work(WAY, trees, now, filters=False))
        for device, limits in ((WAY.device, now.egress), (WAY.shaper, now.ingress)):
            told = {f"{address}/32": f"{bucket.rate}kbit" for address, bucket in limits.items()}
            assert kernel.limits(device) == told
        led = {address for (at, _), address in kernel.filters.items() if at == f"{WAY.device} in"}
        assert led == {f"{address}/32" for address in now.ingress}


def test_more_than_can_be_told_apart() -> None:
    many = {f"10.0.{number // 256}.{number % 256}": BUCKET for number in range(4096)}
    with pytest.raises(ValueError, match="more than 4095 limited addresses"):
        addresses.change(Tree(), "qg-1", "src", many)


@pytest.fixture
def router() -> Iterator[str]:
    """A router's id, with a namespace and a gateway's device."""
    id_ = str(uuid.uuid4())
    _run(f"ip netns add qrouter-{id_}")
    _plug(id_)
    yield id_
    _run(f"ip netns delete qrouter-{id_}")


def _run(command: str) -> str:
    return subprocess.run(command.split(), capture_output=True, text=True, check=True).stdout


def _plug(router: str) -> None:
    _run(f"ip -n qrouter-{router} link add qg-{GATEWAY[:11]} type veth peer name out")


def _rates(router: str, device: str) -> list[int]:
    """Return the rates of a device's classes, in kilobits."""
    shown = _run(f"ip netns exec qrouter-{router} tc -d class show dev {device}")
    return sorted(int(line.split("rate ")[1].split("Mbit")[0]) * 1000 for line in shown.splitlines())


def _links(router: str) -> list[str]:
    found = json.loads(_run(f"ip -n qrouter-{router} -j link show"))
    return sorted(link["ifname"] for link in found if link["ifname"] not in ("lo", "out"))


@pytest.mark.lab
def test_in_the_kernel(router: str) -> None:
    device, shaper = f"qg-{GATEWAY[:11]}", f"ifb{GATEWAY[:11]}"
    manager = AddressLimits("")
    manager.put(_router(OUT, id_=router))
    manager.put(_floating(10, OUT, IN, router=router))
    assert manager.apply() == {}
    assert _rates(router, device) == [4000, 4000]
    assert _rates(router, shaper) == [8000]
    manager.delete("floatingip/f10")
    assert manager.apply() == {}
    assert _rates(router, device) == [4000]
    assert _links(router) == [device]
    _run(f"ip -n qrouter-{router} link delete out")
    manager.recheck()
    assert "is not built yet" in manager.apply()[f"limits/{router}"]
    _plug(router)
    manager.put(_router(OUT, IN, id_=router))
    assert manager.apply() == {}
    assert _links(router) == [shaper, device]
    after_a_restart = AddressLimits("")
    after_a_restart.put(_router(id_=router))
    assert after_a_restart.apply() == {}
    assert _rates(router, device) == []
    assert _links(router) == [device]


@pytest.mark.lab
def test_where_the_instance_is(router: str) -> None:
    device = f"rfp-{router[:11]}"
    _run(f"ip -n qrouter-{router} link add {device} type veth peer name far")
    manager = AddressLimits("")
    manager.put(_floating(10, OUT, IN, router=router, distributed=True))
    assert manager.apply() == {}
    assert (_rates(router, device), _rates(router, f"ifb{router[:11]}")) == ([4000], [8000])
    manager.delete("floatingip/f10")
    assert manager.apply() == {}
    assert _rates(router, device) == []


def test_a_kernel_that_cannot() -> None:
    manager = AddressLimits("this host cannot limit bandwidth: modprobe ifb")
    manager.put(_router())
    assert manager.apply() == {}
