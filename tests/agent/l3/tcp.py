"""Without an argument: a TCP server, echo on port 7007, the peer's address on 7008. With one: a client of it.

The client sends a line for each line on its standard input and says "yes" when it comes back within 15 s.
"""

import socket
import sys
import threading

PORT = 7007


def serve() -> None:
    threading.Thread(target=tell, daemon=True).start()
    with socket.create_server(("", PORT)) as listening:
        while True:
            client, _ = listening.accept()
            threading.Thread(target=echo, args=(client,), daemon=True).start()


def tell() -> None:
    with socket.create_server(("", PORT + 1)) as listening:
        while True:
            client, (address, _) = listening.accept()
            with client:
                client.sendall(address.encode())


def echo(client: socket.socket) -> None:
    with client:
        while data := client.recv(4096):
            client.sendall(data)


def ask(address: str) -> None:
    connection = None
    for _ in range(100):
        try:
            connection = socket.create_connection((address, PORT), 0.2)
            break
        except OSError:
            continue
    assert connection
    connection.settimeout(15)
    with connection, connection.makefile("rwb") as stream:
        for number, _ in enumerate(sys.stdin):
            line = b"%d\n" % number
            try:
                stream.write(line)
                stream.flush()
                answer = stream.readline()
            except OSError:
                answer = b""
            print("yes" if answer == line else "no", flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        ask(sys.argv[1])
    else:
        serve()
