"""Who asks, in which transaction."""

from dataclasses import dataclass, field
from functools import cache

from deuteron.policy import Policy, Who
from deuteron.policy.defaults import RULES
from deuteron.settings import ServerSettings
from deuteron.store import Tx


@cache
def default_policy() -> Policy:
    """Return Neutron's rules as they are."""
    return Policy(RULES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What every function of a resource is given."""

    tx: Tx
    settings: ServerSettings
    project_id: str = ""
    """Of what is created without one."""
    who: Who | None = None
    """Who asks; None is Deuteron itself, which may do everything."""
    policy: Policy = field(default_factory=default_policy)

    @property
    def admin(self) -> bool:
        """Whether an administrator asks, or Deuteron itself."""
        return self.may("context_is_admin")

    def may(self, rule: str) -> bool:
        """Whether the caller passes a rule whatever the object is."""
        return self.who is None or self.policy.allows(self.who, rule)
