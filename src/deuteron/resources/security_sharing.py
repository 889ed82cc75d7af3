"""Security groups and address groups can be lent to other projects by RBAC policies."""

from deuteron.resources import rbac
from deuteron.resources.resource import Alias

DECLARES = (
    rbac.lent("security_group", post=False, put=False),
    rbac.lent("address_group", post=False, put=False),
    Alias(
        alias="rbac-security-groups",
        name="Add security_group type to network RBAC",
        description="Security groups of a project lent to others",
    ),
    Alias(
        alias="rbac-address-group",
        name="Add address_group type to RBAC",
        description="Address groups of a project lent to others",
    ),
    Alias(
        alias="security-groups-shared-filtering",
        name="Security group filtering on the shared field",
        description="Security groups that are lent to the one who asks, or are not",
    ),
)
