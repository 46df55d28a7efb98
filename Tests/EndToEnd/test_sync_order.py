"""A 250 follows the sync of what it promises: seen in the system calls of the real server."""

import concurrent.futures
import os
import signal
import uuid

import pytest
from peers.messages import message
from peers.processes import eventually
from peers.sink import Sink
from peers.sync_order import STRACE, check
from peers.wire import Wire

GOOD = """10 1.1 recvfrom(7<socket:[100]>, "Subject: x\\r\\n\\r\\nmarker-one\\r\\n.\\r\\n", 8192, 0, NULL, NULL) = 40
11 1.2 pwrite64(9</data/mail.db-wal>, "\\0\\0marker-one", 4096, 0) = 4096
11 1.3 fdatasync(9</data/mail.db-wal> <unfinished ...>
10 1.4 recvfrom(8<socket:[101]>, "marker-two", 8192, 0, NULL, NULL) = 10
11 1.5 <... fdatasync resumed>)        = 0
10 1.6 write(7<socket:[100]>, "250 2.0.0 stored as A1\\r\\n", 24) = 24
11 1.7 pwrite64(12</data/bodies/1>, "marker-two", 9000, 0) = 9000
11 1.8 fdatasync(12</data/bodies/1>) = 0
11 1.9 pwrite64(9</data/mail.db-wal>, "pointers", 4096, 0) = 4096
11 2.0 fdatasync(9</data/mail.db-wal>) = 0
10 2.1 write(8<socket:[101]>, "250 2.0.0 stored as A2\\r\\n", 24) = 24
"""
MARKERS = ["marker-one", "marker-two"]


def test_a_trace_in_order_passes():
    assert check(GOOD, MARKERS) == []


@pytest.mark.parametrize(
    "old, new, guilty",
    [
        ("11 1.5 <... fdatasync resumed>)        = 0\n10 1.6 write(7<socket:[100]>, \"250 2.0.0 stored as A1\\r\\n\", 24) = 24\n",
         "10 1.6 write(7<socket:[100]>, \"250 2.0.0 stored as A1\\r\\n\", 24) = 24\n11 1.7 <... fdatasync resumed>)        = 0\n", "marker-one"),
        ("11 1.8 fdatasync(12</data/bodies/1>) = 0\n", "", "marker-two"),
        ("11 2.0 fdatasync(9</data/mail.db-wal>) = 0\n", "", "marker-two"),
        ("fdatasync(12</data/bodies/1>) = 0", "fdatasync(12</data/bodies/1>) = -1", "marker-two"),
        ("fdatasync(12</data/bodies/1>)", "fdatasync(13</data/bodies/2>)", "marker-two"),
        ("11 1.9 pwrite64(9</data/mail.db-wal>, \"pointers\", 4096, 0) = 4096\n", "", "marker-two"),
        ("11 1.2 pwrite64(9</data/mail.db-wal>, \"\\0\\0marker-one\", 4096, 0) = 4096\n", "", "marker-one"),
    ], ids=["250 before the sync returns", "body not synced", "pointers not synced", "sync failed", "another file synced", "pointers never written", "never written"])
def test_a_planted_violation_is_found(old, new, guilty):
    assert old in GOOD
    wrong = check(GOOD.replace(old, new), MARKERS)
    assert len(wrong) == 1 and wrong[0].startswith(guilty), wrong


def test_each_250_of_the_server_follows_its_sync(martlet, folder):
    trace = folder / "trace"
    with Sink() as sink:
        server = martlet(
            start=False, wrapper=[*STRACE, "-o", str(trace)], routes=[{"domain": "*", "next-hop": sink.next_hop}],
            trust={"networks": ["127.0.0.0/8"]}, limits={"connections_per_client": 0, "messages_per_client_per_minute": 0})
        server.start()
        markers = [f"marker-{uuid.uuid4().hex}" for _ in range(120)]

        def send(number, marker):
            lines = {0: 20, 1: 200, 2: 4000}[number % 3]  # 1 KB and 10 KB; 200 KB goes into a segment
            recipient = "alice@example.test" if number % 2 else "carol@example.net"
            with Wire(server.address, server.port) as wire:
                wire.envelope("bob@example.test", recipient)
                assert wire.data(message(body=f"{marker}\r\n" * lines))[0] == 250

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(send, range(len(markers)), markers))
        sink.wait(len(markers) // 2)
        os.kill(server.processes()[1], signal.SIGTERM)
        eventually(lambda: not server.running(), "the server's end")
    wrong = check(trace.read_text(errors="replace"), markers)
    assert not wrong, "\n".join(wrong[:10])
