#!/usr/bin/python3
"""Martlet beside Postfix and Dovecot on one machine, one file system, in one run. `make bench` runs it.

    Bench/bench.py [--rounds N] [--quick] [--only relayed|delivered|idle] [--chart FILE] [--json FILE]

Relayed: smtp-source -> server -> smtp-sink, until the last arrives. Delivered: smtp-source -> mailbox (Postfix hands to Dovecot by LMTP), until
the last can be read. One connection a message. Each load runs `--rounds` times (3) through each server in turn, and medians are shown. All
sync every message before its 250 and log each decision. Each floor of loads.py is held against the ratio; a missed one ends with 1.
"""

import argparse
import json
import os
import platform
import resource
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

import idle
import load
import measure
import report
from loads import COUNTED, IDLE, IDLE_MEMORY, IDLE_OTHER, LOADS
from servers import MartletMailboxes, MartletServer, PostfixDovecotServer, PostfixServer, free_port


def rounds(options, kind, servers, one_run):
    """{load: {server: medians}}, rounds interleaved. The servers run."""
    wanted = [one for one in LOADS if one.kind == kind]
    found = {one: {s.name: [] for s in servers} for one in wanted}
    for server in servers:
        one_run(server, messages=300, sessions=20, size=4096)  # so that none starts cold
    for number in range(options.rounds):
        for one in wanted:
            for server in servers:
                sized = {"messages": one.messages // (10 if options.quick else 1), "sessions": one.sessions, "size": one.octets}
                result = one_run(server, **sized, **({"numbered": True} if one.numbered else {}))
                found[one][server.name].append(result)
                print(f"round {number + 1}  {kind:9} {one.name:27} {server.name:17} {result['perSecond']:7,.0f}/s  {result['cpuPer1000']:.3f} CPU s per 1,000", flush=True)
    return {
        one: {server: {key: statistics.median(r[key] for r in runs) for key in runs[0]} for server, runs in by.items()}
        for one, by in found.items()
    }


def relaying(options, folder, sink):
    servers = [make(folder / make.name.lower(), sink.port).start() for make in (PostfixServer, MartletServer)]
    try:
        results = rounds(options, "relayed", servers, lambda server, **sized: measure.relay(server, sink, **sized))
    finally:
        for server in servers:
            server.stop()
    library = measure.build_counter(folder)
    for make in (PostfixServer, MartletServer):
        found = measure.counts(make, folder / f"{make.name.lower()}-counts", sink, 1000, COUNTED.sessions, COUNTED.octets)
        if make is MartletServer:
            found["allocations"] = measure.allocations(make, folder / "martlet-allocations", sink, 1000, COUNTED.sessions, COUNTED.octets, library)
        results[COUNTED][make.name] |= found
    return results


def delivering(options, folder):
    servers = [PostfixDovecotServer(folder / "postfix-dovecot").start(), MartletMailboxes(folder / "martlet-boxes").start()]
    try:
        return rounds(options, "delivered", servers, measure.deliver)
    finally:
        for server in servers:
            server.stop()


def idling(folder, sink):
    """{server: memory}"""
    found = {}
    for make, connections in ((PostfixServer, IDLE_OTHER), (MartletServer, IDLE)):
        server = make(folder / f"{make.name.lower()}-idle", sink.port).start()
        try:
            found[server.name] = idle.hold(server, connections)
        finally:
            server.stop()
    return found


def verdict(results, idle_results):
    """Whether all floors hold; prints the ratios."""
    held = []
    for one, by in results.items():
        (_, other), (_, martlet) = sorted(by.items(), key=lambda item: item[0] == "Martlet")
        speed, cpu = martlet["perSecond"] / other["perSecond"], other["cpuPer1000"] / martlet["cpuPer1000"]
        good = speed >= one.speed and (not one.cpu or cpu >= 1 / one.cpu)
        floors = f"{one.speed:g}x" + (f", 1/{1 / one.cpu:.0f}" if one.cpu else "")
        print(f"{one.kind:9} {one.name:27} {speed:5.1f} times as many a second, 1/{cpu:.1f} of the CPU (floor {floors}): {'holds' if good else 'MISSED'}")
        held.append(good)
    if idle_results:
        memory = idle_results["Martlet"]["memory"]
        held.append(memory <= IDLE_MEMORY)
        for name, r in idle_results.items():
            print(f"idle      {r['connections']:,} connections: {name} {r['memory'] / 1e6:.0f} MB, {r['perConnection'] / 1024:.1f} KiB each")
        print(f"          floor {IDLE_MEMORY / 1e6:.0f} MB for {IDLE:,}: {'holds' if held[-1] else 'MISSED'}")
    return all(held)


def machine():
    model = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), platform.machine())
    return f"{os.cpu_count()} cores ({model}), shared with the load generators; medians of interleaved runs; one connection a message"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a tenth of the messages")
    parser.add_argument("--only", choices=["relayed", "delivered", "idle"])
    parser.add_argument("--chart", help="write the chart here")
    parser.add_argument("--json", help="write the figures here")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("make bench needs root: Postfix and Dovecot change users")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    folder = Path(tempfile.mkdtemp(prefix="martlet-bench-", dir="/var/tmp"))
    folder.chmod(0o755)
    sink = load.Sink(free_port())
    results, idle_results = {}, {}
    try:
        if options.only in (None, "relayed"):
            results |= relaying(options, folder, sink)
        if options.only in (None, "delivered"):
            results |= delivering(options, folder)
        if options.only in (None, "idle"):
            idle_results = idling(folder, sink)
    finally:
        sink.stop()
        shutil.rmtree(folder, ignore_errors=True)
    print("\n" + machine() + "\n\n" + report.table(results) + "\n")
    if options.json:
        rows = [{"kind": one.kind, "load": one.name, "server": server, **r} for one, by in results.items() for server, r in by.items()]
        Path(options.json).write_text(json.dumps({"machine": machine(), "results": rows, "idle": idle_results}, indent=2) + "\n")
    if options.chart:
        Path(options.chart).write_text(report.chart(results, machine()))
    if not verdict(results, idle_results):
        sys.exit(1)


if __name__ == "__main__":
    main()
