import itertools
import signal
import socket
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from deuteron.agent.l3.conntrack_sync import entries, progress, wire
from deuteron.agent.l3.conntrack_sync.table import Table
from deuteron.agent.system.netlink import attribute, nested
from tests.agent.l3.conntrack_sync.test_entries import BACK, FOUR, message
from tests.agent.l3.conntrack_sync.twins import (
    CLIENT,
    FLOATING,
    NUMBER,
    PUBLIC,
    ROUTER,
    SERVER,
    SERVER6,
    Host,
    Scene,
    run,
    scene,
    wait_for,
)

pytestmark = pytest.mark.lab

QUICK_REFRESH = (
    "from deuteron.agent.l3.conntrack_sync import copier, entries;"
    "copier._REFRESH = (0.5, 1); entries.LIFETIME = 5"
)
SMALL_BUFFER = "from deuteron.agent.l3.conntrack_sync import table; table._EVENTS_BUFFER = 4096"


@pytest.fixture
def bare() -> Iterator[Scene]:
    with scene() as made:
        yield made


@pytest.fixture
def world(bare: Scene) -> Scene:
    for host in bare.hosts:
        host.start_sync()
    bare.hosts[0].wait_status(lambda status: status["open"])
    return bare


class Pair:
    """A connection of a client inside and a server outside, or the other way round."""

    def __init__(
        self, world: Scene, client: str, server: str, address: str, bind: str, port: int = 7
    ) -> None:
        family = socket.AF_INET6 if ":" in bind else socket.AF_INET
        with world.socket(server, socket.SOCK_STREAM, family) as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((bind, port))
            listening.listen()
            self.outgoing = world.socket(client, socket.SOCK_STREAM, family)
            self.outgoing.connect((address, port))
            self.incoming, self.seen = listening.accept()
        self.incoming.settimeout(10)

    def talk(self) -> None:
        for sender, receiver in ((self.incoming, self.outgoing), (self.outgoing, self.incoming)):
            sender.sendall(b"hello")
            assert receiver.recv(100) == b"hello"

    def __enter__(self) -> "Pair":
        return self

    def __exit__(self, *_: object) -> None:
        self.outgoing.close()
        self.incoming.close()


def through_snat(world: Scene, port: int = 7) -> Pair:
    return Pair(world, world.client, world.server, SERVER, SERVER, port)


def copied(standby: Host, pair: Pair) -> object:
    return wait_for(lambda: standby.entries("ESTABLISHED", "ASSURED", f"dport={pair.seen[1]}"))


def udp(world: Scene) -> tuple[socket.socket, socket.socket]:
    outside = world.socket(world.server, socket.SOCK_DGRAM)
    outside.bind((SERVER, 9))
    return world.socket(world.client, socket.SOCK_DGRAM), outside


def many_flows(world: Scene, count: int, first: int = 20000) -> None:
    """Send one datagram each from so many ports."""
    for port in range(first, first + count):
        with world.socket(world.client, socket.SOCK_DGRAM) as inside:
            inside.bind((CLIENT, port))
            inside.sendto(b"x", (SERVER, 9))


def test_connections_survive(world: Scene) -> None:
    _, standby = world.hosts
    inside, outside = udp(world)
    with (
        inside,
        outside,
        through_snat(world) as snat,
        Pair(world, world.server, world.client, FLOATING, CLIENT) as floating,
        Pair(world, world.client, world.server, SERVER6, SERVER6) as six,
    ):
        assert snat.outgoing.getsockname()[1] != snat.seen[1]
        for pair in (snat, floating, six):
            pair.talk()
        inside.sendto(b"before", (SERVER, 9))
        _, seen = outside.recvfrom(100)
        outside.sendto(b"answer", seen)
        assert inside.recv(100) == b"answer"
        ping = f"ping -c 1 -W 5 -e 4711 {SERVER}"
        run(ping, netns=world.client)
        copied(standby, snat)
        wait_for(lambda: standby.entries("ESTABLISHED", "ASSURED", f"dst={FLOATING}", f"src={CLIENT}"))
        wait_for(lambda: standby.entries("ESTABLISHED", "ASSURED", f"dst={SERVER6}"))
        wait_for(lambda: standby.entries("udp", f"dport={seen[1]}") and standby.entries("icmp", PUBLIC))
        assert 3000 < standby.seconds_left("ESTABLISHED", f"dport={snat.seen[1]}") <= 3600
        for move in (world.fail_over, world.fail_back):
            move()
            for pair in (snat, floating, six):
                pair.talk()
            outside.sendto(b"from outside", seen)
            assert inside.recv(100) == b"from outside"
            inside.sendto(b"after", (SERVER, 9))
            assert outside.recvfrom(100) == (b"after", seen)
            run(ping, netns=world.client)


