"""What the API's handlers need."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from starlette.requests import Request

from deuteron.policy import Policy
from deuteron.resources.call import Call
from deuteron.resources.registry import Registry
from deuteron.settings import ServerSettings
from deuteron.store import Database, Tx

T = TypeVar("T")


@dataclass(frozen=True)
class Services:
    """Given to each module's `routes(services)`."""

    settings: ServerSettings
    db: Database
    registry: Registry
    policy: Policy
    stopping: threading.Event = field(default_factory=threading.Event)
    """Set when the server is about to stop: streams end."""

    async def run(self, request: Request, write: bool, work: Callable[[Call], T]) -> T:
        """Do a request's work in a transaction, for the one who sent it."""
        who = request.state.who
        settings, policy = self.settings, self.policy

        def in_transaction(tx: Tx) -> T:
            return work(Call(tx=tx, settings=settings, project_id=who.project_id, who=who, policy=policy))

        return await (self.db.write(in_transaction) if write else self.db.read(in_transaction))
