"""The server under test: its data folder, its configuration, its command line."""

import json
import os
import pwd
import shutil
import signal
import smtplib
import subprocess
from pathlib import Path

from .processes import Program, accepts, accepts_unix, free_port

ROOT = Path(__file__).resolve().parents[3]


def binary():
    """MARTLET_BIN, else the newest of the two builds that make makes."""
    if "MARTLET_BIN" in os.environ:
        return os.environ["MARTLET_BIN"]
    builds = [ROOT / b / "release" / "martlet" for b in (".build", ".build-test")]
    return str(max((b for b in builds if b.exists()), key=lambda b: b.stat().st_mtime))


def toml(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml(v) for v in value) + "]"
    return json.dumps(str(value))


class Martlet:
    """One server. `settings` are sections of martlet.toml: {"limits": {"recipients": 5}}, a list for [[...]]; underscores stand for hyphens."""

    user = "nobody"  # whom it becomes when started as root

    def __init__(
        self, folder, hostname="mx.example.test", certificate=None, dns=None, routes=(), lmtp=False, lmtp_unix=False, ipv6=False,
        wrapper=(), **settings,
    ):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.hostname, self.certificate, self.wrapper = hostname, certificate, list(wrapper)
        self.data = self.folder / "data"
        self.file = self.folder / "martlet.toml"
        self.port = free_port()
        self.address = "127.0.0.1"
        self.port6 = free_port("::1") if ipv6 else None
        self.tls_port = free_port() if certificate else None
        self.lmtp_port = free_port() if lmtp else None
        self.lmtp_path = self.folder / "lmtp" if lmtp_unix else None
        self.routes, self.dns, self.settings = list(routes), dns, settings
        self.program = None
        self.data.mkdir(exist_ok=True)
        self._own(self.folder, self.data)
        self.configure()

    # Configuration

    def _own(self, *paths):
        if os.geteuid() == 0:
            entry = pwd.getpwnam(self.user)
            for path in paths:
                os.chown(path, entry.pw_uid, entry.pw_gid)

    def listeners(self):
        found = [{"protocol": "smtp", "address": f"127.0.0.1:{self.port}"}]
        if self.port6:
            found.append({"protocol": "smtp", "address": f"[::1]:{self.port6}"})
        if self.tls_port:
            found.append({"protocol": "smtp", "address": f"127.0.0.1:{self.tls_port}", "tls": "implicit"})
        if self.lmtp_port:
            found.append({"protocol": "lmtp", "address": f"127.0.0.1:{self.lmtp_port}"})
        if self.lmtp_path:
            found.append({"protocol": "lmtp", "address": f"unix:{self.lmtp_path}"})
        return found

    def configure(self):
        """Writes martlet.toml from what this object holds."""
        lines = [f"hostname = {toml(self.hostname)}", f"data = {toml(self.data)}"]

        def section(head, values):
            lines.extend(["", head, *(f"{key.replace('_', '-')} = {toml(value)}" for key, value in values.items())])

        for listener in self.listeners():
            section("[[listener]]", listener)
        if self.certificate:
            for kind, source in zip(("cert", "key"), self.certificate):
                copy = self.folder / f"{kind}.pem"
                shutil.copy(source, copy)
                copy.chmod(0o600)
                self._own(copy)
            section("[tls]", {"certificate": self.folder / "cert.pem", "key": self.folder / "key.pem"})
        if self.dns:
            section("[dns]", {"servers": [self.dns.server], **({"trust_anchors": [self.dns.anchor]} if self.dns.anchor else {})})
        for route in self.routes:
            section("[[route]]", route)
        settings = {"process": {"user": self.user}, **self.settings}
        for name, values in settings.items():
            if isinstance(values, list):
                for one in values:
                    section(f"[[{name}]]", one)
            else:
                section(f"[{name}]", values)
        self.file.write_text("\n".join(lines) + "\n")

    # The process

    def start(self):
        self.program = Program([*self.wrapper, binary(), "serve", "--config", self.file], self.folder / "martlet.log", {"SWIFT_BACKTRACE": "enable=no"})
        self.program.start(accepts(self.address, self.port))
        # The listeners are bound before the store is opened; the control socket comes last.
        for path in [self.data / "control", *([self.lmtp_path] if self.lmtp_path else [])]:
            self.program.wait_until(accepts_unix(path))
        return self

    def stop(self, seconds=20):
        return self.program.stop(seconds) if self.program else None

    def kill(self):
        self.program.kill()

    def restart(self):
        self.stop()
        return self.start()

    def reload(self):
        self.program.signal(signal.SIGHUP)

    def log(self):
        return self.program.output()

    def running(self):
        return self.program is not None and self.program.running()

    def processes(self):
        """Ids of the server and its children."""
        found, wave = [self.program.pid], [self.program.pid]
        while wave:
            children = [int(c) for p in wave for t in Path(f"/proc/{p}/task").glob("*") for c in _read(t / "children").split()]
            wave = [c for c in children if c not in found]
            found += wave
        return found

    # The command line

    def run(self, *arguments, input=None, text=True):
        """The finished process of `martlet ARGUMENTS --config FILE`."""
        return subprocess.run(
            [binary(), *map(str, arguments), "--config", str(self.file)], input=input, capture_output=True, text=text, timeout=120,
            env={**os.environ, "SWIFT_BACKTRACE": "enable=no"})

    def command(self, *arguments, input=None):
        """Its output; fails if the command does."""
        done = self.run(*arguments, input=input)
        assert done.returncode == 0, f"martlet {' '.join(map(str, arguments))}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def json(self, *arguments):
        return json.loads(self.command(*arguments, "--json"))

    def add_domain(self, name, *options):
        self.command("domain", "add", name, *options)

    def add_account(self, address, *options, password="secret"):
        self.command("account", "add", address, "--password-stdin", *options, input=password + "\n")

    def populate(self, domain="example.test", accounts=("alice", "bob")):
        self.add_domain(domain)
        for name in accounts:
            self.add_account(f"{name}@{domain}")
        return self

    # Looking in

    def messages(self, account):
        """The messages of an account's INBOX as bytes, oldest first."""
        target = self.folder / "export.mbox"
        folder = self.folder / "exports"
        shutil.rmtree(folder, ignore_errors=True)
        target.unlink(missing_ok=True)
        self.command("export", "maildir", account, folder)
        files = [f for part in ("new", "cur") for f in (folder / part).glob("*")]
        return [f.read_bytes() for f in sorted(files, key=_maildir_order)]

    def count(self, account, mailbox="INBOX"):
        return next((m["messages"] for m in self.json("mailbox", "list", account) if m["name"] == mailbox), 0)

    def queue(self, *options):
        return self.json("queue", "list", *options)

    def smtp(self, **options):
        return smtplib.SMTP(self.address, self.port, timeout=30, **options)

    def send(self, sender, recipients, message, **options):
        with self.smtp() as client:
            return client.sendmail(sender, recipients, message, **options)


def _maildir_order(file):
    """By the numbers in the name, in order: time, then sequence."""
    import re
    return [int(n) for n in re.findall(r"\d+", file.name.split(":")[0])]


def _read(path):
    try:
        return path.read_text()
    except OSError:
        return ""
