"""A real name server (Knot) with the zones of a test, and a trust anchor for those it signs."""

import subprocess
from pathlib import Path

import dns.message
import dns.query
import dns.rdatatype

from .processes import Program, free_port

HEAD = """$TTL 60
@ SOA ns.{zone}. hostmaster.{zone}. 1 60 60 86400 5
@ NS ns.{zone}.
ns A 127.0.0.1
"""


class Knot:
    """`zones`: {"example.net": "@ MX 10 mx\\nmx A 127.0.0.1\\n"}; those in `signed` are signed."""

    def __init__(self, folder, zones, signed=()):
        self.folder, self.port = Path(folder), free_port()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.anchor = None
        self.configuration = self.folder / "knot.conf"
        lines = [
            "server:", f"  listen: 127.0.0.1@{self.port}", f"  rundir: {self.folder}", "  udp-workers: 1", "  tcp-workers: 1",
            "  background-workers: 1", "database:", f"  storage: {self.folder}", "log:", "  - target: stderr", "    any: info",
            "policy:", "  - id: test", "    algorithm: ecdsap256sha256", "    single-type-signing: on", "zone:",
        ]
        for zone, records in zones.items():
            file = self.folder / f"{zone}.zone"
            file.write_text(HEAD.format(zone=zone) + records)
            lines += [f"  - domain: {zone}", f"    file: {file}", "    zonefile-load: difference", "    zonefile-sync: -1", "    journal-content: all"]
            if zone in signed:
                lines += ["    dnssec-signing: on", "    dnssec-policy: test"]
        self.configuration.write_text("\n".join(lines) + "\n")
        self.program = Program(["knotd", "-c", self.configuration], self.folder / "knot.log").start(
            lambda: all(self.answers(zone, signed=zone in signed) for zone in zones))
        if signed:
            self.anchor = self.folder / "anchors"
            self.anchor.write_text("".join(
                subprocess.run(["keymgr", "-c", str(self.configuration), zone, "dnskey"], check=True, capture_output=True, text=True).stdout
                for zone in signed))
            self.anchor.chmod(0o644)

    @property
    def server(self):
        return f"127.0.0.1:{self.port}"

    def ask(self, name, kind, dnssec=False):
        query = dns.message.make_query(name, kind, want_dnssec=dnssec)
        return dns.query.udp(query, "127.0.0.1", port=self.port, timeout=1)

    def answers(self, zone, signed=False):
        try:
            answer = self.ask(zone, "SOA", dnssec=signed)
        except Exception:
            return False
        return any(r.rdtype == dns.rdatatype.SOA for r in answer.answer) and (
            not signed or any(r.rdtype == dns.rdatatype.RRSIG for r in answer.answer))

    def stop(self):
        self.program.stop()
