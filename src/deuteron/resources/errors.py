"""Errors as Neutron's clients know them: an HTTP status, a type name and a message.

A type's docstring-like `message` is a format; what it names is given as keyword arguments.
"""

from typing import Any, ClassVar


class NeutronError(Exception):
    """An error that a client is told of. A subclass is one of Neutron's types, with its name."""

    status: ClassVar[int] = 500
    message: ClassVar[str] = "An unknown exception occurred."

    def __init__(self, **values: Any) -> None:
        super().__init__(self.message.format(**values))

    @property
    def type(self) -> str:
        """The name in the body of the answer."""
        return type(self).__name__


class BadRequest(NeutronError):
    """`resource`, `msg`."""

    status = 400
    message = "Bad {resource} request: {msg}."


class NotFound(NeutronError):
    """Something named in the request is not there."""

    status = 404
    message = "The resource could not be found."


class Conflict(NeutronError):
    """The request contradicts the present state."""

    status = 409
    message = "The request conflicts with the present state."


class InUse(NeutronError):
    """Something still needs it."""

    status = 409
    message = "The resource is in use."


class Forbidden(NeutronError):
    """The caller may not do this. `reason`."""

    status = 403
    message = "Not authorized: {reason}."


class ServiceUnavailable(NeutronError):
    """Nothing left to give."""

    status = 503
    message = "The service is unavailable."


class NotBuiltYet(NeutronError):
    """A part of Neutron's API that Deuteron does not have. `what`."""

    status = 501
    message = "Not built yet: {what}."


class HTTPBadRequest(NeutronError):
    """The request's form is wrong. `msg`."""

    status = 400
    message = "{msg}"


class HTTPNotFound(NeutronError):
    """There is nothing at this path."""

    status = 404
    message = "The resource could not be found."


class HTTPMethodNotAllowed(NeutronError):
    """This path knows other methods only. `method`."""

    status = 405
    message = "The method {method} is not allowed for this resource."


class HTTPRequestEntityTooLarge(NeutronError):
    """`limit`, bytes."""

    status = 413
    message = "The body is larger than {limit} bytes."


class HTTPUnsupportedMediaType(NeutronError):
    """`given`."""

    status = 415
    message = "The content type {given} is not supported; send application/json."


class InvalidInput(BadRequest):
    """`error_message`."""

    message = "Invalid input for operation: {error_message}."


class MalformedRequestBody(BadRequest):
    """`reason`."""

    message = "Malformed request body: {reason}."


class RevisionNumberConstraintFailed(NeutronError):
    """If-Match named another revision. `expected`, `current`."""

    status = 412
    message = "Constrained to {expected}, but current revision is {current}"


class TenantIdProjectIdFilterConflict(BadRequest):
    """Both names of one filter."""

    message = "Both tenant_id and project_id passed as filters."


class ExtensionsNotFound(NotFound):
    """`extensions`."""

    message = "Extensions not found: {extensions}."


class NetworkNotFound(NotFound):
    """`id`."""

    message = "Network {id} could not be found."


class SubnetNotFound(NotFound):
    """`id`."""

    message = "Subnet {id} could not be found."


class PortNotFound(NotFound):
    """`id`."""

    message = "Port {id} could not be found."


class RouterNotFound(NotFound):
    """`id`."""

    message = "Router {id} could not be found"


class FloatingIPNotFound(NotFound):
    """`id`."""

    message = "Floating IP {id} could not be found"


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


class IpAddressInUse(InUse):
    """`net_id`, `ip_address`."""

    message = "Unable to complete operation for network {net_id}. The IP address {ip_address} is in use."


class IpAddressAlreadyAllocated(Conflict):
    """`ip`, `subnet_id`."""

    message = "IP address {ip} already allocated in subnet {subnet_id}"


class IpAddressGenerationFailure(Conflict):
    """`net_id`."""

    message = "No more IP addresses available on network {net_id}."


class ExternalIpAddressExhausted(BadRequest):
    """`net_id`."""

    message = "Unable to find any IP address on external network {net_id}."


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


class NoNetworkAvailable(ServiceUnavailable):
    """No VNI left."""

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


class RouterInUse(InUse):
    """`router_id`, `reason`."""

    message = "Router {router_id} {reason}"


class RouterInterfaceNotFound(NotFound):
    """`router_id`, `port_id`."""

    message = "Router {router_id} does not have an interface with id {port_id}"


class RouterInterfaceNotFoundForSubnet(NotFound):
    """`router_id`, `subnet_id`."""

    message = "Router {router_id} has no interface on subnet {subnet_id}"


class RouterInterfaceInUseByFloatingIP(InUse):
    """`router_id`, `subnet_id`."""

    message = (
        "Router interface for subnet {subnet_id} on router {router_id} cannot be deleted, "
        "as it is required by one or more floating IPs."
    )


class RouterInterfaceInUseByRoute(InUse):
    """`router_id`, `subnet_id`."""

    message = (
        "Router interface for subnet {subnet_id} on router {router_id} cannot be deleted, "
        "as it is required by one or more routes."
    )


class RouterExternalGatewayInUseByFloatingIp(InUse):
    """`router_id`, `net_id`."""

    message = (
        "Gateway cannot be updated for router {router_id}, since a gateway to external network "
        "{net_id} is required by one or more floating IPs."
    )


class InvalidRoutes(InvalidInput):
    """`routes`, `reason`."""

    message = "Invalid format for routes: {routes}, {reason}"


class RoutesExhausted(BadRequest):
    """`router_id`, `quota`."""

    message = (
        "Unable to complete operation for {router_id}. The number of routes exceeds the maximum {quota}."
    )


class ExternalGatewayForFloatingIPNotFound(NotFound):
    """`external_network_id`, `subnet_id`, `port_id`."""

    message = (
        "External network {external_network_id} is not reachable from subnet {subnet_id}.  "
        "Therefore, cannot associate Port {port_id} with a Floating IP."
    )


class FloatingIPPortAlreadyAssociated(InUse):
    """`floating_ip_address`, `fip_id`, `port_id`, `fixed_ip`, `net_id`."""

    message = (
        "Cannot associate floating IP {floating_ip_address} ({fip_id}) with port {port_id} "
        "using fixed IP {fixed_ip}, as that fixed IP already has a floating IP on external "
        "network {net_id}."
    )
