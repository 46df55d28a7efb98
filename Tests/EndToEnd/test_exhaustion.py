"""A machine that has nothing left to give: each message is accepted whole or refused, and the server is there when there is room again."""

import concurrent.futures
import errno
import os
import pwd
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from peers.martlet import binary
from peers.messages import message
from peers.processes import accepts, eventually
from peers.sink import Sink
from peers.wire import Wire

OPEN = {"trust": {"networks": ["127.0.0.0/8"]}, "limits": {"connections_per_client": 0, "messages_per_client_per_minute": 0, "messages_per_connection": 0}}
DENY = Path(__file__).parent / "peers" / "deny.py"


def child_of(server):
    """The process that serves; None between two of them."""
    return next((p for p in server.processes() if p != server.program.pid), None)


def bound(server, pids=None, **limits):
    """Sets soft limits of what its processes may have from now on: bound(server, nproc=1). As their own user, who needs no right for it."""
    words = [f"--{name}={value}:" for name, value in limits.items()]
    entry = pwd.getpwnam(server.user)
    user = {"user": entry.pw_uid, "group": entry.pw_gid} if os.geteuid() == 0 else {}
    for pid in pids or server.processes():
        subprocess.run(["prlimit", "--pid", str(pid), *words], check=True, **user)


def soft_bound(server, name):
    line = next(line for line in Path(f"/proc/{server.program.pid}/limits").read_text().splitlines() if line.startswith(name))
    return line.removeprefix(name).split()[0]


def test_without_threads_it_serves_and_comes_back(martlet):
    """HOSTILE 60: no thread and no process can be made any more; the mail goes on, and after a crash the server waits for room."""
    with Sink() as sink:
        server = martlet(routes=[{"domain": "example.org", "next-hop": sink.next_hop}], **OPEN)
        soft = soft_bound(server, "Max processes")
        bound(server, nproc=1)
        for number in range(20):
            server.send("carol@example.net", ["alice@example.test", "x@example.org"], message(subject=f"without threads {number}"))
        sink.wait(20)
        assert server.count("alice@example.test") == 20
        assert server.json("trace", "x@example.org")
        # A reload needs a resolver, which needs a thread: the old one stays, and so does the server.
        child = child_of(server)
        server.settings["dns"] = {"servers": ["127.0.0.1:9"]}
        server.configure()
        server.reload()
        eventually(lambda: "can't start the thread" in server.log() or "reload" in server.log(), "a word about the reload")
        server.send("carol@example.net", ["alice@example.test"], message(subject="after the reload"))
        assert server.count("alice@example.test") == 21 and child_of(server) == child, server.log()[-2000:]
        # So does a first question to the resolver, which makes one: the message waits, and is no reason to end.
        server.send("carol@example.net", ["y@example.com"], message(subject="by MX"))
        eventually(lambda: any(r["attempts"] for m in server.queue() for r in m["recipients"]), "an attempt that was put off")
        assert child_of(server) == child, server.log()[-2000:]
        # Crashed, it can't be started again until there is room; nobody gives up meanwhile.
        os.kill(child, signal.SIGKILL)
        eventually(lambda: "can't start the server" in server.log(), "a complaint")
        assert server.program.running(), server.log()[-2000:]
        bound(server, nproc=soft)
        eventually(accepts(server.address, server.port), "a server again")
        server.send("carol@example.net", ["alice@example.test"], message(subject="back"))
        assert server.count("alice@example.test") == 22
        # And it ends as it should, without a thread to do it with.
        bound(server, nproc=1)
        assert server.stop(12) == 0, server.log()[-2000:]
        assert "crashed" not in server.log().replace("crashed with signal 9", ""), server.log()[-2000:]


def test_without_random_numbers_it_does_not_start_and_says_why(martlet):
    """HOSTILE 60: getrandom is refused (ENOSYS on an old kernel, EPERM in a sandbox), so that TLS can have no keys: a message and an exit
    code, no trap, no keys that could be guessed, and the store as it was."""
    number = {"x86_64": "318", "aarch64": "278"}.get(os.uname().machine)
    if number is None:
        pytest.skip("the number of getrandom is not known for this machine")
    server = martlet()
    server.send("carol@example.net", ["alice@example.test"], message())
    server.stop()
    for error in (errno.ENOSYS, errno.EPERM):
        done = subprocess.run(
            [sys.executable, DENY, number, str(error), binary(), "serve", "--config", server.file], capture_output=True, text=True, timeout=60)
        said = done.stdout + done.stderr
        assert done.returncode == 1 and "can't start" in said and "entropy" in said, (done.returncode, said)
        assert "crashed" not in said, said
    server.start()
    assert server.count("alice@example.test") == 1 and server.json("store", "verify")["problems"] == []


