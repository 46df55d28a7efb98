"""An Exim of our own, unpacked beside the system's mail transport agent and run in a mount namespace, where it finds its user."""

import os
import subprocess
from pathlib import Path

from .martlet import ROOT
from .processes import Program, accepts, eventually, free_port

# Exim's user and its one trusted configuration file are compiled in: an overlay over /etc, seen by it alone, has both.
ENTER = """set -e
mount --make-rprivate /
mount -t overlay overlay -o lowerdir=/etc,upperdir="$1/etc",workdir="$1/work" /etc
grep -q ^Debian-exim: /etc/passwd || echo 'Debian-exim:x:64999:64999::/nonexistent:/usr/sbin/nologin' >> /etc/passwd
grep -q ^Debian-exim: /etc/group || echo 'Debian-exim:x:64999:' >> /etc/group
mkdir -p /etc/exim4
cp "$1/exim4.conf" /etc/exim4/exim4.conf
chown -R Debian-exim:Debian-exim "$1/spool" "$1/log" "$1/mail"
[ ! -f "$1/exim.key" ] || chown Debian-exim "$1/exim.key" "$1/exim.pem"
shift
exec "$@"
"""

CONFIGURATION = """primary_hostname = {hostname}
exim_path = {binary}
spool_directory = {folder}/spool
log_file_path = {folder}/log/%slog
pid_file_path = {folder}/spool/exim.pid
daemon_smtp_ports = {port}
local_interfaces = 127.0.0.1
domainlist local_domains = {domains}
hostlist relay_from_hosts = 127.0.0.0/8
host_lookup =
rfc1413_hosts =
smtputf8_advertise_hosts = *
chunking_advertise_hosts = *
dsn_advertise_hosts = *
deliver_drop_privilege = true
keep_environment = LD_LIBRARY_PATH
never_users =
ignore_bounce_errors_after = 0s
log_selector = +smtp_confirmation +tls_cipher +received_recipients
acl_smtp_rcpt = check_rcpt
acl_smtp_data = accept
{tls}
begin acl
check_rcpt:
  accept domains = +local_domains
  accept hosts = +relay_from_hosts
  deny message = relay not permitted
begin routers
here:
  driver = accept
  domains = +local_domains
  transport = maildir
{routers}
begin transports
maildir:
  driver = appendfile
  directory = {folder}/mail/all
  maildir_format
  create_directory
  delivery_date_add
  envelope_to_add
  return_path_add
  user = Debian-exim
out:
  driver = smtp
  allow_localhost
  hosts_try_fastopen =
  hosts_try_chunking = *
  dnssec_request_domains =
  tls_verify_hosts =
  tls_try_verify_hosts =
begin retry
* * F,2h,1m
begin rewrite
begin authenticators
"""

ROUTER = """to{number}:
  driver = manualroute
  domains = {domain}
  route_list = * 127.0.0.1::{port}
  self = send
  transport = out
"""


class Exim:
    """`routes`: {"example.test": port}."""

    def __init__(self, folder, hostname="exim.example.com", domains=("example.com",), routes=None, certificate=None):
        self.folder, self.port = Path(folder), free_port()
        for part in ("etc", "work", "spool", "log", "mail"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        unpacked = subprocess.run([str(ROOT / "Scripts" / "unpack-exim"), str(ROOT / ".build-exim")], check=True, capture_output=True, text=True)
        self.binary = unpacked.stdout.strip().splitlines()[-1]
        tls = ""
        if certificate:
            for kind, source in zip(("pem", "key"), certificate):
                (self.folder / f"exim.{kind}").write_bytes(Path(source).read_bytes())
            tls = f"tls_advertise_hosts = *\ntls_certificate = {self.folder}/exim.pem\ntls_privatekey = {self.folder}/exim.key"
        else:
            tls = "tls_advertise_hosts ="
        routers = "".join(ROUTER.format(number=i, domain=d, port=p) for i, (d, p) in enumerate((routes or {}).items()))
        (self.folder / "exim4.conf").write_text(CONFIGURATION.format(
            hostname=hostname, binary=self.binary, folder=self.folder, port=self.port, domains=" : ".join(domains), tls=tls, routers=routers))
        self.program = Program(self.inside("-bdf", "-q1m"), self.folder / "exim.log", {"LD_LIBRARY_PATH": str(Path(self.binary).parents[1] / "lib" / "x86_64-linux-gnu")})

    def inside(self, *arguments):
        return ["unshare", "--mount", "/bin/sh", "-c", ENTER, "enter", self.folder, self.binary, *arguments]

    def start(self):
        self.program.start(accepts("127.0.0.1", self.port))
        return self

    def stop(self):
        self.program.stop()

    @property
    def next_hop(self):
        return f"smtp://127.0.0.1:{self.port}"

    def messages(self, address):
        """What came for `address`: all lie in one Maildir, since Exim lets no remote word name a folder."""
        folder = self.folder / "mail" / "all" / "new"
        found = [f.read_bytes().replace(b"\n", b"\r\n") for f in sorted(folder.glob("*"), key=lambda f: f.stat().st_mtime_ns)]
        return [m for m in found if b"Envelope-to: " + address.encode() + b"\r\n" in m]

    def wait_messages(self, address, count=1):
        return eventually(lambda: len(m := self.messages(address)) >= count and m, f"{count} messages at {address} in Exim\n{self.output()[-3000:]}")

    def output(self):
        return "".join(f.read_text(errors="replace") for f in [self.folder / "log" / "mainlog", self.folder / "log" / "paniclog", self.folder / "exim.log"] if f.exists())
