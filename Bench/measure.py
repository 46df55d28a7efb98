"""One run of one load through one server, and the counts of another under a tracer."""

import re
import subprocess
import time
from pathlib import Path

import load
import loads
import usage
from servers import eventually

SYNCS = ("fsync", "fdatasync", "sync_file_range", "msync", "syncfs")


def relay(server, sink, messages, sessions, size):
    """Sends `messages` through `server` to `sink`. Time counts from the first connection until the last message arrives; CPU and
    bytes until the server is at rest again."""
    return run(server, sink, messages, sessions, size, {})


def deliver(server, messages, sessions, size, numbered=False):
    """Sends `messages` into `server`'s mailboxes. Time counts until the last can be read there."""
    goal = {"recipients": [loads.address("")] if numbered else [loads.address(n + 1) for n in range(loads.FEW)], "numbered": numbered}
    return run(server, server, messages, sessions, size, goal)


def run(server, sink, messages, sessions, size, goal):
    usage.settle(server.pids)
    before, cpu, written = sink.read(), usage.cpu_seconds(server.pids), usage.bytes_written(server.pids)
    started = time.monotonic()
    load.source(server.port, messages, sessions, size, **goal)
    ended = sink.wait(before + messages, 120)
    usage.settle(server.pids)
    result = {
        "seconds": ended - started,
        "perSecond": messages / (ended - started),
        "cpuPer1000": (usage.cpu_seconds(server.pids) - cpu) / messages * 1000,
        "bytesWritten": (usage.bytes_written(server.pids) - written) / messages,
    }
    arrived = sink.read()  # after the figures are taken: asking costs the server something
    if arrived != before + messages:
        raise RuntimeError(f"{arrived - before} of {messages} messages arrived at {server.name}'s end")
    return result


def counts(make, folder, sink, messages, sessions, size):
    """System calls and syncs a message, in two runs of their own: a tracer slows what it counts, one that stops at syncs only less so.

    A run with no messages is taken off, so that starting and stopping don't count. How many messages share a sync hangs on how long one
    takes, so each is made to take a millisecond at least, as on a disk that can't be any faster.
    """
    calls = traced(make, folder / "calls", sink, messages, sessions, size, [])
    idle = traced(make, folder / "idle", sink, 0, sessions, size, [])
    only_syncs = ["--seccomp-bpf", "-e", "trace=" + ",".join(SYNCS), "-e", "inject=fsync,fdatasync:delay_enter=1000"]
    syncs = traced(make, folder / "syncs", sink, messages, sessions, size, only_syncs)
    idle_syncs = traced(make, folder / "idle-syncs", sink, 0, sessions, size, only_syncs)
    return {
        "systemCalls": max(sum(calls.values()) - sum(idle.values()), 0) / messages,
        "syncs": max(sum(syncs.values()) - sum(idle_syncs.values()), 0) / messages,
    }


def bytes_written(make, folder, sink, messages, sessions, size):
    """Octets sent to storage a message, queue files and logs included."""
    server = make(folder, sink.port).start()
    try:
        relay(server, sink, 100, sessions, size)
        return relay(server, sink, messages, sessions, size)["bytesWritten"]
    finally:
        server.stop()


def traced(make, folder, sink, messages, sessions, size, options):
    """{system call: count} of a whole life of a server that relays `messages`."""
    summary = Path(f"{folder}.strace")
    server = make(folder, sink.port).start(["strace", "-f", "-qq", "-c", "-o", summary, *options])
    try:
        before = sink.read()
        if messages:
            load.source(server.port, messages, sessions, size)
            sink.wait(before + messages, 300)
        usage.settle(server.pids)
    finally:
        end_traced(server)
    return parse_summary(summary.read_text())


def end_traced(server):
    """Ends what is traced; the tracer writes its summary when the last of them is gone."""
    server.end()
    eventually(lambda: server.server.program.child.poll() is not None, "the tracer's end")


def parse_summary(text):
    """The table that strace -c writes."""
    found = {}
    for line in text.splitlines():
        match = re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?([a-z_0-9]+)$", line)
        if match and match[2] != "total":
            found[match[2]] = int(match[1])
    return found


def allocations(make, folder, sink, messages, sessions, size, library):
    """Calls of malloc and its kin a message, counted by a library put in front of the C library's."""
    counter = Path(f"{folder}.count")
    counter.write_bytes(bytes(8))
    counter.chmod(0o666)

    def count():
        return int.from_bytes(counter.read_bytes()[:8], "little")

    server = make(folder, sink.port).start(["env", f"LD_PRELOAD={library}", f"ALLOCATION_COUNT={counter}"])
    try:
        before = sink.read()
        load.source(server.port, 100, sessions, size)
        sink.wait(before + 100, 60)
        usage.settle(server.pids)
        start = count()
        load.source(server.port, messages, sessions, size)
        sink.wait(before + 100 + messages, 120)
        usage.settle(server.pids)
        return (count() - start) / messages
    finally:
        server.stop()


def build_counter(folder):
    """Builds the counting library with the C compiler of the Swift toolchain, or another."""
    library = folder / "count-allocations.so"
    source = Path(__file__).parent / "count-allocations.c"
    swift = subprocess.run(["sh", "-c", "readlink -f $(command -v swift)"], capture_output=True, text=True).stdout.strip()
    compiler = next((str(c) for c in [Path(swift).parent / "clang"] if c.exists()), "cc")
    subprocess.run([compiler, "-O2", "-fPIC", "-shared", "-o", library, source], check=True)
    library.chmod(0o755)
    return library
