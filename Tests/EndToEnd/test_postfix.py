"""Interoperation with Postfix, in both directions: TLS, SMTPUTF8, CHUNKING, DSN."""

import pytest
from peers.messages import Notification, body_of, message, received
from peers.postfix import Postfix
from peers.processes import eventually
from peers.wire import Wire

pytestmark = pytest.mark.usefixtures("as_root")
OPEN = {"trust": {"networks": ["127.0.0.0/8"]}}


@pytest.fixture
def pair(martlet, folder, running, authority, certificate):
    """Martlet for example.test and Postfix for example.org, each the other's next hop, both with TLS."""
    server = martlet(certificate=certificate, start=False, populate=False, **OPEN)
    postfix = running(Postfix(
        folder / "postfix", mailboxes=["pat@example.org", "zoë@example.org"], certificate=authority.issue("postfix.example.org"),
        transports={"example.test": f"smtp:[127.0.0.1]:{server.port}"})).start()
    server.routes = [{"domain": "example.org", "next-hop": postfix.next_hop}]
    server.configure()
    server.start()
    server.populate()
    server.add_account("zoë@example.test")
    return server, postfix


def say(port, sender, recipient, sent, mail="", rcpt="", chunk=False):
    with Wire("127.0.0.1", port) as wire:
        wire.ehlo()
        wire.expect(f"MAIL FROM:<{sender}> {mail}".strip(), 250)
        wire.expect(f"RCPT TO:<{recipient}> {rcpt}".strip(), 250)
        if chunk:
            wire.send(f"BDAT {len(sent)} LAST\r\n".encode() + sent)
            assert wire.reply()[0] == 250
        else:
            assert wire.data(sent)[0] == 250


def test_postfix_to_martlet_over_tls(pair):
    server, postfix = pair
    sent = message(body=".\r\n..dots\r\n")
    say(postfix.port, "pat@example.org", "alice@example.test", sent)
    eventually(lambda: server.count("alice@example.test") == 1, f"the message\n{postfix.output()[-2000:]}")
    [got] = server.messages("alice@example.test")
    assert "with ESMTPS" in received(got)[0] and body_of(got)[1] == b".\r\n..dots\r\n"


def test_martlet_to_postfix_over_tls(pair):
    server, postfix = pair
    sent = message(body=".\r\n..dots\r\n")
    say(server.port, "alice@example.test", "pat@example.org", sent)
    [got] = postfix.wait_messages("pat@example.org")
    assert "with ESMTPS" in received(got)[0] and body_of(got)[1] == b".\r\n..dots\r\n"


def test_international_mail_both_ways(pair):
    server, postfix = pair
    sent = message(subject="Grüße", sender="zoë@example.test", to="zoë@example.org", body="Grüße\r\n")
    say(server.port, "zoë@example.test", "zoë@example.org", sent, mail="SMTPUTF8 BODY=8BITMIME")
    [got] = postfix.wait_messages("zoë@example.org")
    assert body_of(got)[1] == "Grüße\r\n".encode() and "UTF8SMTPS" in received(got)[0]
    say(postfix.port, "zoë@example.org", "zoë@example.test", sent, mail="SMTPUTF8 BODY=8BITMIME")
    eventually(lambda: server.count("zoë@example.test") == 1, f"the message\n{postfix.output()[-2000:]}")
    assert "UTF8SMTPS" in received(server.messages("zoë@example.test")[0])[0]


def test_a_large_message_in_chunks_both_ways(pair):
    server, postfix = pair
    sent = message(body="0123456789abcdef" * 4 + "\r\n") + b"line of a larger message\r\n" * 40_000
    say(server.port, "alice@example.test", "pat@example.org", sent, chunk=True)
    assert postfix.wait_messages("pat@example.org")[0].endswith(body_of(sent)[1])
    say(postfix.port, "pat@example.org", "alice@example.test", sent, chunk=True)
    eventually(lambda: server.count("alice@example.test") == 1, "the message")
    assert server.messages("alice@example.test")[0].endswith(body_of(sent)[1])


def test_a_refusal_of_postfix_becomes_our_notification(pair):
    server, postfix = pair
    say(server.port, "alice@example.test", "nobody@example.org", message())
    eventually(lambda: server.count("alice@example.test") == 1, f"a notification\n{server.log()[-2000:]}")
    [recipient] = Notification(server.messages("alice@example.test")[0]).recipients
    assert recipient["Action"] == "failed" and "nobody@example.org" in recipient["Final-Recipient"]


def test_our_refusal_becomes_a_notification_of_postfix(pair):
    server, postfix = pair
    say(postfix.port, "pat@example.org", "nobody@example.test", message())
    [got] = postfix.wait_messages("pat@example.org")
    [recipient] = Notification(got).recipients
    assert recipient["Status"] == "5.1.1" and recipient["Action"] == "failed"


def test_success_notices_travel_both_ways(pair):
    server, postfix = pair
    say(server.port, "alice@example.test", "pat@example.org", message(), mail="RET=HDRS ENVID=one", rcpt="NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;pat@example.org")
    eventually(lambda: server.count("alice@example.test") >= 1, f"Postfix's notice\n{postfix.output()[-2000:]}")
    notice = Notification(server.messages("alice@example.test")[0])
    assert notice.fields["Original-Envelope-Id"] == "one" and notice.recipients[0]["Action"] == "delivered"
    say(postfix.port, "pat@example.org", "alice@example.test", message(), mail="ENVID=two", rcpt="NOTIFY=SUCCESS ORCPT=rfc822;alice@example.test")

    def notices():
        return [n for n in map(Notification, (m for m in postfix.messages("pat@example.org") if b"multipart/report" in m)) if n.fields.get("Original-Envelope-Id") == "two"]

    [notice] = eventually(notices, f"our notice\n{postfix.output()[-2000:]}\n{server.log()[-2000:]}")
    assert notice.recipients[0]["Action"] == "delivered"


def test_a_hundred_messages_each_way_all_arrive(pair):
    server, postfix = pair
    for number in range(100):
        say(server.port, "alice@example.test", "pat@example.org", message(subject=f"to Postfix {number}"))
        say(postfix.port, "pat@example.org", "alice@example.test", message(subject=f"to Martlet {number}"))
    postfix.wait_messages("pat@example.org", 100)
    eventually(lambda: server.count("alice@example.test") == 100, f"all messages\n{postfix.output()[-2000:]}")
