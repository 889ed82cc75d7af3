"""Names of devices and namespaces, as operators know them."""


def bridge(network: str) -> str:
    """Return the name of a network's bridge."""
    return f"brq{network[:11]}"


def vxlan(vni: int) -> str:
    """Return the name of a VXLAN device."""
    return f"vxlan-{vni}"


def tap(port: str) -> str:
    """Return the name of a port's device on the host's side."""
    return f"tap{port[:11]}"


def router_namespace(router: str) -> str:
    """Return the name of a router's namespace."""
    return f"qrouter-{router}"


def dhcp_namespace(network: str) -> str:
    """Return the name of the namespace of a network's DHCP server."""
    return f"qdhcp-{network}"


def dhcp_device(port: str) -> str:
    """Return the name of a DHCP port's device inside its namespace."""
    return f"ns-{port[:11]}"


def internal_device(port: str) -> str:
    """Return the name of a router interface's device inside the router's namespace."""
    return f"qr-{port[:11]}"


def gateway_device(port: str) -> str:
    """Return the name of a router gateway's device inside the router's namespace."""
    return f"qg-{port[:11]}"
