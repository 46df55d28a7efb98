"""Receiving (RFC 5321, server side): the command set, the extensions, who may send what to whom."""

import re
import ssl
import struct

import pytest
from peers.messages import body_of, message, parse, received
from peers.processes import eventually
from peers.sink import Sink
from peers.wire import Wire


def test_a_message_lands_in_the_mailbox_with_a_trace_on_top(martlet):
    server = martlet()
    sent = message()
    with Wire(server.address, server.port) as wire:
        assert wire.greeting[0] == 220 and wire.greeting[1][0].startswith("mx.example.test ESMTP")
        wire.envelope("carol@example.net", "alice@example.test")
        code, lines = wire.data(sent)
        assert code == 250
        wire.expect("QUIT", 221)
    [got] = server.messages("alice@example.test")
    assert got.endswith(sent), "the body must be what was sent"
    head = got[: -len(sent)].decode()
    assert head.startswith("Return-Path: <carol@example.net>\r\n")
    [trace] = received(got)
    assert re.search(r"^from client\.example\.net \(\[?127\.0\.0\.1\]?\)|^from client\.example\.net \(.*\[127\.0\.0\.1\]\)", trace), trace
    assert "by mx.example.test" in trace and "with ESMTP" in trace and " id " in trace
    queue_id = re.search(r" id (\S+?);?(?: |$)", trace)[1].rstrip(";")
    assert queue_id in lines[0], f"the reply should name the queue id {queue_id}: {lines}"


def test_every_extension_is_announced(martlet, certificate):
    server = martlet(certificate=certificate, populate=False)
    with Wire(server.address, server.port) as wire:
        clear = wire.ehlo()
        for extension in ("PIPELINING", "SIZE 50000000", "8BITMIME", "SMTPUTF8", "CHUNKING", "BINARYMIME", "DSN", "ENHANCEDSTATUSCODES", "STARTTLS", "HELP"):
            assert extension in clear, f"{extension} not in {clear}"
        assert any(line.startswith("LIMITS ") and "RCPTMAX=" in line for line in clear), clear
        assert "REQUIRETLS" not in clear
        wire.starttls()
        secret = wire.ehlo()
        assert "REQUIRETLS" in secret and "STARTTLS" not in secret


def test_helo_and_the_small_commands(martlet):
    server = martlet()
    with Wire(server.address, server.port) as wire:
        code, lines = wire.say("HELO client.example.net")
        assert code == 250 and len(lines) == 1
        wire.expect("NOOP", 250)
        wire.expect("noop with words", 250)
        assert wire.say("HELP")[0] in (211, 214)
        assert wire.say("VRFY alice")[0] in (252, 250)
        assert wire.say("EXPN staff")[0] in (252, 502, 550)
        wire.expect("FROBNICATE", 500, "5.5.")
        wire.expect("MAIL FROM:<carol@example.net>", 250)
        wire.expect("RSET", 250)
        wire.expect("RCPT TO:<alice@example.test>", 503, "5.5.1")
        wire.expect("DATA", 503, "5.5.1")
        wire.expect("QUIT", 221)
        wire.closed()
    assert server.count("alice@example.test") == 0


def test_a_pipelined_group_is_answered_in_order(martlet):
    server = martlet()
    with Wire(server.address, server.port) as wire:
        wire.ehlo()
        wire.send("MAIL FROM:<carol@example.net>\r\nRCPT TO:<alice@example.test>\r\nRCPT TO:<nobody@example.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\n")
        assert [wire.reply()[0] for _ in range(5)] == [250, 250, 550, 250, 354]
        wire.send(message() + b".\r\nMAIL FROM:<carol@example.net>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\n")
        assert [wire.reply()[0] for _ in range(4)] == [250, 250, 250, 354]
        wire.send(message() + b".\r\nQUIT\r\n")
        assert [wire.reply()[0] for _ in range(2)] == [250, 221]
    assert (server.count("alice@example.test"), server.count("bob@example.test")) == (1, 2)