HELPER_RULES = """
table ip helpers {
  ct helper ftp { type "ftp" protocol tcp; }
  chain pre { type filter hook prerouting priority mangle; tcp dport 21 ct helper set "ftp"; }
}
"""


class Ftp:
    """A control connection of FTP, through source NAT, with data connections that the server opens."""

    def __init__(self, world: Scene) -> None:
        self.world = world
        self.control = through_snat(world, 21)
        self.control.outgoing.sendall(b"USER me\r\n")
        self.control.incoming.recv(100)

    def fetch(self, meanwhile: Callable[[int], None] = lambda _: None) -> bytes:
        """Have the server connect to a port of the client; return what the client then gets.

        `meanwhile` is called when the server was told to which port and has not begun.
        """
        with self.world.socket(self.world.client, socket.SOCK_STREAM) as listening:
            listening.bind((CLIENT, 0))
            listening.listen()
            port = listening.getsockname()[1]
            said = f"PORT {CLIENT.replace('.', ',')},{port >> 8},{port & 255}\r\n"
            self.control.outgoing.sendall(said.encode())
            heard = self.control.incoming.recv(100).decode()
            word, where = heard.split()
            *address, high, low = where.split(",")
            assert (word, ".".join(address)) == ("PORT", PUBLIC)
            out = int(high) * 256 + int(low)
            meanwhile(out)
            with self.world.socket(self.world.server, socket.SOCK_STREAM) as data:
                data.connect((PUBLIC, out))
                data.sendall(b"a file")
                got, _ = listening.accept()
                with got:
                    return got.recv(100)


def test_helpers_go_on_where_connections_do(world: Scene) -> None:
    for host in world.hosts:
        run("nft -f -", netns=host.router, stdin=HELPER_RULES)
    ftp = Ftp(world)
    with ftp.control as control:
        assert ftp.fetch() == b"a file"
        _, standby = world.hosts
        copied(standby, control)
        assert standby.entries("dport=21", "helper=ftp")
        for move, closed in ((world.fail_over, standby), (world.fail_back, world.hosts[0])):

            def expected(port: int, move: Callable[[], None] = move, closed: Host = closed) -> None:
                listing = partial(run, "conntrack -L expect", netns=closed.router)
                wait_for(lambda: f"dport={port} " in listing(), what=f"{closed.index} expects {port}")
                move()

            assert ftp.fetch(expected) == b"a file"
            # What is expected in the milliseconds before its host listens is not copied.
            closed.wait_status(lambda status: status["open"])
            assert ftp.fetch() == b"a file"


def test_a_helper_that_the_kernel_lacks_keeps_no_connection_from_being_copied(bare: Scene) -> None:
    router = bare.hosts[0].router
    helper = nested(entries.HELPER, attribute(1, b"gopher\0"))
    table = Table(router)
    try:
        for change, seconds in ((wire.NEW, 300), (wire.STATE, 400)):
            outcome = table.apply([(change, message(17, FOUR, BACK, seconds, helper))], learn_only=False)
            assert not outcome.failed
            assert bare.hosts[0].seconds_left("dst=203.0.113.1") > seconds - 30
    finally:
        table.close()


def test_copies_get_their_full_time_when_the_router_lives_on_them(world: Scene) -> None:
    _, standby = world.hosts
    with through_snat(world) as pair:
        copied(standby, pair)
        world.fail_over()
        wait_for(lambda: standby.seconds_left("ESTABLISHED", f"dport={pair.seen[1]}") > 400000)


def test_tcp_does_not_survive_without_copies(bare: Scene) -> None:
    with through_snat(bare) as pair:
        pair.talk()
        bare.fail_over()
        pair.incoming.sendall(b"lost")
        pair.outgoing.settimeout(1)
        with pytest.raises(OSError):
            pair.outgoing.recv(100)


def test_quiet_connections_are_refreshed_and_ended_ones_removed(bare: Scene) -> None:
    active, standby = bare.hosts
    for host in bare.hosts:
        host.start_sync(QUICK_REFRESH)
    run("sysctl -qw net.netfilter.nf_conntrack_udp_timeout=20", netns=active.router)
    inside, outside = udp(bare)
    with inside, outside:
        inside.sendto(b"x", (SERVER, 9))
        _, seen = outside.recvfrom(100)
        wait_for(lambda: standby.entries("udp", f"dport={seen[1]}"))
        run("conntrack -D -p udp", netns=standby.router)
        wait_for(lambda: standby.entries("udp", f"dport={seen[1]}"), what="the next refresh")
        run("conntrack -D -p udp", netns=active.router)
        wait_for(lambda: not standby.entries("udp"), what="the end of the copy")
        assert standby.wait_status(lambda status: status["removed"])


