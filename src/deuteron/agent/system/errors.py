"""What goes wrong in drivers."""


class SystemCommandError(Exception):
    """A tool of the host, or the kernel, refused: `command` is what it was asked, `reason` what it said."""

    def __init__(self, command: str, reason: str) -> None:
        super().__init__(f"{command}: {reason}")
        self.command = command
        self.reason = reason
