"""Relaying: routes, MX look-up, TLS, downgrades, retries, notifications, the queue's commands."""

import re
import socket
import threading
import time

import pytest
from peers.knot import Knot
from peers.messages import Notification, body_of, message, parse, received
from peers.processes import eventually, free_port
from peers.sink import Sink
from peers.wire import Wire

OPEN = {"trust": {"networks": ["127.0.0.0/8"]}}


def refuse(kind, reply):
    """An answer for a sink: `reply` to commands that begin with `kind`."""
    return lambda command, session: reply if command.upper().startswith(kind) else None


def relay_to(martlet, sink, **options):
    settings = {**OPEN, **options}
    return martlet(routes=[{"domain": "*", "next-hop": sink.next_hop}], **settings)


# Where to


def test_the_most_exact_route_wins(martlet):
    with Sink() as exact, Sink() as suffix, Sink() as other:
        server = martlet(
            routes=[
                {"domain": "*", "next-hop": other.next_hop}, {"domain": ".example.org", "next-hop": suffix.next_hop},
                {"domain": "a.example.org", "next-hop": exact.next_hop},
            ], **OPEN)
        for domain in ("a.example.org", "b.example.org", "example.org"):
            server.send("alice@example.test", [f"x@{domain}"], message())
        assert "x@a.example.org" in exact.wait()[0].recipients[0]
        assert "x@b.example.org" in suffix.wait()[0].recipients[0]
        assert "x@example.org" in other.wait()[0].recipients[0]


ZONES = {
    "example.net": "@ MX 10 dead\n@ MX 20 mx\ndead A 127.0.0.2\nmx A 127.0.0.1\n",
    "null.test": "@ MX 0 .\n",
    "plain.test": "@ A 127.0.0.1\n",
    "alias.test": "@ MX 10 mail\nmail CNAME mx.example.net.\n",
    "internal.test": "@ MX 10 mx\nmx A 127.0.0.1\n",
    "empty.test": "@ TXT nothing\n",
    "signed.test": "@ MX 10 mx\nmx A 127.0.0.1\n",
}


@pytest.fixture
def knot(folder, running):
    return running(Knot(folder / "knot", ZONES, signed=["signed.test"]))


def by_mx(port, *domains):
    return [{"domain": d, "next-hop": f"smtp://{d}:{port}", "mx": True} for d in domains]


def test_mail_follows_the_mx_in_order_of_preference(martlet, knot):
    with Sink() as sink:
        server = martlet(dns=knot, routes=by_mx(sink.port, "example.net", "plain.test", "alias.test", "signed.test"), **OPEN)
        for number, domain in enumerate(("example.net", "plain.test", "alias.test", "signed.test"), 1):
            server.send("alice@example.test", [f"x@{domain}"], message())
            taken = sink.wait(number)
            assert f"x@{domain}" in taken[-1].recipients[0]


def bounce_of(server, account="alice@example.test"):
    eventually(lambda: server.count(account) >= 1, f"a notification for {account}\n{server.log()[-3000:]}")
    return Notification(server.messages(account)[-1])


def test_a_null_mx_bounces_at_once(martlet, knot):
    server = martlet(dns=knot, **OPEN)
    with Wire(server.address, server.port) as wire:
        wire.ehlo()
        wire.expect("MAIL FROM:<alice@example.test>", 250)
        code, _ = wire.say("RCPT TO:<x@null.test>")
        if code == 556 or code == 550:
            return
        assert wire.data(message())[0] == 250
    [recipient] = bounce_of(server).recipients
    assert recipient["Status"] in ("5.1.10", "5.7.27"), recipient


def test_a_domain_without_mail_hosts_bounces(martlet, knot):
    server = martlet(dns=knot, **OPEN)
    server.send("alice@example.test", ["x@nowhere.example.net"], message())
    [recipient] = bounce_of(server).recipients
    assert recipient["Status"].startswith("5.") and recipient["Action"] == "failed", recipient


def test_an_mx_inside_our_own_network_is_not_connected_to_unless_routed(martlet, knot):
    """HOSTILE 36."""
    server = martlet(dns=knot, **OPEN)
    server.send("alice@example.test", ["x@internal.test"], message())
    [recipient] = bounce_of(server).recipients
    assert recipient["Status"] == "5.4.4" and "internal addresses only" in recipient["Diagnostic-Code"], recipient
    with Sink() as sink:
        routed = martlet(dns=knot, routes=by_mx(sink.port, "internal.test"), **OPEN)
        routed.send("alice@example.test", ["x@internal.test"], message())
        [taken] = sink.wait()
        assert "x@internal.test" in taken.recipients[0]


def test_internal_addresses_can_be_allowed(martlet, knot):
    server = martlet(dns=knot, delivery={"internal_addresses": True}, **OPEN)
    server.send("alice@example.test", ["x@internal.test"], message())
    eventually(lambda: any("[127.0.0.1:25]" in r["lastReply"] for m in server.queue() for r in m["recipients"]), "an attempt at the address")


