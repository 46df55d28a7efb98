"""Interoperation with Postfix and with Exim, in both directions: TLS, SMTPUTF8, CHUNKING, DSN. Each test runs with each of them."""

from dataclasses import dataclass

import pytest
from peers.exim import Exim
from peers.martlet import Martlet
from peers.messages import Notification, body_of, message, received
from peers.postfix import Postfix
from peers.processes import eventually
from peers.wire import Wire

pytestmark = pytest.mark.usefixtures("as_root")
ALICE, ZOE = "alice@example.test", "zoë@example.test"


@dataclass
class Pair:
    """Martlet for example.test and its neighbour for `domain`, each the other's next hop, both with TLS."""

    server: Martlet
    neighbour: Postfix | Exim
    domain: str

    @property
    def pat(self):
        return f"pat@{self.domain}"

    @property
    def zoe(self):
        return f"zoë@{self.domain}"

    def out(self, sender, recipient, sent, **more):
        say(self.server.port, sender, recipient, sent, **more)

    def back(self, sender, recipient, sent, **more):
        say(self.neighbour.port, sender, recipient, sent, **more)

    def ours(self, address, count=1):
        """What came to `address` here."""
        eventually(
            lambda: self.server.count(address) == count,
            f"{count} messages at {address}\n{self.neighbour.output()[-2000:]}\n{self.server.log()[-2000:]}")
        return self.server.messages(address)

    def theirs(self, address, wanted=lambda got: True):
        """The one message to `address` there that is `wanted`."""
        [got] = eventually(
            lambda: [m for m in self.neighbour.messages(address) if wanted(m)],
            f"a message at {address}\n{self.neighbour.output()[-2000:]}\n{self.server.log()[-2000:]}")
        return got


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


def postfix(folder, domain, port, certificate):
    return Postfix(folder, mailboxes=[f"pat@{domain}", f"zoë@{domain}"], certificate=certificate, transports={"example.test": f"smtp:[127.0.0.1]:{port}"})


def exim(folder, domain, port, certificate):
    return Exim(folder, domains=(domain,), routes={"example.test": port}, certificate=certificate)


def make_pair(kind, domain, martlet, folder, running, authority, certificate):
    server = martlet(certificate=certificate, start=False, populate=False, trust={"networks": ["127.0.0.0/8"]})
    neighbour = running(kind(folder / kind.__name__, domain, server.port, authority.issue(f"{kind.__name__}.{domain}"))).start()
    server.routes = [{"domain": domain, "next-hop": neighbour.next_hop}]
    server.configure()
    server.start()
    server.populate()
    server.add_account(ZOE)
    return Pair(server, neighbour, domain)


@pytest.fixture(params=[(postfix, "example.org"), (exim, "example.com")], ids=["postfix", "exim"])
def pair(request, martlet, folder, running, authority, certificate):
    return make_pair(*request.param, martlet, folder, running, authority, certificate)


@pytest.fixture
def with_postfix(martlet, folder, running, authority, certificate):
    return make_pair(postfix, "example.org", martlet, folder, running, authority, certificate)


def is_report(got):
    return b"multipart/report" in got


def test_from_the_neighbour_over_tls(pair):
    pair.back(pair.pat, ALICE, message(body=".\r\n..dots\r\n"))
    [got] = pair.ours(ALICE)
    assert "with ESMTPS" in received(got)[0] and body_of(got)[1] == b".\r\n..dots\r\n"


def test_to_the_neighbour_over_tls(pair):
    pair.out(ALICE, pair.pat, message(body=".\r\n..dots\r\n"))
    got = pair.theirs(pair.pat)
    assert "with ESMTPS" in received(got)[0].replace("esmtps", "ESMTPS") and body_of(got)[1] == b".\r\n..dots\r\n"


def test_a_large_message_in_chunks_both_ways(pair):
    sent = message(body="0123456789abcdef" * 4 + "\r\n") + b"line of a larger message\r\n" * 40_000
    pair.out(ALICE, pair.pat, sent, chunk=True)
    assert pair.theirs(pair.pat).endswith(body_of(sent)[1])
    pair.back(pair.pat, ALICE, sent, chunk=True)
    assert pair.ours(ALICE)[0].endswith(body_of(sent)[1])


def test_international_mail_both_ways(pair):
    sent = message(subject="Grüße", sender=ZOE, to=pair.zoe, body="Grüße\r\n")
    pair.out(ZOE, pair.zoe, sent, mail="SMTPUTF8 BODY=8BITMIME")
    got = pair.theirs(pair.zoe)
    assert body_of(got)[1] == "Grüße\r\n".encode() and "utf8" in received(got)[0].lower()
    pair.back(pair.zoe, ZOE, sent, mail="SMTPUTF8 BODY=8BITMIME")
    assert "UTF8SMTPS" in received(pair.ours(ZOE)[0])[0]


def test_our_refusal_becomes_a_notification_of_the_neighbour(pair):
    pair.back(pair.pat, "nobody@example.test", message())
    got = pair.theirs(pair.pat)
    [recipient] = Notification(got).recipients
    assert "nobody@example.test" in recipient["Final-Recipient"] and recipient["Action"] == "failed" and b"5.1.1" in got


def test_success_notices_travel_both_ways(pair):
    pair.out(ALICE, pair.pat, message(), mail="RET=HDRS ENVID=one", rcpt=f"NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;{pair.pat}")
    notice = Notification(pair.ours(ALICE)[0])
    # Exim does not tell the envelope's id.
    assert notice.fields.get("Original-Envelope-Id") == ("one" if isinstance(pair.neighbour, Postfix) else None)
    assert notice.recipients[0]["Action"] == "delivered"
    pair.back(pair.pat, ALICE, message(), mail="ENVID=two", rcpt=f"NOTIFY=SUCCESS ORCPT=rfc822;{ALICE}")
    notice = Notification(pair.theirs(pair.pat, lambda got: is_report(got) and Notification(got).fields.get("Original-Envelope-Id") == "two"))
    assert notice.recipients[0]["Action"] == "delivered"


def test_a_refusal_of_postfix_becomes_our_notification(with_postfix):
    with_postfix.out(ALICE, "nobody@example.org", message())
    [recipient] = Notification(with_postfix.ours(ALICE)[0]).recipients
    assert recipient["Action"] == "failed" and "nobody@example.org" in recipient["Final-Recipient"]


def test_a_hundred_messages_each_way_all_arrive(with_postfix):
    for number in range(100):
        with_postfix.out(ALICE, with_postfix.pat, message(subject=f"to Postfix {number}"))
        with_postfix.back(with_postfix.pat, ALICE, message(subject=f"to Martlet {number}"))
    with_postfix.neighbour.wait_messages(with_postfix.pat, 100)
    with_postfix.ours(ALICE, 100)
