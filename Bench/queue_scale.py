#!/usr/bin/python3
"""The queue at scale (HOSTILE 39): how soon a server with a very long queue serves, what it takes of memory, and how long a message to a
live destination waits beside a great many that are dead.

    Bench/queue_scale.py [--messages 1000000] [--dead 1000] [--dead-messages 100000] [--seconds 60] [--json] [--keep FOLDER]

Two runs, each with a server and a folder of its own:

- a long queue: `--messages` messages of one recipient, all due, all to one dead host. The first 10,000 are put in over SMTP; the others are
  copies of their rows under other ids, made in the database while no server runs (a million over SMTP would take some minutes more).
- dead destinations: `--dead-messages` messages over SMTP to `--dead` next hops that never answer; all the while one message each half second to a
  live next hop, whose delay is counted from its 250 to its arrival there.

A dead host is an address of the loopback whose queue of connections is full: connecting to it takes until the time-out. Bounds: the first 220
within 2 s, 400 MB (PSS of supervisor and server), a delay of 1 s. Ends with 1 if one is broken.
"""

import argparse
import contextlib
import json
import os
import shutil
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "Tests" / "EndToEnd"))

from peers.martlet import Martlet, binary  # noqa: E402
from peers.processes import dead_port  # noqa: E402
from peers.sink import Sink  # noqa: E402

SEED = 10_000
BOUNDS = {"first220": 2.0, "pss": 400.0, "delay": 1.0}
BODY = b"Subject: queue\r\nFrom: <bench@example.test>\r\n\r\n" + b"x" * 70 + b"\r\n"