def test_a_name_server_that_is_gone_means_later_not_never(martlet):
    """HOSTILE 36."""
    class Gone:
        server, anchor = f"127.0.0.1:{free_port()}", None

    server = martlet(dns=Gone, **OPEN)
    server.send("alice@example.test", ["x@example.net"], message())
    eventually(lambda: any(r["attempts"] > 0 for m in server.queue() for r in m["recipients"]), "a deferred attempt", 60)
    assert server.count("alice@example.test") == 0


# How


def test_many_recipients_of_one_destination_share_a_transaction(martlet):
    with Sink() as sink:
        server = relay_to(martlet, sink)
        server.send("alice@example.test", [f"r{n}@example.net" for n in range(30)], message())
        [taken] = sink.wait()
        assert len(taken.recipients) == 30


def test_connections_are_used_again(martlet):
    with Sink() as sink:
        server = relay_to(martlet, sink)
        for _ in range(10):
            server.send("alice@example.test", ["x@example.net"], message())
        sink.wait(10)
        assert sink.sessions < 10


def test_tls_is_used_where_it_is_offered(martlet, certificate):
    with Sink(certificate=certificate) as sink:
        server = relay_to(martlet, sink)
        server.send("alice@example.test", ["x@example.net"], message())
        [taken] = sink.wait()
        assert taken.tls in ("TLSv1.2", "TLSv1.3")


def test_a_failed_handshake_falls_back_to_clear(martlet, certificate):
    def answer(command, session):
        if command == "STARTTLS":
            session.say(b"220 go on\r\n")
            session.socket.recv(1)
            return Sink.CLOSE
        return None

    with Sink(certificate=certificate, answer=answer) as sink:
        server = relay_to(martlet, sink, queue={"first_retry": "1s"})
        server.send("alice@example.test", ["x@example.net"], message())
        [taken] = sink.wait()
        assert taken.tls is None


def test_required_tls_never_goes_in_clear(martlet):
    with Sink() as sink:
        server = martlet(routes=[{"domain": "*", "next-hop": sink.next_hop, "tls": "required"}], **OPEN)
        server.send("alice@example.test", ["x@example.net"], message())
        eventually(lambda: any(r["attempts"] > 0 for m in server.queue() for r in m["recipients"]), "a deferred attempt")
        assert sink.taken == []


def test_smtps_speaks_tls_from_the_first_byte(martlet, certificate, running):
    receiver = martlet(hostname="mx.example.org", certificate=certificate, populate=False)
    receiver.populate("example.org", ["olga"])
    sender = martlet(routes=[{"domain": "*", "next-hop": f"smtps://127.0.0.1:{receiver.tls_port}", "tls": "required"}], **OPEN)
    sender.send("alice@example.test", ["olga@example.org"], message())
    eventually(lambda: receiver.count("olga@example.org") == 1, f"the message\n{sender.log()[-2000:]}")
    assert "ESMTPS" in received(receiver.messages("olga@example.org")[0])[0]


@pytest.mark.parametrize("place", ["tcp", "unix"])
def test_lmtp_next_hops_answer_for_each_recipient(martlet, folder, place):
    def answer(command, session):
        if command == ".":
            session.say(b"250 2.1.5 first\r\n452 4.2.2 second is full\r\n")
            with session.sink.lock:
                session.sink.sessions += 100
            return b""
        return None

    with Sink(lmtp=True, path=folder / "sink" if place == "unix" else None, answer=answer) as sink:
        hop = f"lmtp+unix://{folder}/sink" if place == "unix" else sink.next_hop
        if place == "unix":
            (folder / "sink").chmod(0o777)
        server = martlet(routes=[{"domain": "*", "next-hop": hop}], **OPEN)
        server.send("alice@example.test", ["one@example.net", "two@example.net"], message())
        eventually(lambda: sink.sessions >= 100, "a transaction")
        [left] = eventually(lambda: (q := server.queue()) and len(q[0]["recipients"]) == 1 and q, "one recipient left")
        assert left["recipients"][0]["address"] == "two@example.net" and "452" in left["recipients"][0]["lastReply"]


def test_eight_bit_text_is_recoded_for_a_seven_bit_host(martlet):
    with Sink(extensions=["PIPELINING"]) as sink:
        server = relay_to(martlet, sink)
        text = "Grüße aus Köln\r\n"
        sent = message(body=text, extra="MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n")
        with Wire(server.address, server.port) as wire:
            wire.ehlo()
            wire.expect("MAIL FROM:<alice@example.test> BODY=8BITMIME", 250)
            wire.expect("RCPT TO:<x@example.net>", 250)
            assert wire.data(sent)[0] == 250
        eventually(lambda: sink.taken or server.count("alice@example.test"), "the message, or a bounce")
        if sink.taken:
            data = sink.taken[0].data
            assert all(b < 128 for b in data), "8-bit bytes were sent to a 7-bit host"
            assert parse(data).get_content().replace("\n", "\r\n").strip() == text.strip()
        else:
            assert bounce_of(server).recipients[0]["Status"] in ("5.6.3", "5.6.1")


