"""Messages to send, and what to look for in those that came."""

import email
import email.policy
import re


def message(subject="Hello", body="How are you?\r\n", sender="carol@example.net", to="alice@example.test", extra=""):
    """A message as bytes with CRLF."""
    text = (
        f"From: <{sender}>\r\nTo: <{to}>\r\nSubject: {subject}\r\nDate: Wed, 25 Nov 2026 10:00:00 +0000\r\n"
        f"Message-ID: <{abs(hash((subject, sender, to)))}@example.net>\r\n{extra}\r\n{body}")
    return text.encode()


def parse(raw):
    return email.message_from_bytes(raw, policy=email.policy.default)


def body_of(raw):
    """Header and body cut at the first empty line: (header, body)."""
    header, _, body = raw.partition(b"\r\n\r\n")
    return header + b"\r\n", body


def received(raw):
    """The Received fields, unfolded, newest first."""
    header, _ = body_of(raw)
    return [
        line[len("Received:"):].strip()
        for line in re.sub(rb"\r\n[ \t]+", b" ", header).decode(errors="replace").split("\r\n")
        if line.lower().startswith("received:")
    ]


class Notification:
    """A DSN taken apart (RFC 3464): its text, its per-message and per-recipient fields, what it returns."""

    def __init__(self, raw):
        self.message = parse(raw)
        assert self.message.get_content_type() == "multipart/report", self.message.get_content_type()
        assert self.message.get_param("report-type") == "delivery-status"
        parts = list(self.message.iter_parts())
        assert len(parts) in (2, 3), [p.get_content_type() for p in parts]
        self.text = parts[0].get_content()
        assert parts[1].get_content_type() in ("message/delivery-status", "message/global-delivery-status")
        payload = parts[1].get_payload()
        if not isinstance(payload, list):  # RFC 6533's form, which Python does not take apart
            blocks = parts[1].get_payload(decode=True).replace(b"\r\n", b"\n").strip().split(b"\n\n")
            payload = [email.message_from_bytes(block, policy=email.policy.default) for block in blocks]
        groups = payload
        assert groups, "no fields in the delivery status"
        self.fields, self.recipients = dict(groups[0].items()), [dict(g.items()) for g in groups[1:] if len(g.keys())]
        self.returned = parts[2] if len(parts) == 3 else None