class Client:
    """Puts messages in over one connection, a transaction in one write."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=120)
        self.file = self.socket.makefile("rb")
        self.reply()
        self.say(b"EHLO bench.example.test\r\n")

    def reply(self):
        while True:
            line = self.file.readline()
            if not line:
                raise RuntimeError("the server closed the connection")
            if line[3:4] != b"-":
                return line

    def say(self, command):
        self.socket.sendall(command)
        return self.reply()

    def send(self, recipient):
        self.socket.sendall(b"MAIL FROM:<bench@example.test>\r\nRCPT TO:<" + recipient.encode() + b">\r\nDATA\r\n")
        for _ in range(3):
            last = self.reply()
        if not last.startswith(b"354"):
            raise RuntimeError(last.decode())
        last = self.say(BODY + b".\r\n")
        if not last.startswith(b"250"):
            raise RuntimeError(last.decode())


def fill(port, recipients, connections=20):
    """Sends one message to each over several connections."""
    rest, lock, problems = iter(recipients), threading.Lock(), []

    def work():
        try:
            client = Client(port)
            while True:
                with lock:
                    recipient = next(rest, None)
                if recipient is None:
                    return
                client.send(recipient)
        except Exception as problem:
            problems.append(problem)

    threads = [threading.Thread(target=work) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise problems[0]


def multiply(data, count):
    """Copies the queued messages of a stopped server under earlier ids until there are `count`."""
    database = sqlite3.connect(next(data.glob("*.db")))
    database.execute("PRAGMA synchronous=OFF")
    low, high, most = database.execute("SELECT min(message), max(message), max(id) FROM recipients").fetchone()
    seed = database.execute("SELECT count(*) FROM recipients").fetchone()[0]
    columns = {t: [c[1] for c in database.execute(f"PRAGMA table_info({t})")] for t in ("messages", "recipients", "trace")}
    made = seed
    step = (high - low) + (1 << 32)
    for number in range(1, count // seed + 1):
        left = count - made
        if left <= 0:
            break
        shift, bound = number * step, database.execute(
            "SELECT message FROM recipients WHERE message BETWEEN ? AND ? ORDER BY message LIMIT 1 OFFSET ?",
            (low, high, min(left, seed) - 1)).fetchone()[0]

        def copy(table, key, change):
            names = ", ".join(change.get(c, c) for c in columns[table])
            database.execute(f"INSERT INTO {table} SELECT {names} FROM {table} WHERE {key} BETWEEN {low} AND {bound}")

        copy("messages", "id", {"id": f"id - {shift}"})
        copy("recipients", "message", {"message": f"message - {shift}", "id": f"id + {number * (most + 1)}", "state": "0"})
        copy("trace", "id", {"id": f"id - {shift}"})
        made += min(left, seed)
    now = int(time.time() * 1_000_000)
    database.execute("UPDATE recipients SET state = 0, due = ?", (now - 1_000_000,))
    database.execute("INSERT OR REPLACE INTO meta(key, value) VALUES('recipient', (SELECT max(id) + 1 FROM recipients))")
    database.commit()
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    return made


def pss(processes):
    total = 0
    for process in processes:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
    return total / 1024


class Watch:
    """The most memory that a server has taken."""

    def __init__(self, processes):
        self.most, self.ends = 0.0, threading.Event()
        self.processes = processes
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.ends.wait(0.2):
            self.most = max(self.most, pss(self.processes()))

    def end(self):
        self.ends.set()
        self.thread.join()
        return self.most


def server_for(folder, routes, **settings):
    return Martlet(
        folder, routes=routes, trust={"networks": ["127.0.0.0/8"]},
        limits={"connections_per_client": 0, "messages_per_client_per_minute": 0, "messages_per_connection": 0},
        log={"level": "warning"}, **settings)


def descendants(pid):
    found, wave = [pid], [pid]
    while wave:
        wave = [
            int(c) for p in wave for t in Path(f"/proc/{p}/task").glob("*")
            for c in (read(t / "children")).split()]
        found += wave
    return found


def read(path):
    with contextlib.suppress(OSError):
        return path.read_text()
    return ""


def greeting(port, began, seconds=60):
    """Seconds from `began` until the first 220."""
    while time.monotonic() - began < seconds:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=seconds) as client:
            if client.recv(3) == b"220":
                return time.monotonic() - began
        time.sleep(0.005)
    raise RuntimeError("no 220")


def delays(port, sink, seconds, pause=0.5):
    """One message after the other to a live destination: how long each took from its 250 to its arrival."""
    client, found = Client(port), []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        count = len(sink.taken)
        client.send(f"n{count}@live.test")
        sent = time.monotonic()
        sink.wait(count + 1, 120)
        found.append(time.monotonic() - sent)
        time.sleep(pause)
    return found


def long_queue(folder, messages):
    with dead_port() as port, Sink() as sink:
        server = server_for(
            folder, [{"domain": "live.test", "next-hop": sink.next_hop}, {"domain": "*", "next-hop": f"smtp://127.0.0.9:{port}"}])
        server.start()
        fill(server.port, (f"n{n}@dead.test" for n in range(min(SEED, messages))))
        server.stop()
        made = multiply(server.data, messages)
        server._own(*server.data.glob("*"))
        firsts = []
        for _ in range(3):
            began = time.monotonic()
            program = subprocess.Popen(
                [binary(), "serve", "--config", str(server.file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                env={**os.environ, "SWIFT_BACKTRACE": "enable=no"})
            firsts.append(greeting(server.port, began))
            watch = Watch(lambda: descendants(program.pid))
            found = delays(server.port, sink, 10) if len(firsts) == 3 else []
            first_pss = pss(descendants(program.pid))
            if len(firsts) == 3:
                stats_began = time.monotonic()
                stats = server.json("queue", "stats", "--top", "5")
                stats_seconds = time.monotonic() - stats_began
                busy = delays_beside(server, sink)
            program.terminate()
            program.wait(30)
            most = watch.end()
        return {
            "messages": made, "first220": max(firsts), "first220Median": statistics.median(firsts), "pss": most, "pssAtEnd": first_pss,
            "delay": max(found), "delayMedian": statistics.median(found), "statsSeconds": stats_seconds, "statsQueued": stats["queued"],
            "delayBesideStats": busy}


def delays_beside(server, sink):
    """The longest delay while the statistics walk through the queue."""
    walk = threading.Thread(target=lambda: server.json("queue", "stats"))
    walk.start()
    found = []
    while walk.is_alive():
        found += delays(server.port, sink, 0.01, 0.02)
    walk.join()
    return max(found, default=0.0)


def dead_destinations(folder, dead, messages, seconds):
    with dead_port() as port, Sink() as sink:
        routes = [
            {"domain": f"dead{n}.test", "next-hop": f"smtp://127.{1 + n // 62500}.{n // 250 % 250}.{n % 250 + 1}:{port}"}
            for n in range(dead)]
        server = server_for(folder, [*routes, {"domain": "live.test", "next-hop": sink.next_hop}])
        server.start()
        watch = Watch(server.processes)
        began = time.monotonic()
        filler = threading.Thread(target=fill, args=(server.port, [f"n{n}@dead{n % dead}.test" for n in range(messages)]))
        filler.start()
        during = []
        while filler.is_alive():
            during += delays(server.port, sink, 1)
        filler.join()
        filled = time.monotonic() - began
        # While they are tried for the first time, fail, and wait; then all of them at once by hand.
        after = delays(server.port, sink, seconds)
        server.command("queue", "flush")
        flushed = delays(server.port, sink, seconds / 2)
        counts = server.json("queue", "counts")
        server.stop()
        most = watch.end()
        every = during + after + flushed
        return {
            "destinations": dead, "messages": messages, "fillSeconds": filled, "left": counts["messages"], "pss": most,
            "samples": len(every), "delay": max(every), "delayMedian": statistics.median(every), "delayWhileFilling": max(during),
            "delayAfter": max(after), "delayAfterFlush": max(flushed)}


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--messages", type=int, default=1_000_000)
    options.add_argument("--dead", type=int, default=1_000)
    options.add_argument("--dead-messages", type=int, default=100_000)
    options.add_argument("--seconds", type=int, default=60, help="how long delays are looked at once all dead ones have come in")
    options.add_argument("--json", action="store_true")
    options.add_argument("--keep", help="where the folders go and stay")
    chosen = options.parse_args()
    base = Path(chosen.keep or tempfile.mkdtemp(prefix="martlet-queue-"))
    base.mkdir(parents=True, exist_ok=True)
    base.chmod(0o755)
    try:
        result = {
            "longQueue": long_queue(base / "long", chosen.messages),
            "deadDestinations": dead_destinations(base / "dead", chosen.dead, chosen.dead_messages, chosen.seconds)}
    finally:
        if not chosen.keep:
            shutil.rmtree(base, ignore_errors=True)
    long, dead = result["longQueue"], result["deadDestinations"]
    rows = [
        (f"{long['messages']:,} queued: first 220", long["first220"], BOUNDS["first220"], "s"),
        (f"{long['messages']:,} queued, all due: memory (PSS)", long["pss"], BOUNDS["pss"], "MB"),
        (f"{long['messages']:,} queued, all due: delay of a live message", long["delay"], BOUNDS["delay"], "s"),
        ("  the same while `queue stats` walks through it", long["delayBesideStats"], BOUNDS["delay"], "s"),
        (f"{dead['messages']:,} to {dead['destinations']:,} dead: memory (PSS)", dead["pss"], BOUNDS["pss"], "MB"),
        ("  delay of a live message while they come in", dead["delayWhileFilling"], BOUNDS["delay"], "s"),
        ("  afterwards", dead["delayAfter"], BOUNDS["delay"], "s"),
        ("  after `queue flush`", dead["delayAfterFlush"], BOUNDS["delay"], "s")]
    result["passed"] = all(value <= bound for _, value, bound, _ in rows)
    if chosen.json:
        print(json.dumps(result, indent=2))
    else:
        width = max(len(row[0]) for row in rows)
        for what, value, bound, unit in rows:
            print(f"{what:<{width}}  {value:8.2f} {unit:<2}  at most {bound:g} {unit}{'' if value <= bound else '  BROKEN'}")
        print(f"queue stats --json of {long['statsQueued']:,} recipients: {long['statsSeconds']:.2f} s")
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
