"""Deuteron: a network service with the Neutron v2.0 API that survives the death of a host."""

__version__ = "0.1.0"
