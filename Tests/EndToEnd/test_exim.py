"""Interoperation with Exim, in both directions: TLS, SMTPUTF8, CHUNKING, DSN."""

import pytest
from peers.exim import Exim
from peers.messages import Notification, body_of, message, received
from peers.processes import eventually
from test_postfix import OPEN, say

pytestmark = pytest.mark.usefixtures("as_root")


@pytest.fixture
def pair(martlet, folder, running, authority, certificate):
    """Martlet for example.test and Exim for example.com, each the other's next hop, both with TLS."""
    server = martlet(certificate=certificate, start=False, populate=False, **OPEN)
    exim = running(Exim(folder / "exim", routes={"example.test": server.port}, certificate=authority.issue("exim.example.com"))).start()
    server.routes = [{"domain": "example.com", "next-hop": exim.next_hop}]
    server.configure()
    server.start()
    server.populate()
    return server, exim


def test_exim_to_martlet_over_tls_in_chunks(pair):
    server, exim = pair
    sent = message(body=".\r\n..dots\r\n")
    say(exim.port, "ed@example.com", "alice@example.test", sent)
    eventually(lambda: server.count("alice@example.test") == 1, f"the message\n{exim.output()[-2000:]}")
    [got] = server.messages("alice@example.test")
    assert "with ESMTPS" in received(got)[0] and body_of(got)[1] == b".\r\n..dots\r\n"


def test_martlet_to_exim_over_tls(pair):
    server, exim = pair
    sent = message(body=".\r\n..dots\r\n")
    say(server.port, "alice@example.test", "ed@example.com", sent)
    [got] = exim.wait_messages("ed@example.com")
    assert "with esmtps" in received(got)[0] and body_of(got)[1] == b".\r\n..dots\r\n"


def test_a_large_message_in_chunks_both_ways(pair):
    server, exim = pair
    sent = message(body="") + b"line of a larger message\r\n" * 40_000
    say(server.port, "alice@example.test", "ed@example.com", sent, chunk=True)
    assert exim.wait_messages("ed@example.com")[0].endswith(body_of(sent)[1])
    say(exim.port, "ed@example.com", "alice@example.test", sent, chunk=True)
    eventually(lambda: server.count("alice@example.test") == 1, f"the message\n{exim.output()[-2000:]}")
    assert server.messages("alice@example.test")[0].endswith(body_of(sent)[1])


def test_international_mail_to_exim(pair):
    server, exim = pair
    sent = message(subject="Grüße", sender="alice@example.test", to="zoë@example.com", body="Grüße\r\n")
    say(server.port, "alice@example.test", "zoë@example.com", sent, mail="SMTPUTF8 BODY=8BITMIME")
    [got] = exim.wait_messages("zoë@example.com")
    assert body_of(got)[1] == "Grüße\r\n".encode()


def test_international_mail_from_exim(pair):
    server, exim = pair
    server.add_account("zoë@example.test")
    say(exim.port, "ed@example.com", "zoë@example.test", message(subject="Grüße", to="zoë@example.test"), mail="SMTPUTF8 BODY=8BITMIME")
    eventually(lambda: server.count("zoë@example.test") == 1, f"the message\n{exim.output()[-2000:]}")
    assert "UTF8SMTPS" in received(server.messages("zoë@example.test")[0])[0]


def test_our_refusal_becomes_a_notification_of_exim(pair):
    server, exim = pair
    say(exim.port, "ed@example.com", "nobody@example.test", message())
    [got] = exim.wait_messages("ed@example.com")
    assert b"nobody@example.test" in got and b"5.1.1" in got


def test_success_notices_travel_both_ways(pair):
    server, exim = pair
    say(server.port, "alice@example.test", "ed@example.com", message(), mail="ENVID=one", rcpt="NOTIFY=SUCCESS ORCPT=rfc822;ed@example.com")
    eventually(lambda: server.count("alice@example.test") == 1, f"Exim's notice\n{exim.output()[-2000:]}")
    assert b"delivered" in server.messages("alice@example.test")[0].lower()
    say(exim.port, "ed@example.com", "alice@example.test", message(), mail="ENVID=two", rcpt="NOTIFY=SUCCESS ORCPT=rfc822;alice@example.test")
    [got] = eventually(lambda: [m for m in exim.messages("ed@example.com") if b"multipart/report" in m], f"our notice\n{exim.output()[-2000:]}")
    notice = Notification(got)
    assert notice.fields["Original-Envelope-Id"] == "two" and notice.recipients[0]["Action"] == "delivered"
