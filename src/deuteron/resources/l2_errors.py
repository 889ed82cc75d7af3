"""Errors of networks, subnets and ports: see `errors`."""

from deuteron.resources.errors import BadRequest, Conflict, InUse, InvalidInput, NotFound, ServiceUnavailable


class NetworkNotFound(NotFound):
    """`id`."""

    message = "Network {id} could not be found."


class SubnetNotFound(NotFound):
    """`id`."""

    message = "Subnet {id} could not be found."


class PortNotFound(NotFound):
    """`id`."""

    message = "Port {id} could not be found."


class NetworkInUse(InUse):
    """`net_id`, `reason`."""

    message = "Unable to complete operation on network {net_id}. {reason}."


class SubnetInUse(InUse):
    """`subnet_id`."""

    message = (
        "Unable to complete operation on subnet {subnet_id}: "
        "One or more ports have an IP allocation from this subnet."
    )


class PortInUse(InUse):
    """`port_id`, `net_id`, `device_id`."""

    message = (
        "Unable to complete operation on port {port_id} for network {net_id}. "
        "Port already has an attached device {device_id}."
    )


class ServicePortInUse(InUse):
    """`port_id`, `reason`."""

    message = "Port {port_id} cannot be deleted directly via the port API: {reason}."


class PortBound(InUse):
    """`port_id`, `vif_type`, `old_mac`, `new_mac`."""

    message = (
        "Unable to complete operation on port {port_id}, port is already bound, "
        "port type: {vif_type}, old_mac {old_mac}, new_mac {new_mac}."
    )


class MacAddressInUse(InUse):
    """`net_id`, `mac`."""

    message = "Unable to complete operation for network {net_id}. The mac address {mac} is in use."


class NetworkMacAddressGenerationFailure(ServiceUnavailable):
    """`net_id`."""

    message = "Unable to generate unique mac on network {net_id}."


class IpAddressAlreadyAllocated(Conflict):
    """`ip`, `subnet_id`."""

    message = "IP address {ip} already allocated in subnet {subnet_id}"


class IpAddressGenerationFailure(Conflict):
    """`net_id`."""

    message = "No more IP addresses available on network {net_id}."


class InvalidIpForNetwork(BadRequest):
    """`ip_address`."""

    message = "IP address {ip_address} is not a valid IP for any of the subnets on the specified network."


class InvalidIpForSubnet(BadRequest):
    """`ip_address`."""

    message = "IP address {ip_address} is not a valid IP for the specified subnet."


class AllocationOnAutoAddressSubnet(InvalidInput):
    """`ip`, `subnet_id`."""

    message = (
        "IPv6 address {ip} can not be directly assigned to a port on subnet {subnet_id} "
        "since the subnet is configured for automatic addresses"
    )


class SubnetMismatchForPort(BadRequest):
    """`port_id`, `subnet_id`."""

    message = "Subnet on port {port_id} does not match the requested subnet {subnet_id}."


class TunnelIdInUse(InUse):
    """`tunnel_id`."""

    message = "Unable to create the network. The tunnel ID {tunnel_id} is in use."


class FlatNetworkInUse(InUse):
    """`physical_network`."""

    message = "Unable to create the flat network. Physical network {physical_network} is in use."


class VlanIdInUse(InUse):
    """`vlan_id`, `physical_network`."""

    message = (
        "Unable to create the network. The VLAN {vlan_id} on physical network {physical_network} is in use."
    )


class SegmentsSetInConjunctionWithProviders(InvalidInput):
    """A network is said to be here and there."""

    message = "Segments and provider values cannot both be set."


class SegmentsContainDuplicateEntry(InvalidInput):
    """A segment twice."""

    message = "Duplicate segment entry in request."


class SegmentNotFound(NotFound):
    """`id`."""

    message = "Segment {id} could not be found."


class SegmentInUse(InUse):
    """`segment_id`, `reason`."""

    message = "Segment '{segment_id}' cannot be deleted: {reason}."


