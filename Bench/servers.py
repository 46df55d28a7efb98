"""The servers that are compared, each in a folder on the same file system: two that relay everything to one sink, two that keep mailboxes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "Tests" / "EndToEnd"))

import loads  # noqa: E402
from peers.dovecot import Dovecot  # noqa: E402
from peers.martlet import Martlet  # noqa: E402
from peers.postfix import Postfix  # noqa: E402
from peers.processes import eventually, free_port  # noqa: E402, F401


def tuned_postfix(folder, **settings):
    """As an expert would set it for this load: no look-ups, enough processes that live long, no throttles, no waits; its logs and
    its syncs stay on, as ours do."""
    return Postfix(
        folder, hostname="postfix.example.org", default_process_limit=400, max_use=10000,
        max_idle="1000s", in_flow_delay="0s", qmgr_message_active_limit=50000, qmgr_message_recipient_limit=50000,
        default_destination_concurrency_limit=20, initial_destination_concurrency=20, default_destination_concurrency_negative_feedback=0,
        smtp_connection_reuse_count_limit=10000,
        smtpd_client_connection_count_limit=0, smtpd_client_connection_rate_limit=0, smtpd_recipient_restrictions="", smtpd_delay_reject="no",
        smtpd_tls_security_level="none", smtp_tls_security_level="none", receive_override_options="no_address_mappings,no_header_body_checks",
        local_header_rewrite_clients="", smtputf8_enable="no", message_size_limit=50_000_000,
        maximal_queue_lifetime="1h", **{"virtual_mailbox_maps": "", **settings})


class PostfixServer:
    name = "Postfix"

    def __init__(self, folder, sink_port):
        to = f"[127.0.0.1]:{sink_port}"
        self.server = tuned_postfix(folder, relayhost=to, smtp_connection_cache_destinations=to)
        self.port = self.server.port

    def start(self, wrapper=()):
        self.server.program.command = [*wrapper, *self.server.program.command]
        self.server.start()
        return self

    @property
    def pids(self):
        return [self.server.program.pid]

    def end(self):
        """Ends it without ending what it was started under."""
        subprocess.run(["postfix", "-c", str(self.server.configuration), "abort"], capture_output=True)

    def stop(self):
        self.server.stop()


# The load comes from one address.
MARTLET = {"trust": {"networks": ["127.0.0.0/8"]}, "limits": {"connections_per_client": 0, "messages_per_client_per_minute": 0}}


class MartletServer:
    name = "Martlet"

    def __init__(self, folder, sink_port):
        self.server = Martlet(
            folder, hostname="martlet.example.org", **MARTLET, routes=[{"domain": "*", "next-hop": f"smtp://127.0.0.1:{sink_port}"}])
        self.port = self.server.port

    def start(self, wrapper=()):
        self.server.wrapper = list(wrapper)
        self.server.start()
        return self

    @property
    def pids(self):
        return [self.server.program.pid]

    def end(self):
        """Ends it without ending what it was started under."""
        os.kill(next(p for p in self.server.processes() if p not in self.pids), signal.SIGTERM)

    def stop(self):
        self.server.stop()


DOVECOT = """
mail_location = {form}:{folder}/mail/%u
mail_fsync = optimized
maildir_very_dirty_syncs = yes
service lmtp {{
  process_min_avail = 4
  process_limit = 200
  service_count = 0
  client_limit = 1
}}
"""


class PostfixDovecotServer:
    """Postfix hands to Dovecot by LMTP over a Unix socket, as an expert would set both. Each message is synced into the queue and into its
    mailbox, as ours is."""

    name = "Postfix + Dovecot"

    def __init__(self, folder, form="maildir"):
        folder = Path(folder)
        self.dovecot = Dovecot(folder / "dovecot")
        file = self.dovecot.configuration
        file.write_text(file.read_text() + DOVECOT.format(form=form, folder=self.dovecot.folder))
        self.postfix = tuned_postfix(
            folder / "postfix", virtual_mailbox_domains="boxes.example", virtual_mailbox_maps=f"texthash:{folder}/boxes",
            virtual_transport=f"lmtp:unix:{self.dovecot.socket}", lmtp_destination_recipient_limit=1, lmtp_destination_concurrency_limit=20,
            lmtp_connection_cache_destinations=f"unix:{self.dovecot.socket}", lmtp_connection_reuse_count_limit=10000)
        (folder / "boxes").write_text("".join(f"{loads.address(n + 1)} x\n" for n in range(loads.MAILBOXES)))
        self.port, self.count, self.read_to = self.postfix.port, 0, 0

    def start(self):
        self.dovecot.start()
        self.postfix.start()
        return self

    @property
    def pids(self):
        return [self.postfix.program.pid, self.dovecot.program.pid]

    def read(self):
        """Messages that Dovecot says it has saved."""
        log = self.dovecot.folder / "dovecot.log"
        with log.open("rb") as file:
            file.seek(self.read_to)
            more = file.read()
        whole = more[: more.rfind(b"\n") + 1]
        self.read_to += len(whole)
        self.count += whole.count(b"saved mail to")
        return self.count

    def wait(self, count, seconds):
        deadline = time.monotonic() + seconds
        while self.read() < count:
            if time.monotonic() > deadline:
                raise RuntimeError(f"Dovecot has {self.count} of {count} messages after {seconds} s\n{self.dovecot.output()[-2000:]}\n{self.postfix.output()[-2000:]}")
            time.sleep(0.02)
        return time.monotonic()

    def stop(self):
        self.postfix.stop()
        self.dovecot.stop()


class MartletMailboxes:
    name = "Martlet"

    def __init__(self, folder):
        self.server = Martlet(folder, hostname="martlet.example.org", **MARTLET)
        self.port = self.server.port

    def start(self):
        self.server.start()
        self.server.command("domain", "add", "boxes.example")
        self.server.command("account", "import", input="".join(f"{loads.address(n + 1)}\n" for n in range(loads.MAILBOXES)))
        return self

    @property
    def pids(self):
        return [self.server.program.pid]

    def read(self):
        """Messages in all mailboxes, as the server says."""
        return sum(account["messages"] for account in json.loads(self.server.command("account", "list", "--json")))

    def wait(self, count, seconds):
        """What was answered with 250 can be read; whoever measures counts it afterwards."""
        return time.monotonic()

    def stop(self):
        self.server.stop()