def test_dots_are_unstuffed(martlet):
    server = martlet()
    sent = message(body=".\r\n..\r\n...three\r\n.leading\r\n")
    with Wire(server.address, server.port) as wire:
        wire.envelope("carol@example.net", "alice@example.test")
        assert wire.data(sent)[0] == 250
    assert server.messages("alice@example.test")[0].endswith(sent)


def test_chunks_are_put_together(martlet):
    server = martlet()
    sent = message(body="x" * 5000 + "\r\n.\r\nstill here\r\n")
    with Wire(server.address, server.port) as wire:
        wire.envelope("carol@example.net", "alice@example.test")
        for start in range(0, len(sent), 1000):
            piece = sent[start : start + 1000]
            wire.send(f"BDAT {len(piece)}\r\n".encode() + piece)
            assert wire.reply()[0] == 250
        assert wire.say("BDAT 0 LAST")[0] == 250
    assert server.messages("alice@example.test")[0].endswith(sent)


def test_binary_bodies_survive_as_they_are(martlet):
    server = martlet()
    body = bytes(range(256)) * 20 + b"\n\r\n.\r\n"
    sent = message(extra="MIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n", body="") + body
    with Wire(server.address, server.port) as wire:
        wire.ehlo()
        wire.expect("MAIL FROM:<carol@example.net> BODY=BINARYMIME", 250)
        wire.expect("RCPT TO:<alice@example.test>", 250)
        wire.expect("DATA", 503)
        wire.send(f"BDAT {len(sent)} LAST\r\n".encode() + sent)
        assert wire.reply()[0] == 250
    assert server.messages("alice@example.test")[0].endswith(sent)


def test_internationalised_addresses_are_taken(martlet):
    server = martlet()
    server.add_account("zoë@example.test")
    sent = message(sender="jörg@exämple.net", to="zoë@example.test", subject="Grüße")
    with Wire(server.address, server.port) as wire:
        wire.ehlo()
        wire.expect("MAIL FROM:<jörg@exämple.net> SMTPUTF8 BODY=8BITMIME", 250)
        wire.expect("RCPT TO:<zoë@example.test>", 250)
        assert wire.data(sent)[0] == 250
    [got] = server.messages("zoë@example.test")
    assert got.endswith(sent) and "with UTF8SMTP" in received(got)[0]


def test_addresses_beyond_ascii_need_smtputf8(martlet):
    server = martlet()
    with Wire(server.address, server.port) as wire:
        wire.ehlo()
        assert wire.say("MAIL FROM:<jörg@example.net>")[0] in (501, 553, 550)


def test_starttls_gives_a_session_with_version_and_cipher_in_the_trace(martlet, certificate, authority):
    server = martlet(certificate=certificate)
    context = ssl.create_default_context(cafile=str(authority.certificate))
    with Wire(server.address, server.port) as wire:
        wire.ehlo()
        wire.starttls(context)
        wire.envelope("carol@example.net", "alice@example.test")
        assert wire.data(message())[0] == 250
        version, cipher = wire.socket.version(), wire.socket.cipher()[0]
    [got] = server.messages("alice@example.test")
    trace = received(got)[0]
    assert "with ESMTPS" in trace and cipher in trace and version.replace("TLSv", "TLS").replace("TLS", "") in trace, trace


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_implicit_tls_speaks(martlet, certificate, version):
    server = martlet(certificate=certificate, populate=False)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    wire = Wire(server.address, server.tls_port, greeting=False)
    wire.tls(context)
    assert wire.reply()[0] == 220
    assert "STARTTLS" not in wire.ehlo()
    wire.close()


def test_old_tls_is_refused(martlet, certificate):
    server = martlet(certificate=certificate, populate=False)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with Wire(server.address, server.port) as wire:
        wire.ehlo()
        wire.expect("STARTTLS", 220)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            wire.tls(context)


