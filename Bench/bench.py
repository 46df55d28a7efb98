#!/usr/bin/python3
"""Martlet beside Postfix: smtp-source -> server -> smtp-sink, on one machine, one file system, in one run. `make bench` runs it.

    Bench/bench.py [--rounds N] [--quick] [--only Postfix|Martlet] [--chart FILE] [--json FILE]

Each load runs `--rounds` times (3) through each server in turn, and medians are shown. Both sync every message before its 250, and log
each decision. The floor is checked at 4 KB and 20 sessions: at least 4 times Postfix's messages a second, at most a sixth of its CPU.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

import load
import measure
import report
from servers import MartletServer, PostfixServer, free_port

LOADS = {  # name: (messages, sessions, octets)
    "4 KB, 1 session": (1000, 1, 4096),
    "4 KB, 20 sessions": (6000, 20, 4096),
    "4 KB, 100 sessions": (6000, 100, 4096),
    "100 KB, 20 sessions": (1000, 20, 102400),
}
FLOOR = "4 KB, 20 sessions"
FLOOR_SPEED, FLOOR_CPU = 4.0, 1 / 6


def rounds(options, folder, sink, makers):
    """{load: {server: medians}}, rounds interleaved."""
    servers = [make(folder / make.name.lower(), sink.port).start() for make in makers]
    found = {name: {s.name: [] for s in servers} for name in LOADS}
    try:
        for server in servers:
            measure.relay(server, sink, 300, 20, 4096)  # so that neither starts cold
        for number in range(options.rounds):
            for name, (messages, sessions, size) in LOADS.items():
                for server in servers:
                    scale = 10 if options.quick else 1
                    one = measure.relay(server, sink, messages // scale, sessions, size)
                    found[name][server.name].append(one)
                    print(f"round {number + 1}  {name:20} {server.name:8} {one['perSecond']:7,.0f}/s  {one['cpuPer1000']:.3f} CPU s per 1,000", flush=True)
    finally:
        for server in servers:
            server.stop()
    return {
        name: {server: {key: statistics.median(r[key] for r in runs) for key in runs[0]} for server, runs in by.items()}
        for name, by in found.items()
    }


def count(folder, sink, makers, results):
    """Adds what does not depend on the machine's speed, for the load of the floor."""
    _, sessions, size = LOADS[FLOOR]
    library = measure.build_counter(folder)
    for make in makers:
        found = measure.counts(make, folder / f"{make.name.lower()}-counts", sink, 1000, sessions, size)
        if make is MartletServer:
            found["allocations"] = measure.allocations(make, folder / "martlet-allocations", sink, 1000, sessions, size, library)
        results[FLOOR][make.name] |= found


def verdict(results):
    """Whether the floor holds; prints the ratios."""
    postfix, martlet = results[FLOOR]["Postfix"], results[FLOOR]["Martlet"]
    speed, cpu = martlet["perSecond"] / postfix["perSecond"], martlet["cpuPer1000"] / postfix["cpuPer1000"]
    good = speed >= FLOOR_SPEED and cpu <= FLOOR_CPU
    print(f"\n{FLOOR}: Martlet relays {speed:.1f} times as many a second (floor {FLOOR_SPEED:g}) at 1/{1 / cpu:.1f} of the CPU (floor 1/{1 / FLOOR_CPU:.0f}): "
          + ("holds" if good else "MISSED"))
    return good


def machine():
    model = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), platform.machine())
    return f"{os.cpu_count()} cores ({model}), shared with the load generators; medians of interleaved runs; one connection a message"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a tenth of the messages")
    parser.add_argument("--only", choices=["Postfix", "Martlet"])
    parser.add_argument("--chart", help="write the chart here")
    parser.add_argument("--json", help="write the figures here")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("make bench needs root: Postfix changes users")

    makers = [m for m in (PostfixServer, MartletServer) if options.only in (None, m.name)]
    folder = Path(tempfile.mkdtemp(prefix="martlet-bench-", dir="/var/tmp"))
    folder.chmod(0o755)
    sink = load.Sink(free_port())
    try:
        results = rounds(options, folder, sink, makers)
        count(folder, sink, makers, results)
    finally:
        sink.stop()
        shutil.rmtree(folder, ignore_errors=True)
    print("\n" + machine() + "\n\n" + report.table(results))
    if options.json:
        Path(options.json).write_text(json.dumps({"machine": machine(), "results": results}, indent=2) + "\n")
    if options.chart:
        Path(options.chart).write_text(report.chart(results, machine()))
    if len(makers) == 2 and not verdict(results):
        sys.exit(1)


if __name__ == "__main__":
    main()