def test_beside_thieves_of_the_processor_all_are_served_and_the_idle_shed_first(martlet):
    """HOSTILE 60: more thieves than processors, each with more right to them than the server: working sessions all finish, who sits idle
    goes first, whoever is turned away is told, and each message is there once."""
    clients, messages = 10, 10
    server = martlet(
        wrapper=["nice", "-n", "19"],
        **{**OPEN, "limits": {**OPEN["limits"], "connections": clients + 2, "minimum_rate_grace": "5m", "command_timeout": "5m"}})
    thieves = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(2 * os.cpu_count())]
    try:
        idle = [Wire(server.address, server.port) for _ in range(2)]
        working = [Wire(server.address, server.port) for _ in range(clients)]

        def work(wire, number):
            wire.ehlo()
            for one in range(messages):
                wire.envelope("carol@example.net", "alice@example.test", helo=False)
                assert wire.data(message(subject=f"work {number} {one}"))[0] == 250
                arrive()

        # Who comes while all places are taken is told to come again, until one of the idle may be shed for them.
        arrived, lock, told = [], threading.Lock(), []

        def arrive():
            with lock:
                if len(arrived) == len(idle):
                    return
                newcomer = Wire(server.address, server.port)
                if newcomer.greeting[0] == 220:
                    arrived.append(newcomer)
                else:
                    told.append(newcomer.greeting)
                    newcomer.close()

        with concurrent.futures.ThreadPoolExecutor(clients) as pool:
            for done in [pool.submit(work, wire, number) for number, wire in enumerate(working)]:
                done.result()
        while len(arrived) < len(idle):
            # All but the idle work on, so that none of them is the longest idle.
            for wire in working:
                wire.envelope("carol@example.net", "bob@example.test", helo=False)
                assert wire.data(message())[0] == 250
            arrive()
        assert all(code == 421 and lines[0].startswith("4.3.2") for code, lines in told), told
        for wire in idle:
            assert wire.closed().startswith(b"421 4.3.2"), "the idle are shed, and told why"
        for wire in working + arrived:
            wire.expect("NOOP", 250)
            wire.close()
    finally:
        for thief in thieves:
            thief.kill()
            thief.wait()
    subjects = [re.search(rb"work \d+ \d+", raw)[0] for raw in server.messages("alice@example.test")]
    assert len(subjects) == len(set(subjects)) == clients * messages


def test_a_process_that_gets_no_memory_loses_nothing(martlet):
    """HOSTILE 60: the kernel gives the serving process no more memory: what it then can't take is refused or cut off, never half there, and
    the next process has all that was acknowledged."""
    server = martlet(**OPEN)
    child = child_of(server)
    # What it has now is all there will be, and headers, which are kept in memory, soon need more.
    status = dict(line.split(":", 1) for line in Path(f"/proc/{child}/status").read_text().splitlines())
    bound(server, pids=[child], data=int(status["VmData"].split()[0]) * 1024)
    acknowledged, lock = set(), threading.Lock()
    filling = f"X-Filling: {'x' * 900}\r\n"

    def load(number):
        for one in range(6):
            marker = f"marker-{number}-{one}-end"
            try:
                with Wire(server.address, server.port) as wire:
                    wire.envelope("carol@example.net", "alice@example.test")
                    if wire.data(filling.encode() * 900 + message(body=f"{marker}\r\n"))[0] == 250:
                        with lock:
                            acknowledged.add(marker)
            except (OSError, AssertionError):
                pass

    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        list(pool.map(load, range(40)))
    eventually(accepts(server.address, server.port), "a server again")
    assert len(acknowledged) < 240, "the bound was none"
    server.restart()
    found = []
    for raw in server.messages("alice@example.test"):
        assert raw.count(filling.encode()) == 900, "a message is not whole"
        found.append(re.search(rb"marker-\d+-\d+-end", raw)[0].decode())
    assert len(found) == len(set(found)) and acknowledged <= set(found), acknowledged - set(found)
    print(f"figures: without memory: {len(acknowledged)} of 240 messages acknowledged, {server.log().count('crashed with signal')} crashes, 0 lost")