def test_ipv6_clients_are_served(martlet):
    server = martlet(ipv6=True)
    with Wire("::1", server.port6) as wire:
        wire.envelope("carol@example.net", "alice@example.test")
        assert wire.data(message())[0] == 250
    assert "[IPv6:::1]" in received(server.messages("alice@example.test")[0])[0]


@pytest.mark.parametrize("place", ["tcp", "unix"])
def test_lmtp_answers_for_each_recipient(martlet, place):
    server = martlet(lmtp=place == "tcp", lmtp_unix=place == "unix")
    wire = Wire(server.address, server.lmtp_port) if place == "tcp" else Wire(server.lmtp_path)
    with wire:
        assert wire.say("EHLO client.example.net")[0] in (500, 503)
        assert wire.say("LHLO client.example.net")[0] == 250
        wire.expect("MAIL FROM:<carol@example.net>", 250)
        wire.expect("RCPT TO:<alice@example.test>", 250)
        wire.expect("RCPT TO:<nobody@example.test>", 550)
        wire.expect("RCPT TO:<bob@example.test>", 250)
        wire.expect("DATA", 354)
        wire.send(message() + b".\r\n")
        assert [wire.reply()[0] for _ in range(2)] == [250, 250]
        wire.expect("QUIT", 221)
    assert (server.count("alice@example.test"), server.count("bob@example.test")) == (1, 1)
    assert "with LMTP" in received(server.messages("alice@example.test")[0])[0]


# Whom the message is for


def test_recipients_are_judged_at_rcpt(martlet):
    server = martlet()
    server.add_domain("relayed.example", "--relay")
    server.add_domain("catch.test")
    server.add_account("all@catch.test")
    server.command("alias", "add", "@catch.test", "all@catch.test")
    server.command("alias", "add", "sales@example.test", "alice@example.test,bob@example.test")
    with Wire(server.address, server.port) as wire:
        wire.ehlo()
        wire.expect("MAIL FROM:<carol@example.net>", 250)
        wire.expect("RCPT TO:<alice@example.test>", 250, "2.1.5")
        wire.expect("RCPT TO:<ALICE@Example.TEST>", 250)
        wire.expect("RCPT TO:<alice+lists@example.test>", 250)
        wire.expect("RCPT TO:<sales@example.test>", 250)
        wire.expect("RCPT TO:<anything@catch.test>", 250)
        wire.expect("RCPT TO:<someone@relayed.example>", 250)
        wire.expect("RCPT TO:<postmaster>", 250)
        wire.expect("RCPT TO:<Postmaster>", 250)
        wire.expect("RCPT TO:<postmaster@example.test>", 250)
        wire.expect("RCPT TO:<nobody@example.test>", 550, "5.1.1")
        wire.expect("RCPT TO:<someone@elsewhere.example>", 554, "5.7.1")


def test_an_alias_delivers_once_to_each(martlet):
    server = martlet()
    server.command("alias", "add", "sales@example.test", "alice@example.test,bob@example.test")
    server.send("carol@example.net", ["sales@example.test", "alice@example.test"], message())
    assert (server.count("alice@example.test"), server.count("bob@example.test")) == (1, 1)


