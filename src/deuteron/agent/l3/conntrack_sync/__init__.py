"""Copies connection tracking entries from a router's active twin to the others: one process a host.

This package is engineer C's (another engineer than the switch's), see `manager` here for what the agent wires.
"""
