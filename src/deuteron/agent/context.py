"""What every manager is given."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deuteron.agent.status import Status
from deuteron.agent.system.daemons import Daemons


@dataclass(frozen=True)
class Context:
    """This host, and where a manager puts and tells things."""

    host: str
    local_ip: str
    """The address of this host on the underlay: its VTEP."""
    bridge_mappings: Mapping[str, str]
    """Physical network -> device."""
    run_dir: Path
    """Lives until the next boot."""
    state_dir: Path
    """Lives for ever."""
    daemons: Daemons
    status: Status
    dscp_inherit: bool = False
    """Whether tunnels have the DSCP mark of what they carry."""
    log_limit: str = "rate 100/second burst 25 packets"
    """Of packets that are written down in each router, as nftables has it."""