def test_smtputf8_is_not_sent_where_it_is_not_offered(martlet):
    with Sink() as sink:
        server = relay_to(martlet, sink)
        with Wire(server.address, server.port) as wire:
            wire.ehlo()
            wire.expect("MAIL FROM:<alice@example.test> SMTPUTF8", 250)
            wire.expect("RCPT TO:<jörg@example.net>", 250)
            assert wire.data(message())[0] == 250
        [recipient] = bounce_of(server).recipients
        assert recipient["Status"].startswith("5.6.7"), recipient
        assert sink.taken == []


def test_an_ascii_target_of_an_international_alias_gets_no_utf8(martlet):
    with Sink() as sink:
        server = relay_to(martlet, sink)
        server.command("alias", "add", "jörg@example.test", "joerg@example.net")
        with Wire(server.address, server.port) as wire:
            wire.ehlo()
            wire.expect("MAIL FROM:<alice@example.test> SMTPUTF8", 250)
            wire.expect("RCPT TO:<jörg@example.test>", 250)
            assert wire.data(message())[0] == 250
        [taken] = sink.wait()
        assert all(octet < 128 for octet in taken.data), received(taken.data)
        assert "SMTPUTF8" not in taken.sender.upper()


def test_recipients_that_differ_in_case_are_two(martlet):
    with Sink() as sink:
        server = relay_to(martlet, sink)
        server.send("alice@example.test", ["Joe@example.net", "joe@example.net"], message())
        taken = sink.wait()
        assert sorted(r.split("<")[1].split(">")[0] for t in taken for r in t.recipients) == ["Joe@example.net", "joe@example.net"]


def test_smtputf8_and_chunks_are_used_where_offered(martlet):
    with Sink(extensions=["PIPELINING", "8BITMIME", "SMTPUTF8", "CHUNKING", "BINARYMIME"]) as sink:
        server = relay_to(martlet, sink)
        sent = message(subject="Grüße", body="x\r\n.\r\ny\r\n")
        with Wire(server.address, server.port) as wire:
            wire.ehlo()
            wire.expect("MAIL FROM:<alice@example.test> SMTPUTF8 BODY=8BITMIME", 250)
            wire.expect("RCPT TO:<jörg@exämple.net>", 250)
            assert wire.data(sent)[0] == 250
        [taken] = sink.wait()
        assert "SMTPUTF8" in taken.sender.upper() and taken.data.endswith(sent)


LONG = b"\0" * 5_000 + bytes(range(256)) * 40 + b"\n" + b"\xff" * 2_000


@pytest.mark.parametrize("body", [bytes(range(256)), LONG], ids=["short", "long runs"])
@pytest.mark.parametrize("unable", [("8BITMIME",), ("PIPELINING", "8BITMIME", "CHUNKING"), ()], ids=["8bit", "chunking", "7bit"])
def test_binary_mail_goes_in_chunks_or_encoded(martlet, body, unable):
    sent = message(body="", extra="MIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n") + body
    with Sink(extensions=["PIPELINING", "8BITMIME", "CHUNKING", "BINARYMIME"]) as able, Sink(extensions=unable) as unable:
        server = martlet(routes=[{"domain": "able.example", "next-hop": able.next_hop}, {"domain": "unable.example", "next-hop": unable.next_hop}], **OPEN)
        for domain in ("able.example", "unable.example"):
            with Wire(server.address, server.port) as wire:
                wire.ehlo()
                wire.expect("MAIL FROM:<alice@example.test> BODY=BINARYMIME", 250)
                wire.expect(f"RCPT TO:<x@{domain}>", 250)
                wire.send(f"BDAT {len(sent)} LAST\r\n".encode() + sent)
                assert wire.reply()[0] == 250
        [taken] = able.wait()
        assert taken.data.endswith(sent) and "BINARYMIME" in taken.sender.upper()
        [taken] = unable.wait()
        assert "BINARYMIME" not in taken.sender.upper() and all(b < 128 and b != 0 for b in taken.data)
        assert parse(taken.data).get_content() == body, "binary content must survive recoding"


def test_a_header_in_an_unnamed_charset_goes_on_as_it_came(martlet):
    sent = message(subject="SUBJECT").replace(b"SUBJECT", b"Gr\xfc\xdfe")
    with Sink(extensions=["8BITMIME", "SMTPUTF8"]) as modern, Sink(extensions=["8BITMIME"]) as plain, Sink(extensions=[]) as old:
        server = martlet(routes=[{"domain": f"{n}.example", "next-hop": s.next_hop} for n, s in (("modern", modern), ("plain", plain), ("old", old))], **OPEN)
        for name in ("modern", "plain", "old"):
            server.send("alice@example.test", [f"x@{name}.example"], sent)
        for sink in (modern, plain, old):
            [taken] = sink.wait()
            assert b"Subject: Gr\xfc\xdfe\r\n" in taken.data and "SMTPUTF8" not in taken.sender.upper()
            assert ("8BITMIME" in taken.sender.upper()) == (sink is not old)
        assert server.count("alice@example.test") == 0


