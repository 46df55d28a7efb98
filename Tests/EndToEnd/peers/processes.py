"""Starting, waiting for and ending programs; free ports."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import time
from pathlib import Path

READY_WITHIN = 30  # seconds; only a broken program needs them

_taken = set()


def free_port(address="127.0.0.1"):
    """A TCP port that is free, UDP too; not given twice in this run.

    Not one of those that the system gives to clients: while a server is down, who keeps connecting to its port may be given that very
    port, connect to itself, and keep the server from binding it again.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(min(10_000, lowest - 5_000), lowest)
        if port in _taken:
            continue
        with socket.socket(family) as tcp, socket.socket(family, socket.SOCK_DGRAM) as udp:
            try:
                tcp.bind((address, port))
                udp.bind((address, port))
            except OSError:
                continue
        _taken.add(port)
        return port


@contextlib.contextmanager
def dead_port():
    """A port at which nobody answers, on every address of the loopback: its queue of connections is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("0.0.0.0", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(("127.0.0.1", port))
        time.sleep(0.2)
        yield port


class DidNotStart(AssertionError):
    pass


class Program:
    """A child in a process group of its own; its output goes to a log file."""

    def __init__(self, command, log, environment=None, cwd=None):
        self.command, self.log, self.cwd = [str(part) for part in command], Path(log), cwd
        self.environment = {**os.environ, **(environment or {})}
        self.child = None

    @property
    def pid(self):
        return self.child.pid

    def start(self, ready=None):
        out = self.log.open("ab")
        self.child = subprocess.Popen(
            self.command, cwd=self.cwd, env=self.environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
        out.close()
        if ready:
            self.wait_until(ready)
        return self

    def wait_until(self, ready, what="ready"):
        deadline = time.monotonic() + READY_WITHIN
        while not ready():
            if self.child.poll() is not None:
                raise DidNotStart(f"{self.command[0]} ended with {self.child.returncode}:\n{self.output()[-4000:]}")
            if time.monotonic() > deadline:
                raise DidNotStart(f"{self.command[0]} is not {what}:\n{self.output()[-4000:]}")
            time.sleep(0.01)

    def output(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def signal(self, number):
        os.kill(self.child.pid, number)

    def running(self):
        return self.child is not None and self.child.poll() is None

    def stop(self, seconds=20):
        """SIGTERM; its exit code. What it leaves behind in its group is killed."""
        if self.child is None:
            return None
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
        try:
            return self.child.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            self.kill()

    def kill(self):
        """SIGKILL to the whole group; returns when all of it is gone, with its sockets."""
        if self.child is None:
            return
        try:
            os.killpg(self.child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.child.wait()
        while _lives(self.child.pid):
            time.sleep(0.005)


def _lives(group):
    """Whether a process of this group has not ended; one that only waits to be reaped has, unless other threads of it are still ending:
    they hold its sockets, and who connects then is reset."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, member, *rest = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(member) == group and (state not in "ZX" or int(rest[14]) > 1):
            return True
    return False


def accepts(address, port):
    """Whether something accepts connections there."""
    def check():
        try:
            socket.create_connection((address, port), timeout=1).close()
            return True
        except OSError:
            return False

    return check


def accepts_unix(path):
    def check():
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(path))
                return True
            except OSError:
                return False

    return check


def eventually(check, what, seconds=30):
    """Waits until `check()` is true and gives its value; fails saying `what` was awaited."""
    deadline = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"did not come about within {seconds} s: {what}")
        time.sleep(0.02)
