"""Copies the connections that a router's active twin tracks to its other twins: one process a host.

It needs nothing but the standard library, and no agent: what routers there are stands in the switch's files,
which of them are open is the switch's to tell, and the connections are the kernel's. Nothing is kept in here:
a process that is started again asks its twins for what it missed.
"""
