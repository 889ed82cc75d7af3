"""The small real-time process that opens and closes the gates of routers as their elections say.

It needs nothing but the standard library, and no agent: what it must do stands in files (records.py), what
was decided comes from keepalived through pipes, and the state of the gates is the kernel's.
"""
