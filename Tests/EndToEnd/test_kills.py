"""SIGKILL at random moments under load, and during recovery: what was acknowledged is never lost."""

import os
import random
import re
import signal
import socket
import threading
import time
import uuid

from peers.messages import message
from peers.processes import accepts, eventually
from peers.sink import Sink
from peers.wire import Closed, Wire

KILLS = 50
FILLING = "filling of the message\r\n"
LONG = int(os.environ.get("MARTLET_LONG_SECONDS", "0"))


class Load:
    """Clients that send without end; `acknowledged` are the markers of messages that got their 250."""

    def __init__(self, server, clients=6):
        self.server, self.acknowledged, self.sent, self.lock = server, set(), 0, threading.Lock()
        self.ended = threading.Event()
        self.threads = [threading.Thread(target=self.client, args=(random.Random(n),), daemon=True) for n in range(clients)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        for thread in self.threads:
            thread.join()

    def client(self, dice):
        while not self.ended.is_set():
            try:
                with Wire(self.server.address, self.server.port, timeout=10) as wire:
                    wire.ehlo()
                    for _ in range(dice.randrange(1, 10)):
                        self.one(wire, dice)
                        if self.ended.is_set():
                            return
            except (OSError, Closed, AssertionError, socket.timeout):
                self.ended.wait(0.02)

    def one(self, wire, dice):
        marker = f"marker-{uuid.uuid4().hex}"
        recipients = dice.choice([["alice@example.test"], ["carol@example.net"], ["alice@example.test", "carol@example.net"]])
        wire.expect("MAIL FROM:<bob@example.test>", 250)
        for recipient in recipients:
            wire.expect(f"RCPT TO:<{recipient}>", 250)
        lines = dice.choice([1, 1, 1, 20, 500, 5000])
        self.sent += 1
        if wire.data(message(body=f"{marker} {lines}\r\n" + FILLING * lines))[0] == 250:
            with self.lock:
                self.acknowledged.update((marker, recipient) for recipient in recipients)


def kill_once(server, dice):
    """Kills the whole server, or only the process that serves, which the other starts again; sometimes during recovery too."""
    everything = dice.random() < 0.6
    workers = [p for p in server.processes() if p != server.program.pid]
    if everything or not workers:
        server.kill()
        while dice.random() < 0.3:
            server.program.start()
            time.sleep(dice.random() * 0.2)
            server.kill()
        server.start()
    else:
        try:
            os.kill(workers[-1], signal.SIGKILL)
        except ProcessLookupError:
            pass
        server.program.wait_until(accepts(server.address, server.port))


def markers(data):
    """The marker of a message, which must be there once and whole."""
    found = re.findall(rb"(marker-[0-9a-f]{32}) (\d+)\r\n", data)
    assert len(found) == 1 and data.count(FILLING.encode()) == int(found[0][1]), f"a message is not whole, or two are mixed: {data[:500]}"
    return {found[0][0]}


def test_no_acknowledged_message_is_lost(martlet):
    """HOSTILE 58."""
    seed = int(os.environ.get("MARTLET_SEED", random.randrange(2**32)))
    dice = random.Random(seed)
    with Sink() as sink:
        server = martlet(
            routes=[{"domain": "*", "next-hop": sink.next_hop}], trust={"networks": ["127.0.0.0/8"]},
            limits={"connections_per_client": 0, "messages_per_client_per_minute": 0}, queue={"first_retry": "1s", "maximum_retry": "2s"})
        kills, until = 0, time.monotonic() + LONG
        with Load(server) as load:
            while kills < KILLS or time.monotonic() < until:
                time.sleep(dice.random() * 0.8)
                kill_once(server, dice)
                kills += 1
        server.kill()
        server.start()
        server.command("store", "verify")
        server.command("queue", "flush")
        eventually(lambda: server.queue() == [], f"an empty queue (seed {seed})", 120)

        at_alice = [markers(raw) for raw in server.messages("alice@example.test")]
        at_sink = [markers(taken.data) for taken in sink.taken]
        found = {
            "alice@example.test": {m.decode() for held in at_alice for m in held},
            "carol@example.net": {m.decode() for held in at_sink for m in held},
        }
        lost = [(marker, recipient) for marker, recipient in load.acknowledged if marker not in found[recipient]]
        assert not lost, f"{len(lost)} of {len(load.acknowledged)} acknowledged copies lost after {kills} kills (seed {seed}): {lost[:5]}"
        assert len(at_alice) == len(found["alice@example.test"]), "a mailbox holds a message twice"
        assert len(load.acknowledged) > 20 * kills / 10, f"only {len(load.acknowledged)} messages got through: the load was no load"
        print(f"{kills} kills, {load.sent} sent, {len(load.acknowledged)} copies acknowledged, 0 lost, {len(at_sink) - len(found['carol@example.net'])} relayed twice, seed {seed}")
