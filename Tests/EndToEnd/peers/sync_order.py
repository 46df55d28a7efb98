"""Reads a trace of the server's system calls and holds it against the one rule that a power cut would test: for each message, the write
that carries it returned, then a sync of that file began and returned, and only then was its 250 written.

A message is known by a marker in its body. Where its body went to a file other than the database's log, a write to that log and
its sync must come between the body's sync and the 250 as well: the pointers to it.
"""

import re
from dataclasses import dataclass

CALLS = "read,recvfrom,recvmsg,readv,write,writev,sendto,sendmsg,pwrite64,pwritev,pwritev2,fsync,fdatasync"
STRACE = ["strace", "-f", "-ttt", "-y", "-s", "300000", "-e", f"trace={CALLS}", "-e", "signal=none"]

READS = {"read", "recvfrom", "recvmsg", "readv"}
WRITES = {"write", "writev", "sendto", "sendmsg", "pwrite64", "pwritev", "pwritev2"}
SYNCS = {"fsync", "fdatasync"}

WHOLE = re.compile(r"^(\d+) +[\d.]+ (\w+)\((\d+)<([^>]*)>(.*)\) += (-?\d+)", re.S)
BEGUN = re.compile(r"^(\d+) +[\d.]+ (\w+)\((\d+)<([^>]*)>(.*?) ?<unfinished \.\.\.>$", re.S)
ENDED = re.compile(r"^(\d+) +[\d.]+ <\.\.\. (\w+) resumed>(.*)\) += (-?\d+)", re.S)


@dataclass
class Call:
    name: str
    where: str  # path of a file, or socket:[inode]
    text: str
    begun: int  # line numbers of the trace: its order
    ended: int
    result: int


def calls(trace):
    found, open_calls = [], {}
    for number, line in enumerate(trace.splitlines()):
        if match := BEGUN.match(line):
            open_calls[match[1]] = Call(match[2], match[4], match[5], number, -1, -1)
        elif match := ENDED.match(line):
            call = open_calls.pop(match[1], None)
            if call:
                call.text, call.ended, call.result = call.text + match[3], number, int(match[4])
                found.append(call)
        elif match := WHOLE.match(line):
            found.append(Call(match[2], match[4], match[5], number, number, int(match[6])))
    return sorted(found, key=lambda c: c.begun)


def check(trace, markers):
    """What is wrong, one line for each marker's message; empty if all is in order."""
    every = calls(trace)
    sockets = [c for c in every if c.where.startswith(("socket:", "TCP", "TCPv6"))]
    files = [c for c in every if c.where.startswith("/")]
    syncs = [c for c in files if c.name in SYNCS and c.result == 0]
    wrong = []
    for marker in markers:
        problem = check_one(marker, sockets, files, syncs)
        if problem:
            wrong.append(f"{marker}: {problem}")
    return wrong


def check_one(marker, sockets, files, syncs):
    arrival = next((c for c in sockets if c.name in READS and marker in c.text), None)
    if arrival is None:
        return "never read from a socket"
    reply = next((c for c in sockets if c.name in WRITES and c.where == arrival.where and c.begun > arrival.ended and re.search(r'"(?:[^"]*\\n)?250[ -]', c.text)), None)
    if reply is None:
        return "no 250 on its connection"
    writes = [c for c in files if c.name in WRITES and marker in c.text and c.result > 0 and c.ended < reply.begun and c.ended > arrival.ended - 1]
    if not writes:
        return "its 250 was written before any file held it"
    for write in writes:
        body = next((s for s in syncs if s.where == write.where and s.begun > write.ended and s.ended < reply.begun), None)
        if body is None:
            continue
        if write.where.endswith("-wal"):
            return None
        # A pointer to the body is written once the body is safe, and then synced.
        for pointers in files:
            if pointers.name in WRITES and pointers.where.endswith("-wal") and pointers.result > 0 and pointers.begun > body.ended:
                if any(s.where == pointers.where and s.begun > pointers.ended and s.ended < reply.begun for s in syncs):
                    return None
    return f"no sync of what holds it ({', '.join(sorted({w.where for w in writes}))}) returned between its write and its 250"
