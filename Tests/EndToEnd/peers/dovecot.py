"""A Dovecot of our own that takes mail by LMTP, over TCP and a Unix socket, and keeps it in Maildirs."""

import os
import pwd
import subprocess
from pathlib import Path

from .processes import Program, accepts, eventually, free_port

CONFIGURATION = """base_dir = {folder}/run
state_dir = {folder}/state
instance_name = {name}
protocols = lmtp
log_path = {folder}/dovecot.log
ssl = no
first_valid_uid = 1
default_internal_user = dovecot
mail_location = maildir:{folder}/mail/%u
userdb {{
{users}
}}
passdb {{
  driver = static
  args = nopassword=y
}}
service lmtp {{
  chroot =
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {port}
  }}
  unix_listener {folder}/lmtp.sock {{
    mode = 0666
  }}
}}
protocol lmtp {{
  postmaster_address = postmaster@dovecot.example.net
}}
lda_mailbox_autocreate = yes
lmtp_save_to_detail_mailbox = no
recipient_delimiter = +
"""


class Dovecot:
    def __init__(self, folder, users=None):
        """Takes mail for everybody, or only for these `users` of boxes.example."""
        self.folder, self.port = Path(folder), free_port()
        self.socket = self.folder / "lmtp.sock"
        (self.folder / "mail").mkdir(parents=True, exist_ok=True)
        nobody = pwd.getpwnam("nobody")
        os.chown(self.folder / "mail", nobody.pw_uid, nobody.pw_gid)
        self.configuration = self.folder / "dovecot.conf"
        found = f"  driver = static\n  args = uid=nobody gid=nogroup home={self.folder}/mail/%u"
        if users is not None:
            known = self.folder / "users"
            known.write_text("".join(f"{u}@boxes.example:::::{self.folder}/mail/{u}@boxes.example\n" for u in users))
            found = f"  driver = passwd-file\n  args = username_format=%u {known}\n  default_fields = uid=nobody gid=nogroup"
        self.configuration.write_text(CONFIGURATION.format(users=found, folder=self.folder, port=self.port, name=f"test-{self.port}"))
        self.program = Program(["dovecot", "-F", "-c", self.configuration], self.folder / "start.log")

    def start(self):
        self.program.start(accepts("127.0.0.1", self.port))
        return self

    def stop(self):
        self.program.stop()

    def messages(self, address):
        folder = self.folder / "mail" / address / "new"
        return [f.read_bytes().replace(b"\n", b"\r\n") for f in sorted(folder.glob("*"), key=lambda f: f.stat().st_mtime_ns)]

    def wait_messages(self, address, count=1):
        return eventually(lambda: len(m := self.messages(address)) >= count and m, f"{count} messages at {address} in Dovecot\n{self.output()[-3000:]}")

    def output(self):
        log = self.folder / "dovecot.log"
        return log.read_text(errors="replace") if log.exists() else self.program.output()