def test_a_strict_host_gets_each_message_under_its_own_sender(martlet):
    def strict(command, session):
        if command.startswith("MAIL") and session.sender:
            return b"503 5.5.1 nested MAIL\r\n"
        if command.startswith("RCPT") and not session.sender:
            return b"503 5.5.1 no MAIL\r\n"
        if "nobody@" in command:
            return b"550 5.1.1 no such user\r\n"
        if command.startswith("BDAT") and not session.recipients:
            session.chunks = []
            return b"503 5.5.1 no recipients\r\n"
        if command == "RSET":
            session.sender, session.recipients = None, []
        return None

    with Sink(extensions=["PIPELINING", "8BITMIME", "CHUNKING"], answer=strict) as sink:
        server = relay_to(martlet, sink, delivery={"connections_per_destination": 1})
        with server.smtp() as client:
            for number in range(60):
                client.sendmail(f"alice+{number}@example.test", [f"{'nobody' if number % 2 else 'some'}@example.net"], message(subject=f"number {number}"))
        eventually(lambda: server.queue() == [], f"an empty queue\n{server.log()[-3000:]}")
        assert sorted((str(parse(t.data)["Subject"]), t.sender.split("<")[1].split(">")[0]) for t in sink.taken) == sorted(
            (f"number {n}", f"alice+{n}@example.test") for n in range(0, 60, 2))
        eventually(lambda: server.count("alice@example.test") == 30, "a bounce for each that was refused, and no other")


# What if not


def test_a_permanent_refusal_bounces_with_the_remote_reply(martlet):
    with Sink(answer=refuse("RCPT", b"550 5.1.1 no such person here\r\n")) as sink:
        server = relay_to(martlet, sink)
        sent = message(subject="Lost")
        server.send("alice@example.test", ["x@example.net"], sent)
        bounce = bounce_of(server)
        [recipient] = bounce.recipients
        assert recipient["Action"] == "failed" and recipient["Status"] == "5.1.1"
        assert recipient["Final-Recipient"].replace(" ", "") == "rfc822;x@example.net"
        assert "550 5.1.1 no such person here" in recipient["Diagnostic-Code"]
        assert bounce.fields["Reporting-MTA"].replace(" ", "") == "dns;mx.example.test"
        assert bounce.message["Subject"] and bounce.message["Auto-Submitted"].startswith("auto-")
        assert bounce.message["Return-Path"] == "<>"
        assert "Lost" in bounce.returned.as_string() and "x@example.net" in bounce.text
        eventually(lambda: server.queue() == [], "an empty queue")


def test_envid_ret_notify_and_orcpt_are_honoured(martlet):
    with Sink(answer=refuse("RCPT", b"550 5.1.1 no\r\n")) as sink:
        server = relay_to(martlet, sink)
        with Wire(server.address, server.port) as wire:
            wire.ehlo()
            wire.expect("MAIL FROM:<alice@example.test> RET=HDRS ENVID=QQ+2B314159", 250)
            wire.expect("RCPT TO:<loud@example.net> NOTIFY=FAILURE ORCPT=rfc822;original+40example.org", 250)
            wire.expect("RCPT TO:<quiet@example.net> NOTIFY=NEVER", 250)
            assert wire.data(message(body="secret body\r\n"))[0] == 250
        bounce = bounce_of(server)
        assert bounce.fields["Original-Envelope-Id"] == "QQ+314159"
        [recipient] = bounce.recipients
        assert recipient["Original-Recipient"].replace(" ", "") in ("rfc822;original@example.org", "rfc822;original+40example.org")
        assert "loud@example.net" in recipient["Final-Recipient"]
        assert "secret body" not in bounce.message.as_string() and "text/rfc822-headers" in bounce.message.as_string()


def test_dsn_parameters_travel_to_a_host_that_knows_them(martlet):
    with Sink(extensions=["DSN"]) as sink:
        server = relay_to(martlet, sink)
        with Wire(server.address, server.port) as wire:
            wire.ehlo()
            wire.expect("MAIL FROM:<alice@example.test> RET=FULL ENVID=abc", 250)
            wire.expect("RCPT TO:<x@example.net> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;y@example.org", 250)
            assert wire.data(message())[0] == 250
        [taken] = sink.wait()
        assert "RET=FULL" in taken.sender.upper() and "ENVID=abc" in taken.sender
        assert "NOTIFY=" in taken.recipients[0].upper() and "ORCPT=rfc822;y@example.org" in taken.recipients[0]


def test_success_is_told_where_asked_for(martlet):
    with Sink() as sink:
        server = relay_to(martlet, sink)
        with Wire(server.address, server.port) as wire:
            wire.ehlo()
            wire.expect("MAIL FROM:<alice@example.test>", 250)
            wire.expect("RCPT TO:<bob@example.test> NOTIFY=SUCCESS", 250)
            wire.expect("RCPT TO:<x@example.net> NOTIFY=SUCCESS", 250)
            assert wire.data(message())[0] == 250
        sink.wait()

        def actions():
            return sorted(r["Action"] for raw in server.messages("alice@example.test") for r in Notification(raw).recipients)

        eventually(lambda: actions() == ["delivered", "relayed"], f"notices of delivery and of relay\n{server.log()[-2000:]}")


