"""Who asks, in which transaction."""

from dataclasses import dataclass

from deuteron.settings import ServerSettings
from deuteron.store import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What every function of a resource is given."""

    tx: Tx
    settings: ServerSettings
    project_id: str = ""
    """Of what is created without one."""
    admin: bool = True
