"""Errors of security groups, their rules and address groups: see `errors`."""

from deuteron.resources.errors import BadRequest, Conflict, InUse, InvalidInput, NotFound


class SecurityGroupNotFound(NotFound):
    """`id`."""

    message = "Security group {id} does not exist"


class SecurityGroupRuleNotFound(NotFound):
    """`id`."""

    message = "Security group rule {id} does not exist"


class DefaultSecurityGroupRuleNotFound(NotFound):
    """`id`."""

    message = "Default Security Group rule {id} does not exist"


class SecurityGroupInUse(InUse):
    """`id`."""

    message = "Security Group {id} in use."


class SecurityGroupCannotRemoveDefault(InUse):
    """A project's default group is the administrator's to remove."""

    message = "Insufficient rights for removing default security group."


class SecurityGroupCannotUpdateDefault(InUse):
    """A project's default group keeps its name."""

    message = "Updating default security group not allowed."


class SecurityGroupDefaultAlreadyExists(InUse):
    """No other group may be called `default`."""

    message = "Default security group already exists."


class SecurityGroupConflict(Conflict):
    """`reason`."""

    message = "Error {reason} while attempting the operation."


class SecurityGroupRuleExists(InUse):
    """`rule_id`."""

    message = "Security group rule already exists. Rule id is {rule_id}."


class DefaultSecurityGroupRuleExists(InUse):
    """`rule_id`."""

    message = "Default Security group rule already exists. Rule id is {rule_id}."


class SecurityGroupRuleInvalidProtocol(InvalidInput):
    """`protocol`, `values`."""

    message = (
        "Security group rule protocol {protocol} not supported. "
        "Only protocol values {values} and integer representations [0 to 255] are supported."
    )


class SecurityGroupRuleInvalidEtherType(InvalidInput):
    """`ethertype`, `values`."""

    message = "Security group rule for ethertype '{ethertype}' not supported. Allowed values are {values}."


class SecurityGroupEthertypeConflictWithProtocol(InvalidInput):
    """`ethertype`, `protocol`."""

    message = "Invalid ethertype {ethertype} for protocol {protocol}."


class SecurityGroupRuleParameterConflict(InvalidInput):
    """`ethertype`, `cidr`."""

    message = "Conflicting value ethertype {ethertype} for CIDR {cidr}"


class SecurityGroupMultipleRemoteEntites(InvalidInput):
    """More than one remote."""

    message = "Only one of remote_ip_prefix or remote_group_id or remote_address_group_id may be provided."


class SecurityGroupProtocolRequiredWithPorts(InvalidInput):
    """Ports of no protocol."""

    message = "Must also specify protocol if port range is given."


class SecurityGroupInvalidPortRange(InvalidInput):
    """Upside down, or half of it."""

    message = "For TCP/UDP protocols, port_range_min must be <= port_range_max"


class SecurityGroupInvalidPortValue(InvalidInput):
    """`port`."""

    message = "Invalid value for port {port}"


class SecurityGroupInvalidIcmpValue(InvalidInput):
    """`field`, `attr`, `value`."""

    message = "Invalid value for ICMP {field} ({attr}) {value}. It must be 0 to 255."


class SecurityGroupMissingIcmpType(InvalidInput):
    """`value`."""

    message = "ICMP code (port-range-max) {value} is provided but ICMP type (port-range-min) is missing."


class SecurityGroupInvalidProtocolForPort(InvalidInput):
    """`protocol`, `valid_port_protocols`."""

    message = (
        "Ports cannot be specified for protocol {protocol}. "
        "Ports are only supported for {valid_port_protocols}."
    )


class InvalidCIDR(BadRequest):
    """`input`."""

    message = "Invalid CIDR {input} given as IP prefix."


class PortSecurityPortHasSecurityGroup(InUse):
    """Security cannot be switched off under a port's groups."""

    message = (
        "Port has security group associated. "
        "Cannot disable port security or IP address until security group is removed."
    )


class PortSecurityAndIPRequiredForSecurityGroups(InvalidInput):
    """Groups without port security."""

    message = (
        "Port security must be enabled and port must have an IP address in order to use security groups."
    )


class AddressGroupNotFound(NotFound):
    """`id`."""

    message = "Address group {id} could not be found."


class AddressGroupInUse(InUse):
    """`id`."""

    message = "Address group {id} is in use on one or more security group rules."


class AddressesNotFound(NotFound):
    """`addresses`, `id`."""

    message = "Addresses {addresses} not found in the address group {id}."


class AddressesAlreadyExist(BadRequest):
    """`addresses`, `id`."""

    message = "Addresses {addresses} already exist in the address group {id}."
