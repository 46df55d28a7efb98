"""What a process tree has used: CPU seconds and bytes written, those of children that ended included."""

import os
import time
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


def tree(pid):
    """`pid` and all that descend from it."""
    found, wave = [pid], [pid]
    while wave:
        wave = [int(c) for p in wave for t in Path(f"/proc/{p}/task").glob("*") for c in read(t / "children").split()]
        found += wave
    return found


def read(path):
    try:
        return path.read_text()
    except OSError:
        return ""


def cpu_seconds(pids):
    """User and system time of the living, and of the dead they waited for."""
    total = 0
    for process in (p for pid in pids for p in tree(pid)):
        fields = read(Path(f"/proc/{process}/stat")).rpartition(")")[2].split()
        if fields:
            total += sum(map(int, fields[11:15]))
    return total / TICK


def memory(pids):
    """Octets of memory that are theirs: what is shared counts in parts (PSS)."""
    return 1024 * sum(
        int(line.split()[1]) for pid in pids for p in tree(pid) for line in read(Path(f"/proc/{p}/smaps_rollup")).splitlines() if line.startswith("Pss:"))


def bytes_written(pids):
    """Bytes sent to storage (`write_bytes`); the kernel adds a child's to its parent's when it is waited for."""
    total = 0
    for process in (p for pid in pids for p in tree(pid)):
        for line in read(Path(f"/proc/{process}/io")).splitlines():
            if line.startswith("write_bytes:"):
                total += int(line.split()[1])
    return total


def settle(pids, quiet=0.4):
    """Waits until the trees no longer use CPU (queue files removed, commits done)."""
    last, since = cpu_seconds(pids), time.monotonic()
    while time.monotonic() - since < quiet:
        time.sleep(0.05)
        now = cpu_seconds(pids)
        if now > last:
            last, since = now, time.monotonic()
