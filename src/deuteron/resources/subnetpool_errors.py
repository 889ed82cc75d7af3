"""Errors of subnet pools and address scopes: see `errors`."""

from deuteron.resources.errors import BadRequest, Conflict, InUse, NotFound, OverQuota


class SubnetPoolNotFound(NotFound):
    """`id`."""

    message = "Subnet pool {id} could not be found."


class AddressScopeNotFound(NotFound):
    """`id`."""

    message = "Address scope {id} could not be found."


class AddressScopeInUse(InUse):
    """`id`."""

    message = (
        "Unable to complete operation on address scope {id}. There are one or more subnet pools in use on "
        "the address scope."
    )


class AddressScopeUpdateError(BadRequest):
    """`id`, `reason`."""

    message = "Unable to update address scope {id} : {reason}."


class AddressScopePrefixConflict(Conflict):
    """Pools of one scope overlap."""

    message = (
        "Failed to associate address scope: subnetpools within an address scope must have unique prefixes."
    )


class EmptySubnetPoolPrefixList(BadRequest):
    """A pool of nothing."""

    message = "Empty subnet pool prefix list."


class PrefixVersionMismatch(BadRequest):
    """Both families in one pool."""

    message = "Cannot mix IPv4 and IPv6 prefixes in a subnet pool."


class IllegalSubnetPoolPrefixBounds(BadRequest):
    """`prefix_type`, `prefixlen`, `base_prefix_type`, `base_prefixlen`."""

    message = "Illegal prefix bounds: {prefix_type}={prefixlen}, {base_prefix_type}={base_prefixlen}."


class IllegalSubnetPoolPrefixUpdate(BadRequest):
    """`msg`."""

    message = "Illegal update to prefixes: {msg}."


class IllegalSubnetPoolUpdate(BadRequest):
    """`reason`."""

    message = "Illegal subnetpool update : {reason}."


class IllegalSubnetPoolAssociationToAddressScope(BadRequest):
    """`subnetpool_id`, `address_scope_id`."""

    message = (
        "Illegal subnetpool association: subnetpool {subnetpool_id} cannot be associated with address scope "
        "{address_scope_id}."
    )


class IllegalSubnetPoolIpVersionAssociationToAddressScope(BadRequest):
    """`subnetpool_id`, `address_scope_id`, `ip_version`."""

    message = (
        "Illegal subnetpool association: subnetpool {subnetpool_id} cannot associate with address scope "
        "{address_scope_id} because subnetpool ip_version is not {ip_version}."
    )


class SubnetPoolDeleteError(BadRequest):
    """`reason`."""

    message = "Unable to delete subnet pool: {reason}."


class SubnetPoolQuotaExceeded(OverQuota):
    """A project has all that a pool gives to one."""

    message = "Per-project subnet pool prefix quota exceeded."


class SubnetAllocationError(Conflict):
    """`reason`. With Neutron a 500; there is nothing wrong with the server."""

    message = "Failed to allocate subnet: {reason}."


class MinPrefixSubnetAllocationError(BadRequest):
    """`prefixlen`, `min_prefixlen`."""

    message = (
        "Unable to allocate subnet with prefix length {prefixlen}, minimum allowed prefix is {min_prefixlen}."
    )


class MaxPrefixSubnetAllocationError(BadRequest):
    """`prefixlen`, `max_prefixlen`."""

    message = (
        "Unable to allocate subnet with prefix length {prefixlen}, maximum allowed prefix is {max_prefixlen}."
    )


class NetworkSubnetPoolAffinityError(BadRequest):
    """Subnets of one network and family from different places."""

    message = "Subnets hosted on the same network must be allocated from the same subnet pool."


class NetworkAddressScopeAffinityError(BadRequest):
    """Subnets of one network and family in different scopes."""

    message = (
        "Subnets of the same address family hosted on the same network must all participate in the same "
        "address scope."
    )