def test_lists_that_are_too_long_together_go_in_two_transactions(martlet):
    with Sink() as sink:
        server = martlet(routes=[{"domain": "*", "next-hop": sink.next_hop}])
        lists = {f"list{n}@example.test": [f"m{member}@l{n}.example.net" for member in range(1000)] for n in range(11)}
        for address, targets in lists.items():
            server.command("alias", "add", address, ",".join(targets))
        left, rounds = list(lists), []
        with Wire(server.address, server.port) as wire:
            wire.ehlo()
            while left and len(rounds) < 5:
                wire.expect("MAIL FROM:<carol@example.net>", 250)
                answers = {recipient: wire.say(f"RCPT TO:<{recipient}>") for recipient in left}
                assert all(code == 250 or (code == 452 and lines[0].startswith("4.5.3")) for code, lines in answers.values()), answers
                assert wire.data(message())[0] == 250
                left = [recipient for recipient, (code, _) in answers.items() if code != 250]
                rounds.append(len(answers) - len(left))
        assert rounds == [10, 1]
        everybody = sorted(target for targets in lists.values() for target in targets)
        eventually(lambda: sum(len(m.recipients) for m in sink.wait()) >= len(everybody), "everybody has it", seconds=60)
        assert sorted(re.search("<(.*?)>", r)[1] for m in sink.wait() for r in m.recipients) == everybody
        # A list that is too long by itself is not made.
        done = server.run("alias", "add", "everybody@example.test", ",".join(lists))
        assert done.returncode == 1 and "would expand to more than 1000 recipients" in done.stderr, done


TRICKS = [
    "victim%elsewhere.example@example.test", "elsewhere.example!victim@example.test", "victim@elsewhere.example@example.test",
    '"victim@elsewhere.example"@example.test', "@example.test:victim@elsewhere.example", "victim@[127.0.0.1]", "victim@[IPv6:::1]",
    '"victim%elsewhere.example"@example.test', "victim@elsewhere.example.", "victim%elsewhere.example", '"victim@elsewhere.example"',
    "elsewhere.example!victim", "victim@localhost", "victim@mx.example.test", "victim%elsewhere.example@mx.example.test",
    "victim@127.0.0.1", "postmaster%elsewhere.example@example.test", "@example.test,@elsewhere.example:victim@elsewhere.example",
]


def test_no_syntax_of_an_address_makes_an_open_relay(martlet):
    """HOSTILE 19."""
    server = martlet()
    for address in TRICKS:
        with Wire(server.address, server.port) as wire:
            wire.ehlo()
            wire.expect("MAIL FROM:<spammer@elsewhere.example>", 250)
            code, lines = wire.say(f"RCPT TO:<{address}>")
            assert 500 <= code < 560, (address, code, lines)
    assert server.queue() == []


def test_a_trusted_network_may_relay_and_loopback_is_not_trusted_by_itself(martlet):
    with Sink() as sink:
        trusting = martlet(trust={"networks": ["127.0.0.0/8"]}, routes=[{"domain": "*", "next-hop": sink.next_hop}])
        trusting.send("alice@example.test", ["carol@example.net"], message())
        [taken] = sink.wait()
        assert "carol@example.net" in taken.recipients[0]


def test_a_relay_domain_is_relayed_as_backup_mx(martlet):
    with Sink() as sink:
        server = martlet(routes=[{"domain": "example.org", "next-hop": sink.next_hop}])
        server.add_domain("example.org", "--relay")
        server.send("carol@example.net", ["anyone@example.org"], message(to="anyone@example.org"))
        [taken] = sink.wait()
        assert received(taken.data)[0].startswith("from ")
        assert b"Return-Path:" not in body_of(taken.data)[0]


def test_a_route_permits_nothing(martlet):
    with Sink() as sink:
        server = martlet(routes=[{"domain": "*", "next-hop": sink.next_hop}])
        with Wire(server.address, server.port) as wire:
            wire.ehlo()
            wire.expect("MAIL FROM:<carol@example.net>", 250)
            wire.expect("RCPT TO:<x@example.org>", 554, "5.7.1")


# Who really speaks


def proxy_v2(source, target, sport=4711, dport=25, command=1):
    addresses = bytes(map(int, source.split("."))) + bytes(map(int, target.split("."))) + struct.pack("!HH", sport, dport)
    return b"\r\n\r\n\x00\r\nQUIT\n" + bytes([0x20 | command, 0x11]) + struct.pack("!H", len(addresses)) + addresses


