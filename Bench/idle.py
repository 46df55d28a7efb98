"""Memory of connections that wait: opened, greeted, EHLO said, nothing more."""

import socket
import time

import usage


def hold(server, connections):
    """Octets of memory that `connections` idle ones take more than none, and all of the server's memory with them."""
    usage.settle(server.pids)
    before = usage.memory(server.pids)
    held = []
    try:
        for number in range(connections):
            one = socket.create_connection(("127.0.0.1", server.port), timeout=60, source_address=(f"127.0.0.{2 + number // 5000}", 0))
            held.append(one)
            talk(one, None)
            talk(one, b"EHLO idle.example\r\n")
        time.sleep(1)
        usage.settle(server.pids)
        during = usage.memory(server.pids)
        talk(held[0], b"NOOP\r\n")
        talk(held[-1], b"NOOP\r\n")
    finally:
        for one in held:
            one.close()
    return {"connections": connections, "memory": during, "perConnection": (during - before) / connections}


def talk(one, command):
    """Says it and reads the whole reply, which must be a good one."""
    if command:
        one.sendall(command)
    reply = b""
    while not reply.endswith(b"\n") or reply.splitlines()[-1][3:4] == b"-":
        more = one.recv(4096)
        if not more:
            raise RuntimeError(f"closed after {reply!r}")
        reply += more
    if not reply.startswith(b"2"):
        raise RuntimeError(f"said {reply!r}")