def test_what_ends_on_a_standby_does_not_end_on_the_active_host(world: Scene) -> None:
    active, standby = world.hosts
    with through_snat(world) as pair:
        pair.talk()
        copied(standby, pair)
        run("conntrack -F", netns=standby.router)
        pair.talk()
        assert active.entries("ESTABLISHED")
        before = standby.status["sent"]
        standby.wait_status(lambda status: status["sent"] == before == 0)


def test_while_both_are_open_each_learns_and_neither_forgets(world: Scene) -> None:
    old, new = world.hosts
    with through_snat(world) as first:
        copied(new, first)
        new.set_gate("open")
        new.wait_status(lambda status: status["open"])
        with through_snat(world, 8) as second:
            copied(new, second)
            run("conntrack -F", netns=new.router)
            first.talk()
            second.talk()
            assert len(old.entries("ESTABLISHED")) == 2
            old.set_gate("closed")
            world.give_traffic_to(new)
            new.set_gate("closed")
            old.set_gate("open")
            wait_for(lambda: len(new.entries("ESTABLISHED")) == 2)
            first.talk()
            second.talk()


def test_a_process_that_comes_back_is_told_everything(world: Scene) -> None:
    _, standby = world.hosts
    standby.kill_sync()
    with through_snat(world) as pair:
        standby.start_sync()
        copied(standby, pair)
        world.hosts[0].kill_sync()
        with through_snat(world, 8) as other:
            world.hosts[0].start_sync()
            copied(standby, other)
            world.fail_over()
            pair.talk()
            other.talk()


def test_a_namespace_that_goes_is_let_go_and_followed_when_it_comes_back(world: Scene) -> None:
    _, standby = world.hosts
    with through_snat(world) as pair:
        copied(standby, pair)
        standby.forget_router()
        run(f"ip netns delete {standby.router}")
        ports = f"ip -n {world.wires} -br link show type veth"
        wait_for(lambda: "qr2" not in run(ports), what="the end of the namespace")
        standby.make_router()
        standby.set_gate("closed")
        copied(standby, pair)
        world.fail_over()
        pair.talk()


def test_a_namespace_made_again_behind_our_back_is_followed(world: Scene) -> None:
    _, standby = world.hosts
    with through_snat(world) as pair:
        copied(standby, pair)
        run(f"ip netns delete {standby.router}")
        ports = f"ip -n {world.wires} -br link show type veth"
        wait_for(lambda: "qr2" not in run(ports), what="the end of the namespace")
        standby.make_router()
        copied(standby, pair)


def test_a_twin_that_joins_is_told_everything(world: Scene) -> None:
    active, standby = world.hosts
    active.set_gate("open", twins=())
    active.wait_status(lambda status: not status["routers"])
    with through_snat(world) as pair:
        standby.forget_router()
        standby.wait_status(lambda status: not status["routers"])
        assert progress.read(standby.run_dir) == {}
        standby.set_gate("closed")
        wait_for(lambda: ROUTER in progress.read(standby.run_dir), what="the twin is known")
        active.set_gate("open")
        wait_for(lambda: progress.read(standby.run_dir)[ROUTER].whole, what="it was told everything")
        assert standby.entries("ESTABLISHED", f"dport={pair.seen[1]}"), "and has copied it"
        assert progress.read(active.run_dir) == {}


def test_a_router_that_is_open_from_its_beginning_is_copied(world: Scene) -> None:
    active, standby = world.hosts
    active.forget_router()
    active.wait_status(lambda status: not status["routers"])
    active.set_gate("open")
    with through_snat(world) as pair:
        copied(standby, pair)


def test_an_overflow_is_healed(bare: Scene) -> None:
    active, standby = bare.hosts
    active.start_sync(SMALL_BUFFER)
    standby.start_sync()
    active.wait_status(lambda status: status["open"])
    assert active.sync
    active.sync.send_signal(signal.SIGSTOP)
    many_flows(bare, 500)
    active.sync.send_signal(signal.SIGCONT)
    wait_for(lambda: len(standby.entries("udp", "dport=9 ")) >= 500, what="all flows")
    active.wait_status(lambda status: status["overflows"])