@pytest.mark.parametrize("version", [1, 2])
def test_proxy_headers_from_a_proxy_name_the_client(martlet, version):
    server = martlet(trust={"proxy": ["127.0.0.1/32"]})
    wire = Wire(server.address, server.port, greeting=False)
    wire.send("PROXY TCP4 192.0.2.7 192.0.2.1 4711 25\r\n" if version == 1 else proxy_v2("192.0.2.7", "192.0.2.1"))
    assert wire.reply()[0] == 220
    wire.envelope("carol@example.net", "alice@example.test")
    assert wire.data(message())[0] == 250
    wire.close()
    assert "[192.0.2.7]" in received(server.messages("alice@example.test")[0])[0]


def test_xclient_from_a_configured_address_names_the_client(martlet):
    server = martlet(trust={"xclient": ["127.0.0.1/32"]})
    with Wire(server.address, server.port) as wire:
        assert any(line.startswith("XCLIENT") for line in wire.ehlo())
        assert wire.say("XCLIENT ADDR=192.0.2.9 NAME=client.example.net")[0] == 220
        wire.envelope("carol@example.net", "alice@example.test")
        assert wire.data(message())[0] == 250
    assert "[192.0.2.9]" in received(server.messages("alice@example.test")[0])[0]


def test_xclient_is_counted_on_the_client_it_names(martlet):
    limits = {"connections_per_client": 2, "messages_per_client_per_minute": 1}
    server = martlet(trust={"xclient": ["127.0.0.1/32"]}, limits=limits)
    wires = [Wire(server.address, server.port) for _ in range(5)]
    for number, wire in enumerate(wires):
        wire.ehlo()
        assert wire.say(f"XCLIENT ADDR=192.0.2.{number} HELO=client.example.net PROTO=ESMTP")[0] == 220
        wire.envelope("carol@example.net", "alice@example.test")
        assert wire.data(message())[0] == 250
        assert wire.say("MAIL FROM:<carol@example.net>")[0] == 450
    with Wire(server.address, server.port) as second, Wire(server.address, server.port) as third:
        for wire, code in ((second, 220), (third, 421)):
            wire.ehlo()
            assert wire.say("XCLIENT ADDR=192.0.2.1")[0] == code
        assert third.closed() == b""
    for wire in wires:
        wire.close()


def test_a_trusted_network_has_no_share_to_keep_to(martlet):
    limits = {"connections_per_client": 1, "messages_per_client_per_minute": 1, "unknown_recipients": 1}
    server = martlet(trust={"networks": ["127.0.0.1/32"]}, limits=limits)
    wires = [Wire(server.address, server.port) for _ in range(3)]
    for wire in wires:
        wire.envelope("carol@example.net", "alice@example.test")
        for number in range(5):
            wire.expect(f"RCPT TO:<ghost{number}@example.test>", 550)
        assert wire.data(message())[0] == 250
    for wire in wires:
        wire.close()


def test_the_postmaster_of_this_host_is_always_there(martlet):
    server = martlet()
    for address in ("postmaster", "postmaster@mx.example.test", "Postmaster@[127.0.0.1]"):
        with Wire(server.address, server.port) as wire:
            wire.envelope("carol@example.net", address)
            assert wire.data(message())[0] == 250
    assert server.count("alice@example.test") == 3


def test_requiretls_is_for_tls_only(martlet, certificate):
    server = martlet(certificate=certificate)
    with Wire(server.address, server.port) as wire:
        wire.ehlo()
        assert wire.say("MAIL FROM:<carol@example.net> REQUIRETLS")[0] >= 500
        wire.starttls()
        wire.ehlo()
        wire.expect("MAIL FROM:<carol@example.net> REQUIRETLS", 250)


def test_local_mail_is_parsed_by_others(martlet):
    server = martlet()
    server.send("carol@example.net", ["alice@example.test"], message(subject="=?utf-8?q?Gr=C3=BC=C3=9Fe?="))
    assert parse(server.messages("alice@example.test")[0])["subject"] == "Grüße"
