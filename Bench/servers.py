"""The two servers that are compared, each set to relay everything to one sink, each in a folder on the same file system."""

import os
import signal
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "Tests" / "EndToEnd"))

from peers.martlet import Martlet  # noqa: E402
from peers.postfix import Postfix  # noqa: E402
from peers.processes import eventually, free_port  # noqa: E402, F401


def tuned_postfix(folder, sink_port):
    """As an expert would set it for this load: no look-ups, enough processes that live long, no throttles, no waits; its logs and
    its syncs stay on, as ours do."""
    return Postfix(
        folder, hostname="postfix.example.org", relayhost=f"[127.0.0.1]:{sink_port}", default_process_limit=200, max_use=10000,
        max_idle="1000s", in_flow_delay="0s", qmgr_message_active_limit=50000, qmgr_message_recipient_limit=50000,
        default_destination_concurrency_limit=20, initial_destination_concurrency=20, default_destination_concurrency_negative_feedback=0,
        smtp_connection_cache_destinations=f"[127.0.0.1]:{sink_port}", smtp_connection_reuse_count_limit=10000,
        smtpd_client_connection_count_limit=0, smtpd_client_connection_rate_limit=0, smtpd_recipient_restrictions="", smtpd_delay_reject="no",
        smtpd_tls_security_level="none", smtp_tls_security_level="none", receive_override_options="no_address_mappings,no_header_body_checks",
        local_header_rewrite_clients="", smtputf8_enable="no", message_size_limit=50_000_000, virtual_mailbox_maps="",
        maximal_queue_lifetime="1h")


class PostfixServer:
    name = "Postfix"

    def __init__(self, folder, sink_port):
        self.server = tuned_postfix(folder, sink_port)
        self.port = self.server.port

    def start(self, wrapper=()):
        self.server.program.command = [*wrapper, *self.server.program.command]
        self.server.start()
        return self

    @property
    def pid(self):
        return self.server.program.pid

    def end(self):
        """Ends it without ending what it was started under."""
        subprocess.run(["postfix", "-c", str(self.server.configuration), "abort"], capture_output=True)

    def stop(self):
        self.server.stop()


class MartletServer:
    name = "Martlet"

    def __init__(self, folder, sink_port):
        self.server = Martlet(
            folder, hostname="martlet.example.org", routes=[{"domain": "*", "next-hop": f"smtp://127.0.0.1:{sink_port}"}],
            trust={"networks": ["127.0.0.0/8"]}, limits={"connections_per_client": 0, "messages_per_client_per_minute": 0})
        self.port = self.server.port

    def start(self, wrapper=()):
        self.server.wrapper = list(wrapper)
        self.server.start()
        return self

    @property
    def pid(self):
        return self.server.program.pid

    def end(self):
        """Ends it without ending what it was started under."""
        os.kill(next(p for p in self.server.processes() if p != self.pid), signal.SIGTERM)

    def stop(self):
        self.server.stop()
