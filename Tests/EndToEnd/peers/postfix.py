"""A Postfix of our own: own configuration, queue and port; the system's is never touched."""

import os
import pwd
import re
import shutil
import subprocess
import time
from pathlib import Path

from .processes import Program, accepts, eventually, free_port

MASTER = """127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n {qmgr_wakeup} 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """`settings`: main.cf beyond the base. `mailboxes`: addresses kept in Maildirs here."""

    def __init__(self, folder, hostname="postfix.example.org", mailboxes=(), certificate=None, transports=None, qmgr_wakeup=300, **settings):
        self.folder, self.port = Path(folder), free_port()
        self.configuration, self.queue = self.folder / "etc", self.folder / "queue"
        data, self.mail, self.log = self.folder / "data", self.folder / "mail", self.folder / "postfix.log"
        for path in (self.configuration, self.queue, data, self.mail):
            path.mkdir(parents=True, exist_ok=True)
        postfix, nobody = pwd.getpwnam("postfix"), pwd.getpwnam("nobody")
        os.chown(data, postfix.pw_uid, postfix.pw_gid)
        os.chown(self.mail, nobody.pw_uid, nobody.pw_gid)
        domains = sorted({address.split("@")[1] for address in mailboxes})
        main = {
            "compatibility_level": "3.6", "queue_directory": self.queue, "data_directory": data,
            "command_directory": "/usr/sbin", "daemon_directory": "/usr/lib/postfix/sbin", "mail_owner": "postfix", "setgid_group": "postdrop",
            "myhostname": hostname, "mydomain": hostname.split(".", 1)[1], "myorigin": hostname, "mydestination": "",
            "inet_interfaces": "127.0.0.1", "inet_protocols": "ipv4", "mynetworks": "127.0.0.0/8", "alias_maps": "", "alias_database": "",
            "local_recipient_maps": "", "smtputf8_enable": "yes", "maillog_file": self.log, "maillog_file_prefixes": f"{self.folder}, /var, /dev/stdout",
            "smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination", "disable_dns_lookups": "yes",
            "smtp_host_lookup": "native", "virtual_mailbox_base": self.mail, "virtual_mailbox_domains": ", ".join(domains),
            "virtual_mailbox_maps": f"texthash:{self.configuration}/mailboxes", "virtual_uid_maps": f"static:{nobody.pw_uid}",
            "virtual_gid_maps": f"static:{nobody.pw_gid}", "virtual_minimum_uid": "1", "smtpd_peername_lookup": "no", "biff": "no",
            "smtpd_client_restrictions": "", "local_transport": "error:no local mail", "import_environment": "MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ LANG=C",
        }
        if certificate:
            key_and_chain = self.configuration / "chain.pem"
            key_and_chain.write_text(Path(certificate[1]).read_text() + Path(certificate[0]).read_text())
            key_and_chain.chmod(0o600)
            main |= {"smtpd_tls_chain_files": key_and_chain, "smtpd_tls_security_level": "may", "smtp_tls_security_level": "may", "smtpd_tls_received_header": "yes"}
        if transports:
            (self.configuration / "transport").write_text("".join(f"{domain} {hop}\n" for domain, hop in transports.items()))
            main["transport_maps"] = f"texthash:{self.configuration}/transport"
        main |= settings
        (self.configuration / "mailboxes").write_text("".join(f"{a} {a.replace('@', '-at-')}/\n" for a in mailboxes))
        (self.configuration / "main.cf").write_text("".join(f"{key} = {value}\n" for key, value in main.items()))
        (self.configuration / "master.cf").write_text(MASTER.format(port=self.port, qmgr_wakeup=qmgr_wakeup))
        self.program = Program(["postfix", "-c", self.configuration, "start-fg"], self.folder / "start.log", {"MAIL_CONFIG": str(self.configuration)})

    def start(self):
        self.program.start(accepts("127.0.0.1", self.port))
        return self

    def stop(self):
        subprocess.run(["postfix", "-c", str(self.configuration), "abort"], capture_output=True)
        self.program.stop()

    @property
    def next_hop(self):
        return f"smtp://127.0.0.1:{self.port}"

    def messages(self, address):
        """What lies in the Maildir of `address`, as bytes with CRLF."""
        folder = self.mail / address.replace("@", "-at-") / "new"
        return [f.read_bytes().replace(b"\n", b"\r\n") for f in sorted(folder.glob("*"), key=lambda f: f.stat().st_mtime_ns)]

    def wait_messages(self, address, count=1):
        return eventually(lambda: len(m := self.messages(address)) >= count and m, f"{count} messages at {address} in Postfix\n{self.output()[-3000:]}")

    def flush(self):
        subprocess.run(["postqueue", "-c", str(self.configuration), "-f"], check=True, capture_output=True)

    def output(self):
        return self.log.read_text(errors="replace") if self.log.exists() else self.program.output()
