"""The keepalived of one election: its configuration, as text. It only elects."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deuteron.plan.units import Election

REAL_TIME_PRIORITY = 20
_RUN_AT_MOST_US = 1_000_000
"""What a real-time process may compute without a wait, before the kernel warns it."""
_SCRIPT_PATIENCE = 30
"""Seconds until a script that does not end counts as one that failed.

It has no real-time priority: on a host that starves it takes long, which says nothing about the switch.
"""


@dataclass(frozen=True)
class Files:
    """Where keepalived finds what it is told of."""

    directory: Path
    fifo: Path
    heartbeat: Path
    fence: Path

    @property
    def config(self) -> Path:
        """The configuration."""
        return self.directory / "keepalived.conf"

    @property
    def alive(self) -> Path:
        """The script that says whether the switch is alive."""
        return self.directory / "switch-alive"

    @property
    def close(self) -> Path:
        """The script that closes the gates if the switch cannot."""
        return self.directory / "close-gates"

    @property
    def pids(self) -> tuple[Path, Path]:
        """The pid files of keepalived and of its VRRP child."""
        return self.directory / "keepalived.pid", self.directory / "vrrp.pid"


def command(files: Files) -> tuple[str, ...]:
    """Return how it is run: in the foreground, VRRP only, and it ends when its child does."""
    words = ["keepalived", "--dont-fork", "--log-console", "--vrrp", "--dont-respawn"]
    words += [f"--use-file={files.config}", f"--pid={files.pids[0]}", f"--vrrp_pid={files.pids[1]}"]
    return tuple(words)


def render(election: Election, device: str, mark: str, files: Files) -> str:
    """Return the configuration; `mark` is the address that shows in the kernel that this host is active.

    It is never reloaded: a reload makes false failovers at these intervals. The address of the mark is the
    one that keepalived cannot do without.
    """
    closing = f"{files.close} {files.alive} {files.heartbeat} {files.fence}"
    return f"""\
global_defs {{
    vrrp_version 3
    vrrp_rt_priority {REAL_TIME_PRIORITY}
    vrrp_rlimit_rttime {_RUN_AT_MOST_US}
    vrrp_no_swap
    max_auto_priority -1
    vrrp_notify_fifo {files.fifo}
    script_user root
    enable_script_security
}}

vrrp_script switch {{
    script "{files.alive} {files.heartbeat}"
    interval 1
    timeout {_SCRIPT_PATIENCE}
    fall 1
    rise 1
}}

vrrp_instance {election.id} {{
    state BACKUP
    nopreempt
    interface {device}
    virtual_router_id {election.vrid}
    priority {election.priority}
    advert_int {election.advert_ms / 1000:g}
{_unicast(election.address, [peer.address for peer in election.peers])}\
    virtual_ipaddress {{
        {mark}/32 dev lo no_track
    }}
    track_script {{
        switch
    }}
    notify_fault "{closing}"
    notify_stop "{closing}"
}}
"""


def _unicast(address: str, peers: Sequence[str]) -> str:
    if not peers:
        return ""
    mine = ipaddress.ip_interface(address).ip
    lines = "".join(f"        {ipaddress.ip_address(peer)}\n" for peer in peers)
    return f"    unicast_src_ip {mine}\n    unicast_peer {{\n{lines}    }}\n"