class NoUpdateSubnetWhenMultipleSegmentsOnNetwork(BadRequest):
    """`network_id`."""

    message = (
        "The network '{network_id}' has multiple segments, it is only possible to associate an existing "
        "subnet with a segment on networks with a single segment."
    )


class SubnetsNotAllAssociatedWithSegments(BadRequest):
    """`network_id`."""

    message = (
        "All of the subnets on network '{network_id}' must either all be associated with segments or all "
        "not associated with any segment."
    )


class SubnetSegmentAssociationChangeNotAllowed(BadRequest):
    """A subnet stays on its segment."""

    message = (
        "A subnet that is already associated with a segment cannot have its segment association changed."
    )


class NetworkIdsDontMatch(BadRequest):
    """`subnet_network`, `segment_id`."""

    message = (
        "The subnet's network id, '{subnet_network}', doesn't match the network_id of segment '{segment_id}'"
    )


class HostNotConnectedToAnySegment(Conflict):
    """`host`, `network_id`."""

    message = (
        "Host {host} is not connected to any segments on routed provider network '{network_id}'. "
        "It should be connected to one."
    )


class HostNotCompatibleWithFixedIps(Conflict):
    """`host`, `port_id`."""

    message = (
        "Host {host} is not connected to a segment where the existing fixed_ips on port {port_id} will "
        "function given the routed network topology."
    )


class FixedIpsSubnetsNotOnSameSegment(BadRequest):
    """Addresses of two segments for one port."""

    message = "Cannot allocate addresses from different segments."


class NoNetworkAvailable(ServiceUnavailable):
    """No VXLAN identifier or VLAN left."""

    message = "Unable to create the network. No project network is available for allocation."


class NetworkMTUSubnetConflict(Conflict):
    """`net_id`, `mtu`: the least that a subnet needs."""

    message = "MTU of {net_id} is not valid, subnet requires a minimum of {mtu}"


class InvalidSharedSetting(Conflict):
    """`network`."""

    message = "Unable to reconfigure sharing settings for network {network}. Multiple projects are using it."


class ExternalNetworkInUse(InUse):
    """`net_id`."""

    message = (
        "External network {net_id} cannot be updated to be made non-external, "
        "since it has existing gateway ports."
    )


class InvalidAllocationPool(BadRequest):
    """`pool`."""

    message = "The allocation pool {pool} is not valid."


class OverlappingAllocationPools(Conflict):
    """`pool_1`, `pool_2`, `subnet_cidr`."""

    message = "Found overlapping allocation pools: {pool_1} {pool_2} for subnet {subnet_cidr}."


class OutOfBoundsAllocationPool(BadRequest):
    """`pool`, `subnet_cidr`."""

    message = "The allocation pool {pool} spans beyond the subnet cidr {subnet_cidr}."


class GatewayConflictWithAllocationPools(InUse):
    """`ip_address`, `pool`."""

    message = "Gateway ip {ip_address} conflicts with allocation pool {pool}."


class GatewayIpInUse(InUse):
    """`ip_address`, `port_id`."""

    message = "Current gateway ip {ip_address} already in use by port {port_id}. Unable to update."


class HostRoutesExhausted(BadRequest):
    """`subnet_id`, `quota`."""

    message = (
        "Unable to complete operation for {subnet_id}. The number of host routes exceeds the limit {quota}."
    )


class DNSNameServersExhausted(BadRequest):
    """`subnet_id`, `quota`."""

    message = (
        "Unable to complete operation for {subnet_id}. "
        "The number of DNS nameservers exceeds the limit {quota}."
    )


class AllowedAddressPairExhausted(BadRequest):
    """`quota`."""

    message = "The number of allowed address pair exceeds the maximum {quota}."


class AddressPairAndPortSecurityRequired(Conflict):
    """Pairs without port security."""

    message = "Port Security must be enabled in order to have allowed address pairs on a port."
