"""Postfix's own load generators: smtp-source (one connection a message) and smtp-sink, which counts what arrives."""

import os
import re
import select
import subprocess
import time


class Sink:
    """smtp-sink; `-c` makes it print its message counter, which is read when asked."""

    def __init__(self, port):
        as_user = ["-u", "nobody"] if os.geteuid() == 0 else []
        self.port, self.count = port, 0
        self.child = subprocess.Popen(
            ["smtp-sink", "-c", "-m", "2000", *as_user, f"127.0.0.1:{port}", "1000"], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        os.set_blocking(self.child.stdout.fileno(), False)
        self.rest = b""

    def read(self):
        """The messages that have come so far."""
        while True:
            try:
                more = os.read(self.child.stdout.fileno(), 1 << 20)
            except BlockingIOError:
                break
            if not more:
                break
            self.rest = (self.rest + more)[-200:]
        numbers = re.findall(rb"mesg=(\d+)", self.rest) or re.findall(rb"(\d+)", self.rest)
        if numbers:
            self.count = int(numbers[-1])
        return self.count

    def wait(self, count, seconds):
        """Waits until `count` messages have come; when that was (monotonic)."""
        deadline = time.monotonic() + seconds
        while self.read() < count:
            if time.monotonic() > deadline:
                raise RuntimeError(f"smtp-sink got {self.count} of {count} messages within {seconds} s")
            select.select([self.child.stdout], [], [], 0.05)
        return time.monotonic()

    def stop(self):
        self.child.terminate()
        self.child.wait()


def source(port, messages, sessions, size, recipients=("recipient@sink.example",), numbered=False):
    """Runs smtp-source to its end; several side by side where there are several recipients, messages and sessions divided among them.
    `numbered`: the only recipient gets a number in front, from 1, another for each message."""
    recipients = recipients[:sessions]
    if messages % len(recipients) or sessions % len(recipients):
        raise ValueError(f"{messages} messages in {sessions} sessions can't be divided among {len(recipients)} recipients")
    running = [
        subprocess.Popen(
            ["smtp-source", "-m", str(messages // len(recipients)), "-s", str(sessions // len(recipients)), "-l", str(size),
             "-f", "sender@source.example", *(["-N"] if numbered else []), "-t", recipient, f"127.0.0.1:{port}"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for recipient in recipients
    ]
    said = [one.communicate()[0] for one in running]
    if any(one.returncode for one in running):
        raise RuntimeError("smtp-source failed: " + "".join(said)[-2000:])