def actions(server, account="alice@example.test"):
    return sorted(r["Action"] for raw in server.messages(account) for r in Notification(raw).recipients)


@pytest.mark.parametrize("size", [10, 3_000_000])
def test_an_owed_confirmation_outlives_a_kill_and_shows_the_header(martlet, size):
    server = martlet(populate=True)
    with Wire(server.address, server.port) as wire:
        wire.ehlo()
        wire.expect("MAIL FROM:<alice@example.test> ENVID=abc", 250)
        wire.expect("RCPT TO:<bob@example.test> NOTIFY=SUCCESS ORCPT=rfc822;robert@example.test", 250)
        assert wire.data(message(subject="Confirm me", body=("x" * 70 + "\r\n") * (size // 72 + 1)))[0] == 250
    server.kill()
    server.start()
    eventually(lambda: "delivered" in actions(server), f"a confirmation\n{server.log()[-2000:]}")
    eventually(lambda: server.queue() == [], "an empty queue")
    notice = Notification(server.messages("alice@example.test")[0])
    assert notice.fields["Original-Envelope-Id"] == "abc" and notice.fields["Arrival-Date"]
    [recipient] = notice.recipients
    assert recipient["Original-Recipient"].replace(" ", "") == "rfc822;robert@example.test"
    assert recipient["Final-Recipient"].replace(" ", "") == "rfc822;bob@example.test" and recipient["Status"].startswith("2.")
    assert "Confirm me" in notice.returned.as_string()


def test_each_recipient_of_one_mailbox_has_its_own_wish(martlet):
    server = martlet()
    server.command("alias", "add", "first@example.test", "bob@example.test")
    server.command("alias", "add", "second@example.test", "bob@example.test")
    with Wire(server.address, server.port) as wire:
        wire.ehlo()
        wire.expect("MAIL FROM:<alice@example.test>", 250)
        wire.expect("RCPT TO:<first@example.test> NOTIFY=NEVER", 250)
        wire.expect("RCPT TO:<second@example.test> NOTIFY=SUCCESS", 250)
        assert wire.data(message())[0] == 250
    eventually(lambda: actions(server) == ["delivered"], f"one confirmation\n{server.log()[-2000:]}")
    [recipient] = Notification(server.messages("alice@example.test")[0]).recipients
    assert "second@example.test" in recipient["Final-Recipient"]
    assert server.count("bob@example.test") == 1


def test_a_bounce_is_never_bounced(martlet):
    """HOSTILE 16."""
    with Sink(answer=refuse("RCPT", b"550 5.1.1 no\r\n")) as sink:
        server = relay_to(martlet, sink)
        with Wire(server.address, server.port) as wire:
            wire.envelope("", "x@example.net")
            assert wire.data(message(subject="a notice"))[0] == 250
        eventually(lambda: server.queue() == [], "an empty queue")
        assert server.count("bob@example.test") == 0
        assert sink.taken == []


def test_a_full_mailbox_gets_its_bounces_a_little_over_the_quota(martlet):
    with Sink(answer=refuse("RCPT", b"550 5.1.1 no\r\n")) as sink:
        server = relay_to(martlet, sink)
        server.send("carol@example.net", ["alice@example.test"], message(body="x" * 900 + "\r\n"))
        server.command("account", "quota", "alice@example.test", "1KB")
        server.send("alice@example.test", ["x@example.net"], message())
        eventually(lambda: server.count("alice@example.test") == 2, f"the bounce\n{server.log()[-3000:]}")
        eventually(lambda: server.queue() == [], "an empty queue")


def test_a_bounce_that_no_mailbox_takes_waits_for_room_and_nobody_is_asked_again(martlet):
    asked = []

    def answer(command, session):
        if command.startswith("RCPT"):
            asked.append(command)
            return b"550 5.1.1 no\r\n"
        return None

    with Sink(answer=answer) as sink:
        server = relay_to(martlet, sink)
        server.send("carol@example.net", ["alice@example.test"], message(body=("x" * 70 + "\r\n") * 20_000))
        server.command("account", "quota", "alice@example.test", "1KB")
        server.send("alice@example.test", ["x@example.net"], message())
        waiting = eventually(
            lambda: [m for m in server.queue() if [r["address"] for r in m["recipients"]] == ["alice@example.test"]],
            f"the bounce alone in the queue\n{server.log()[-3000:]}")
        assert len(waiting) == len(server.queue()) == 1 and waiting[0]["sender"] == ""
        eventually(lambda: "mailbox is full" in (server.queue()[0]["recipients"][0]["lastReply"] or ""), "an attempt")
        server.command("account", "quota", "alice@example.test", "10MB")
        server.command("queue", "flush")
        eventually(lambda: server.queue() == [], f"an empty queue\n{server.log()[-3000:]}")
        assert server.count("alice@example.test") == 2 and len(asked) == 1


def test_a_double_bounce_goes_to_the_postmaster(martlet):
    with Sink(answer=refuse("RCPT", b"550 5.1.1 no\r\n")) as sink:
        server = relay_to(martlet, sink, directory={"postmaster": "bob@example.test"})
        server.send("gone@example.org", ["x@example.net"], message(subject="Undeliverable twice"))
        eventually(lambda: server.count("bob@example.test") == 1, f"the postmaster's copy\n{server.log()[-3000:]}")
        eventually(lambda: server.queue() == [], "an empty queue")


def test_a_transient_refusal_is_tried_again(martlet):
    times = []

    def answer(command, session):
        if command.startswith("RCPT"):
            times.append(time.monotonic())
            if len(times) < 3:
                return b"451 4.3.0 later\r\n"
        return None

    with Sink(answer=answer) as sink:
        server = relay_to(martlet, sink, queue={"first_retry": "1s", "maximum_retry": "2s"})
        server.send("alice@example.test", ["x@example.net"], message())
        sink.wait()
        eventually(lambda: server.queue() == [], "an empty queue")
        assert server.count("alice@example.test") == 0


def test_each_recipient_has_its_own_fate(martlet):
    def answer(command, session):
        if "bad@" in command:
            return b"550 5.1.1 no\r\n"
        if "later@" in command:
            return b"450 4.2.0 later\r\n"
        return None

    with Sink(answer=answer) as sink:
        server = relay_to(martlet, sink)
        server.send("alice@example.test", ["good@example.net", "bad@example.net", "later@example.net"], message())
        [taken] = sink.wait()
        assert ["good@example.net" in r for r in taken.recipients] == [True]
        assert [r["Final-Recipient"].split(";")[1].strip() for r in bounce_of(server).recipients] == ["bad@example.net"]
        [entry] = server.queue()
        assert [r["address"] for r in entry["recipients"]] == ["later@example.net"]


def test_who_waits_too_long_is_told_then_given_up(martlet):
    with Sink(answer=refuse("RCPT", b"451 4.3.0 later\r\n")) as sink:
        server = relay_to(martlet, sink, queue={"first_retry": "1s", "maximum_retry": "1s", "delay_notice": "2s", "lifetime": "6s"})
        server.send("alice@example.test", ["x@example.net"], message())

        def actions():
            return [r["Action"] for raw in server.messages("alice@example.test") for r in Notification(raw).recipients]

        eventually(lambda: actions()[:1] == ["delayed"], "a delay notice")
        eventually(lambda: actions() == ["delayed", "failed"], "a bounce after the lifetime")
        assert server.queue() == []
        assert sink.taken == []


# The queue's commands


@pytest.fixture
def waiting(martlet):
    """A server with three messages that wait, and their sink, which takes them once `let` is set."""
    state = {"let": False}

    def answer(command, session):
        return None if state["let"] or not command.startswith("RCPT") else b"451 4.3.0 later\r\n"

    with Sink(answer=answer) as sink:
        server = relay_to(martlet, sink)
        for sender, recipient in (("alice@example.test", "one@example.net"), ("alice@example.test", "two@example.org"), ("bob@example.test", "three@example.net")):
            server.send(sender, [recipient], message())
        eventually(lambda: [r["attempts"] for m in server.queue() for r in m["recipients"]] == [1, 1, 1], f"three attempts\n{server.log()[-3000:]}")
        yield server, sink, state


def addresses(server):
    return sorted(r["address"] for m in server.queue() for r in m["recipients"])


def test_queue_list_has_the_promised_shape(waiting):
    server, _, _ = waiting
    for entry in server.queue():
        assert set(entry) >= {"id", "sender", "received", "size", "recipients"}
        assert isinstance(entry["size"], int) and entry["size"] > 0 and re.match(r"\d{4}-\d\d-\d\dT", entry["received"])
        for recipient in entry["recipients"]:
            assert set(recipient) >= {"address", "state", "attempts", "nextAttempt", "lastReply"}
            assert "451 4.3.0 later" in recipient["lastReply"] and re.match(r"\d{4}-\d\d-\d\dT", recipient["nextAttempt"])
    text = server.command("queue", "list")
    assert "one@example.net" in text and "451" in text


def test_flush_tries_all_now(waiting):
    server, sink, state = waiting
    state["let"] = True
    server.command("queue", "flush")
    sink.wait(3)
    eventually(lambda: server.queue() == [], "an empty queue")


def test_retry_by_recipient_tries_that_one(waiting):
    server, sink, state = waiting
    state["let"] = True
    server.command("queue", "retry", "--recipient", "two@example.org")
    [taken] = sink.wait()
    assert "two@example.org" in taken.recipients[0]
    eventually(lambda: addresses(server) == ["one@example.net", "three@example.net"], "the others waiting")


def test_hold_and_release_by_sender(waiting):
    server, sink, state = waiting
    server.command("queue", "hold", "--sender", "alice@example.test")
    assert sorted(r["state"] for m in server.queue() for r in m["recipients"]).count("held") == 2
    state["let"] = True
    assert server.command("queue", "flush").startswith("1 recipient due now"), "those that are held are not tried"
    [taken] = sink.wait()
    assert "three@example.net" in taken.recipients[0]
    server.command("queue", "release", "--sender", "alice@example.test")
    server.command("queue", "flush")
    sink.wait(3)


def test_show_and_remove_by_id(waiting):
    server, _, _ = waiting
    first = server.queue()[0]
    shown = server.command("queue", "show", first["id"])
    assert first["recipients"][0]["address"] in shown
    server.command("queue", "remove", first["id"])
    assert first["id"] not in [m["id"] for m in server.queue()] and len(server.queue()) == 2


def test_remove_by_domain(waiting):
    server, _, _ = waiting
    server.command("queue", "remove", "--domain", "example.net")
    assert addresses(server) == ["two@example.org"]


def test_reroute_sends_elsewhere(waiting):
    server, _, _ = waiting
    with Sink() as other:
        done = server.run("queue", "reroute", "--domain", "example.org", "--to", other.next_hop)
        if done.returncode != 0:
            server.command("queue", "reroute", "--domain", "example.org", "--next-hop", other.next_hop)
        [taken] = other.wait()
        assert "two@example.org" in taken.recipients[0]


@pytest.fixture
def slow(martlet):
    """A server with 50 messages for a host that has one under way and does not answer until `go` is set."""
    go, asked = threading.Event(), threading.Event()

    def answer(command, session):
        if command.startswith("RCPT"):
            asked.set()
            go.wait(60)
        return None

    with Sink(answer=answer) as sink:
        server = relay_to(martlet, sink, delivery={"connections_per_destination": 1})
        with server.smtp() as client:
            for number in range(50):
                client.sendmail("alice@example.test", [f"x{number}@example.net"], message())
        assert asked.wait(30)
        yield server, sink, go
        go.set()


def test_remove_takes_what_only_waits_for_its_turn(slow):
    server, sink, go = slow
    said = server.command("queue", "remove", "--domain", "example.net")
    assert "49 recipients removed" in said and "1 is just being delivered, and will be removed if that fails" in said
    go.set()
    eventually(lambda: server.queue() == [], "an empty queue")
    assert len(sink.taken) == 1


def test_hold_takes_what_only_waits_for_its_turn(slow):
    server, sink, go = slow
    assert "49 recipients held" in server.command("queue", "hold", "--domain", "example.net")
    go.set()
    eventually(lambda: [r["state"] for m in server.queue() for r in m["recipients"]] == ["held"] * 49, "49 held")
    assert len(sink.taken) == 1
    server.command("queue", "release", "--all")
    sink.wait(50)


def test_reroute_takes_what_only_waits_for_its_turn(slow):
    server, sink, go = slow
    with Sink() as other:
        assert "49 recipients rerouted" in server.command("queue", "reroute", "--domain", "example.net", "--to", other.next_hop)
        other.wait(49)
        go.set()
        eventually(lambda: server.queue() == [], "an empty queue")
        assert len(sink.taken) == 1


def test_a_transfer_that_the_end_of_the_server_cuts_is_recorded_as_that(slow):
    server, sink, go = slow
    server.stop()
    [cut] = [r for m in server.queue() for r in m["recipients"] if r["attempts"]]
    assert "this server is stopping" in cut["lastReply"] and cut["attempts"] == 1
    assert "closed by the host" not in server.log()


def test_the_password_of_a_next_hop_is_shown_nowhere(waiting):
    server, _, _ = waiting
    with Sink(extensions=["AUTH PLAIN"], answer=lambda command, session: b"235 2.7.0 ok\r\n" if command == "AUTH" else None) as other:
        hop = other.next_hop.replace("//", "//user:topsecret@") + "?auth=clear"
        # Held, so that there is something to show: what is rerouted is tried at once.
        server.command("queue", "hold", "--domain", "example.org")
        server.command("queue", "reroute", "--domain", "example.org", "--to", hop)
        first = next(m["id"] for m in server.queue() if m["recipients"][0]["address"] == "two@example.org")
        shown = [server.command("queue", "show", first)]
        server.command("queue", "release", "--all")
        [taken] = other.wait()
        assert any(c.startswith(b"AUTH PLAIN") for c in taken.commands)
        eventually(lambda: "two@example.org" not in addresses(server), "an end")
        shown += [server.command("trace", first), server.command("queue", "list"), server.log()]
        assert "user:***@" in shown[0]
        assert "topsecret" not in "".join(shown)


def test_the_queue_outlives_the_server(waiting):
    server, sink, state = waiting
    before = addresses(server)
    server.stop()
    assert addresses(server) == before, "the queue must be readable without the server"
    state["let"] = True
    server.start()
    server.command("queue", "flush")
    sink.wait(3)


# Hostile next hops


def stays(server):
    eventually(lambda: any(r["attempts"] > 0 for m in server.queue() for r in m["recipients"]), f"an attempt\n{server.log()[-3000:]}")
    assert server.count("alice@example.test") == 0, "no bounce"
    assert server.running()


@pytest.mark.parametrize(
    "command, reply",
    [
        ("EHLO", b"".join(b"250-x\r\n" for _ in range(500)) + b"250 x\r\n"), ("RCPT", b"250-" + b"y" * 200_000 + b"\r\n250 ok\r\n"),
        ("MAIL", b"250-fine\r\n550 or not\r\n"), ("MAIL", b"\xff\xfe\x00\r\n"), ("MAIL", b"2x0 what\r\n"), ("RCPT", Sink.CLOSE),
        ("DATA", Sink.CLOSE), (".", Sink.CLOSE), ("MAIL", b"421 4.3.2 closing\r\n"),
    ], ids=["500 lines", "200 KB line", "codes that differ", "not ASCII", "no code", "closes at RCPT", "closes at DATA", "closes after the dot", "421"])
def test_a_next_hop_that_misbehaves_is_tried_again_later(martlet, command, reply):
    """HOSTILE 38."""
    with Sink(answer=lambda said, session: reply if said.startswith(command) else None) as sink:
        server = relay_to(martlet, sink)
        server.send("alice@example.test", ["x@example.net"], message())
        stays(server)


def test_250_before_the_dot_delivers_nothing(martlet):
    """HOSTILE 38."""
    def answer(command, session):
        if command == "DATA":
            session.say(b"354 go on\r\n250 2.0.0 got it already\r\n")
            session.until_dot()
            return Sink.CLOSE
        return None

    with Sink(answer=answer) as sink:
        server = relay_to(martlet, sink)
        server.send("alice@example.test", ["x@example.net"], message())
        stays(server)


def test_replies_before_tls_are_not_believed_after_it(martlet, certificate):
    """HOSTILE 40."""
    def answer(command, session):
        if command == "STARTTLS":
            return b"220 go on\r\n250-injected\r\n250 SIZE\r\n250 ok\r\n250 ok\r\n354 go on\r\n250 taken\r\n"
        return None

    with Sink(certificate=certificate, answer=answer) as sink:
        server = relay_to(martlet, sink)
        server.send("alice@example.test", ["x@example.net"], message())
        eventually(lambda: sink.taken or any(r["attempts"] for m in server.queue() for r in m["recipients"]), "an attempt")
        # Falling back to clear on another connection is allowed here; going on over this one is not.
        assert all(taken.tls is None and not any(c.startswith(b"STARTTLS") for c in taken.commands) for taken in sink.taken)


def test_a_tarpit_delays_no_other_domain(martlet):
    """HOSTILE 39."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as tarpit, Sink() as sink:
        dead = f"smtp://127.0.0.1:{tarpit.getsockname()[1]}"
        server = martlet(routes=[{"domain": ".dead.example", "next-hop": dead}, {"domain": "*", "next-hop": sink.next_hop}], **OPEN)
        with server.smtp() as client:
            for number in range(300):
                client.sendmail("alice@example.test", [f"x@d{number}.dead.example"], message())
            client.sendmail("alice@example.test", ["x@example.net"], message(subject="alive"))
        sink.wait(1, 10)


def test_bytes_on_the_wire_never_hold_a_bare_cr_or_lf(martlet):
    """HOSTILE 2: who submits one is refused, and what is whole goes out whole."""
    with Sink() as sink:
        server = relay_to(martlet, sink)
        for bare in ("a\n.\r\n", "a\r.\r\n", "a\r\n.\n", "a\n.\nMAIL FROM:<evil@example.test>\r\n"):
            with Wire(server.address, server.port) as wire:
                wire.envelope("alice@example.test", "x@example.net")
                wire.expect("DATA", 354)
                wire.send(message(body=bare) + b"\r\n.\r\n")
                assert wire.reply()[0] == 550
        server.send("alice@example.test", ["x@example.net"], message(body=".\r\n..\r\nend without line"))
        [taken] = sink.wait()
        assert not re.search(rb"\r(?!\n)|(?<!\r)\n", taken.data)
        assert body_of(taken.data)[1] == b".\r\n..\r\nend without line\r\n"


def test_two_servers_that_route_to_each_other_end_the_loop(martlet):
    """HOSTILE 15."""
    first = martlet(hostname="one.example.test", populate=False, start=False, limits={"hops": 10}, **OPEN)
    second = martlet(hostname="two.example.test", populate=False, start=False, limits={"hops": 10}, **OPEN)
    for server, other in ((first, second), (second, first)):
        server.routes = [{"domain": "*", "next-hop": f"smtp://127.0.0.1:{other.port}"}]
        server.configure()
        server.start()
    first.populate()
    first.send("alice@example.test", ["x@example.net"], message())
    eventually(lambda: first.queue() == [] and second.queue() == [], "empty queues")
