"""Who sends a request."""

from collections.abc import Mapping
from dataclasses import dataclass

_IMPLIED: Mapping[str, tuple[str, ...]] = {
    "admin": ("manager", "member", "reader"),
    "manager": ("member", "reader"),
    "member": ("reader",),
}


def with_implied(roles: frozenset[str]) -> frozenset[str]:
    """Return these roles and those that they imply, where no Keystone says so."""
    return roles.union(*(_IMPLIED.get(role, ()) for role in roles))


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """A caller, as authentication knows it. Roles are in lower case."""

    user_id: str = ""
    project_id: str = ""
    """"" for a caller whose scope is the system or a domain."""
    roles: frozenset[str] = frozenset()
    service_roles: frozenset[str] = frozenset()
    """Of the service that passes a user's request on."""
    domain_id: str = ""
    system: bool = False
    """Whether the scope is the whole system."""

    def values(self, name: str) -> frozenset[str]:
        """Return what a rule finds under a name: several values, one or none."""
        match name:
            case "role" | "roles":
                return self.roles
            case "service_roles":
                return self.service_roles
            case "project_id" | "tenant_id":
                return frozenset({self.project_id} - {""})
            case "user_id" | "user":
                return frozenset({self.user_id} - {""})
            case "domain_id":
                return frozenset({self.domain_id} - {""})
            case "system_scope":
                return frozenset({"all"} if self.system else ())
        return frozenset()
