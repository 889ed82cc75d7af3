"""What the API's handlers need."""

import threading
from dataclasses import dataclass, field

from deuteron.resources.registry import Registry
from deuteron.settings import ServerSettings
from deuteron.store import Database


@dataclass(frozen=True)
class Services:
    """Given to each module's `routes(services)`."""

    settings: ServerSettings
    db: Database
    registry: Registry
    stopping: threading.Event = field(default_factory=threading.Event)
    """Set when the server is about to stop: streams end."""