def test_loss_between_hosts_is_healed(world: Scene) -> None:
    _, standby = world.hosts
    many_flows(world, 1, first=30000)
    wait_for(lambda: standby.entries("udp", "dport=9 "))
    run(f"ip -n {world.wires} link set u2 down")
    many_flows(world, 300)
    run(f"ip -n {world.wires} link set u2 up")

    ports = itertools.count(30001)

    def all_there() -> bool:
        many_flows(world, 1, first=next(ports))
        return len(standby.entries("udp", "dport=9 ")) >= 301

    wait_for(all_there, what="all flows")
    standby.wait_status(lambda status: status["lost"])


def test_strangers_are_ignored(world: Scene) -> None:
    active, standby = world.hosts
    with through_snat(world) as pair:
        copied(standby, pair)
    gone = bytes(4)
    run(f"ip -n {active.namespace} address add 10.98.0.3/24 dev eth0")
    for sender, number, port in (
        ("10.98.0.3", NUMBER, wire.PORT),  # no twin
        (active.vtep, NUMBER + 1, 0),  # a twin's host, but not the process
    ):
        with world.socket(active.namespace, socket.SOCK_DGRAM) as strange:
            strange.bind((sender, port))
            body = b"".join(wire.bodies([(wire.GONE, gone)]))
            strange.sendto(wire.header(wire.ENTRIES, number, 1, 0) + body, (standby.vtep, wire.PORT))
            strange.sendto(b"nonsense", (standby.vtep, wire.PORT))
    status = standby.wait_status(lambda status: status["ignored"] >= 4)
    assert status["failed"] == 0


def test_malformed_entries_of_a_twin_harm_nothing(world: Scene) -> None:
    active, standby = world.hosts
    active.kill_sync()
    with world.socket(active.namespace, socket.SOCK_DGRAM) as twin:
        twin.bind((active.vtep, wire.PORT))
        changes = [(change, message) for change in (wire.NEW, wire.STATE, wire.GONE) for message in NONSENSE]
        for sequence, body in enumerate(wire.bodies(changes)):
            twin.sendto(wire.header(wire.ENTRIES, NUMBER, 1, sequence) + body, (standby.vtep, wire.PORT))
    standby.wait_status(lambda status: status["failed"] >= len(NONSENSE))
    active.start_sync()
    with through_snat(world) as pair:
        copied(standby, pair)


NONSENSE = [
    b"",
    bytes(4),
    b"\x02\0\0\0" + b"\x04\0\1\x80",
    b"\x02\0\0\0" + b"\xff\xff\1\x80" + bytes(20),
    b"\x02\0\0\0"
    + b"\x08\0\1\x80"
    + b"\x04\0\1\x80"
    + b"\x08\0\2\x80"
    + b"\x04\0\1\0"
    + b"\x06\0\3\0"
    + bytes(4),
]


def test_another_router_in_trouble_stops_nobody(world: Scene) -> None:
    _, standby = world.hosts
    for number in range(3):
        file = standby.places.router(f"{number}{ROUTER[1:]}")
        file.write_text("{nonsense" if number else standby.places.router(ROUTER).read_text())
    text = standby.places.router(f"0{ROUTER[1:]}").read_text()
    broken = text.replace(standby.router, "Ctest-none").replace(f'"number": {NUMBER}', '"number": 78')
    standby.places.router(f"0{ROUTER[1:]}").write_text(broken)
    standby.wait_status(lambda status: status["routers"] == 2)
    with through_snat(world) as pair:
        copied(standby, pair)


def test_it_ends_when_told_and_a_second_one_says_why_it_cannot_run(world: Scene) -> None:
    active, _ = world.hosts
    second = active.start_second_sync()
    assert second.wait(20) == 1
    assert "Address already in use" in (active.run_dir / "log").read_text()
    assert active.sync
    active.sync.terminate()
    assert active.sync.wait(5) == 0


def test_a_restart_of_the_switch_changes_nothing(world: Scene) -> None:
    active, standby = world.hosts
    assert active.switch
    active.switch.kill()
    active.switch.wait()
    with through_snat(world) as pair:
        copied(standby, pair)
        active.start_switch()
        active.set_gate("closed")
        active.wait_status(lambda status: not status["open"])


def test_many_flows_arrive(world: Scene) -> None:
    _, standby = world.hosts
    many_flows(world, 3000)
    wait_for(lambda: len(standby.entries("udp", "dport=9 ")) >= 3000, 60, "all flows")
