"""As much as goes through one TCP connection: `bulk.py receive` or `bulk.py send ADDRESS SECONDS`.

The receiver prints a line when it listens and, when the sender is done, `BYTES SECONDS`, from the first
byte to the last. Standard library only.
"""

import socket
import sys
import time

PORT = 5001
_PIECE = 1 << 18
_WAIT_SECONDS = 20.0


def receive() -> None:
    """Take one connection."""
    with socket.create_server(("", PORT)) as listener:
        listener.settimeout(_WAIT_SECONDS)
        print("ready", flush=True)
        connection, _ = listener.accept()
    buffer = memoryview(bytearray(_PIECE))
    with connection:
        connection.settimeout(_WAIT_SECONDS)
        total = connection.recv_into(buffer)
        begin = end = time.monotonic()
        while count := connection.recv_into(buffer):
            total += count
            end = time.monotonic()
    print(total, end - begin, flush=True)


def send(address: str, seconds: float) -> None:
    """Send for so many seconds."""
    piece = bytes(_PIECE)
    with socket.create_connection((address, PORT), timeout=_WAIT_SECONDS) as connection:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            connection.sendall(piece)


if __name__ == "__main__":
    if sys.argv[1] == "receive":
        receive()
    else:
        send(sys.argv[2], float(sys.argv[3]))
