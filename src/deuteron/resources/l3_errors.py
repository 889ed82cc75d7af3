"""Errors of routers and floating IPs: see `errors`."""

from deuteron.resources.errors import BadRequest, Conflict, InUse, InvalidInput, NotFound


class RouterNotFound(NotFound):
    """`id`."""

    message = "Router {id} could not be found"


class FloatingIPNotFound(NotFound):
    """`id`."""

    message = "Floating IP {id} could not be found"


class ExternalIpAddressExhausted(BadRequest):
    """`net_id`."""

    message = "Unable to find any IP address on external network {net_id}."


class RouterInUse(InUse):
    """`router_id`, `reason`."""

    message = "Router {router_id} {reason}"


class NoHostForDistributedRouters(Conflict):
    """`modes`."""

    message = (
        "A distributed router needs hosts with the role l3 and agent_mode {modes}, and there is none: set "
        "agent_mode in section [agent] of hosts."
    )


class RouterCannotBeConverted(Conflict):
    """`id`, `mode`, `reason`."""

    message = "Router {id} cannot become {mode}: {reason}."


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


class RouterInterfaceInUseByNDPProxy(Conflict):
    """`router_id`, `subnet_id`."""

    message = (
        "Unable to remove subnet {subnet_id} from router {router_id}, There are one or more ndp proxies "
        "still in use on the subnet."
    )


class RouterExternalGatewayInUseByFloatingIp(InUse):
    """`router_id`, `net_id`."""

    message = (
        "Gateway cannot be updated for router {router_id}, since a gateway to external network "
        "{net_id} is required by one or more floating IPs."
    )


class UnableToMatchGateways(BadRequest):
    """`router_id`, `reason`."""

    message = (
        "Unable to match a requested gateway port to existing gateway ports for router {router_id}: {reason}"
    )


class RouterHasOneGateway(Conflict):
    """`router_id`."""

    message = (
        "Router {router_id} is distributed: it has one gateway at most. Make it central first "
        "(distributed=False)."
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


class FloatingIPRouterHasNoGateway(Conflict):
    """`router_id`, `network_id`."""

    message = "Router {router_id} has no external gateway on network {network_id}."


class PortForwardingNotFound(NotFound):
    """`id`."""

    message = "Port Forwarding {id} could not be found."


class FipInUseByPortForwarding(InUse):
    """`id`."""

    message = "Floating IP {id} in use by Port Forwarding resources."


class PortHasPortForwarding(BadRequest):
    """`port_id`."""

    message = (
        "Cannot associate floating IP to port {port_id} because it already has a Port Forwarding binding."
    )


class PortHasBindingFloatingIP(InUse):
    """`floating_ip_address`, `fip_id`, `port_id`, `fixed_ip`."""

    message = (
        "Cannot create port forwarding to floating IP {floating_ip_address} ({fip_id}) with port {port_id} "
        "using fixed IP {fixed_ip}, as that port already has a binding floating IP."
    )


class FloatingIPPortAlreadyAssociated(InUse):
    """`floating_ip_address`, `fip_id`, `port_id`, `fixed_ip`, `net_id`."""

    message = (
        "Cannot associate floating IP {floating_ip_address} ({fip_id}) with port {port_id} "
        "using fixed IP {fixed_ip}, as that fixed IP already has a floating IP on external "
        "network {net_id}."
    )
