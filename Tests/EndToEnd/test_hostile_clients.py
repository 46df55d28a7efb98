"""Hostile SMTP clients: each is answered as the threat list says, and the server goes on serving others."""

import concurrent.futures
import random
import resource
import socket
import struct

import pytest
from peers.messages import message
from peers.processes import eventually
from peers.wire import Closed, Wire


def still_serves(server):
    with Wire(server.address, server.port) as wire:
        wire.envelope("carol@example.net", "alice@example.test")
        assert wire.data(message(subject="still here"))[0] == 250


def memory(server):
    """Resident memory of all its processes, in MiB."""
    pages = 0
    for pid in server.processes():
        with open(f"/proc/{pid}/statm") as file:
            pages += int(file.read().split()[1])
    return pages * resource.getpagesize() / 2**20


SMUGGLING = [b"\n.\r\n", b"\r\n.\n", b"\n.\n", b"\r.\r", b"\r\n.\r\r\n", b"\r\n.\0\r\n", b"\r.\r\n", b"\r\n.\r"]


@pytest.mark.parametrize("ending", SMUGGLING, ids=[repr(s)[2:-1] for s in SMUGGLING])
def test_nothing_but_crlf_dot_crlf_ends_a_message(martlet, ending):
    """HOSTILE 1."""
    server = martlet()
    with Wire(server.address, server.port) as wire:
        wire.envelope("carol@example.net", "alice@example.test")
        wire.expect("DATA", 354)
        smuggled = b"MAIL FROM:<forged@example.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\nSubject: smuggled\r\n\r\nforged\r\n.\r\n"
        wire.send(b"Subject: first\r\n\r\nbody" + ending + smuggled)
        code, lines = wire.reply()
        if b"\0" in ending:
            assert code in (550, 554), (code, lines)
        else:
            assert code == 550 and lines[0].startswith("5.6.11"), (code, lines)
        assert wire.closed() in (b"",) or wire.buffer == b"", "nothing after it may be answered as a command"
    assert (server.count("alice@example.test"), server.count("bob@example.test")) == (0, 0)
    still_serves(server)


def test_an_endless_command_line_is_refused_then_cut(martlet):
    """HOSTILE 4."""
    server = martlet()
    with Wire(server.address, server.port) as wire:
        wire.send(b"NOOP " + b"x" * 3000)
        wire.send(b"\r\n")
        code, lines = wire.reply()
        assert code == 500 and lines[0].startswith("5.5.2"), (code, lines)
        wire.expect("NOOP", 250)
        try:
            for _ in range(16):
                wire.send(b"x" * 65536)
        except (BrokenPipeError, ConnectionResetError):
            pass
        rest = wire.closed()
        assert rest == b"" or rest.splitlines()[-1].startswith(b"421"), rest
    still_serves(server)


@pytest.mark.parametrize("injected", [b"NOOP\r\n", b"MAIL FROM:<forged@example.test>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n", b"\x16"])
def test_commands_sent_along_with_starttls_are_not_executed(martlet, certificate, injected):
    """HOSTILE 5."""
    server = martlet(certificate=certificate)
    with Wire(server.address, server.port) as wire:
        wire.ehlo()
        wire.send(b"STARTTLS\r\n" + injected)
        rest = wire.closed()
        assert rest.count(b"\r\n") <= 1, f"only STARTTLS itself may have an answer: {rest!r}"
    eventually(lambda: "commands in clear behind STARTTLS" in server.log(), "a warning")
    still_serves(server)


def test_tls_leaves_nothing_of_the_session_before_it(martlet, certificate):
    """HOSTILE 6."""
    server = martlet(certificate=certificate)
    with Wire(server.address, server.port) as wire:
        wire.ehlo()
        wire.expect("MAIL FROM:<carol@example.net>", 250)
        wire.expect("STARTTLS", 503)  # RFC 3207 foresees it between transactions only
        wire.expect("RSET", 250)
        wire.starttls()
        wire.expect("RCPT TO:<alice@example.test>", 503)
        wire.expect("MAIL FROM:<carol@example.net>", 503)
        wire.ehlo()
        wire.expect("RCPT TO:<alice@example.test>", 503)
        wire.expect("STARTTLS", 503)
        assert wire.say("AUTH PLAIN AGEAYg==")[0] in (500, 502, 503, 504, 538)
    still_serves(server)


def test_who_talks_before_the_banner_is_turned_away(martlet):
    """HOSTILE 7."""
    server = martlet(populate=True)
    answers = []
    for _ in range(5):
        wire = Wire(server.address, server.port, greeting=False)
        wire.send(b"EHLO spammer.example\r\nMAIL FROM:<x@example.net>\r\n")
        answers.append(wire.line())
        wire.close()
    # The banner may win the race on a loopback; whoever did talk first is told so and served no further.
    assert all(a.startswith(("220 ", "554 ")) for a in answers), answers
    still_serves(server)


def test_pipelining_before_ehlo_is_answered_is_refused(martlet):
    """HOSTILE 7."""
    server = martlet()
    with Wire(server.address, server.port) as wire:
        wire.send(b"EHLO client.example.net\r\nMAIL FROM:<carol@example.net>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n")
        codes = []
        try:
            for _ in range(4):
                codes.append(wire.reply()[0])
        except Closed:
            pass
        assert 554 in codes and 354 not in codes, codes
    assert server.count("alice@example.test") == 0
    still_serves(server)


@pytest.mark.parametrize(
    "hello",
    [
        b"GET / HTTP/1.1\r\nHost: mx.example.test\r\n\r\n", b"POST / HTTP/1.1\r\nHost: mx\r\nContent-Length: 40\r\n\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<alice@example.test>\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(128, 200)) + b"\r\n",
    ], ids=["GET", "POST", "SSH", "TLS"])
def test_other_protocols_are_shown_out_within_a_line(martlet, hello):
    """HOSTILE 8."""
    server = martlet()
    with Wire(server.address, server.port) as wire:
        wire.send(hello)
        rest = wire.closed()
        assert rest.count(b"\r\n") <= 1 and (rest == b"" or rest[:3] in (b"521", b"500", b"554", b"421")), rest
    still_serves(server)


def test_dripping_data_is_ended_by_the_minimum_rate(martlet):
    """HOSTILE 9."""
    server = martlet(limits={"minimum_rate": 500, "minimum_rate_grace": "1s"})
    with Wire(server.address, server.port) as wire:
        wire.envelope("carol@example.net", "alice@example.test")
        wire.expect("DATA", 354)
        wire.socket.settimeout(0.2)
        wire.send(b"Subject: slow\r\n\r\n")
        ended = b""
        for _ in range(150):
            try:
                wire.send(b"x")
                more = wire.socket.recv(4096)
                ended += more
                if not more:
                    break
            except socket.timeout:
                continue
            except (BrokenPipeError, ConnectionResetError):
                break
        else:
            raise AssertionError("a byte each 0.2 s was let go on for 30 s")
        assert b"421" in ended, ended
    assert server.count("alice@example.test") == 0


def test_dripping_commands_are_ended_by_the_deadline(martlet):
    """HOSTILE 9."""
    server = martlet(limits={"command_timeout": "1s"})
    with Wire(server.address, server.port) as wire:
        wire.send(b"NO")
        assert b"421" in wire.closed()


def test_one_client_gets_so_many_connections_only(martlet):
    """HOSTILE 10."""
    server = martlet(limits={"connections_per_client": 5})
    wires = [Wire(server.address, server.port) for _ in range(5)]
    with Wire(server.address, server.port) as more:
        assert more.greeting[0] == 421 and more.greeting[1][0].startswith("4.7.0"), more.greeting
        assert more.closed() == b""
    with Wire(server.address, server.port, source=("127.0.0.9", 0)) as other:
        assert other.greeting[0] == 220, "another address is another client"
    wires.pop().close()
    for _ in range(200):
        with Wire(server.address, server.port) as again:
            if again.greeting[0] == 220:
                break
    else:
        raise AssertionError("a freed place is not given again")
    for wire in wires:
        wire.close()


def test_an_ipv6_network_of_64_bits_is_one_client(martlet):
    """HOSTILE 10."""
    server = martlet(ipv6=True, limits={"connections_per_client": 3})
    wires = [Wire("::1", server.port6) for _ in range(3)]
    with Wire("::1", server.port6) as more:
        assert more.greeting[0] == 421
    for wire in wires:
        wire.close()


def test_two_thousand_idle_connections_cost_little_and_hinder_nobody(martlet):
    """HOSTILE 10."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 10_000), hard))
    server = martlet(limits={"connections_per_client": 0})
    before = memory(server)
    wires = []
    try:
        for number in range(2000):
            wires.append(Wire(server.address, server.port, source=(f"127.0.{1 + number // 250}.1", 0)))
        grown = memory(server) - before
        assert grown < 80, f"2,000 idle connections took {grown:.0f} MiB"
        still_serves(server)
    finally:
        for wire in wires:
            wire.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_over_the_global_limit_the_longest_idle_goes(martlet):
    """HOSTILE 10."""
    unlimited = {"connections_per_client": 0, "messages_per_client_per_minute": 0, "messages_per_connection": 0}
    server = martlet(limits={"connections": 5, **unlimited})
    wires = [Wire(server.address, server.port, source=(f"127.0.1.{n + 1}", 0)) for n in range(5)]
    # The oldest works all the time, so age alone would choose it.
    working = wires[0]
    working.ehlo()
    for victim in wires[1:3]:
        while True:
            working.envelope("carol@example.net", "alice@example.test", helo=False)
            assert working.data(message())[0] == 250
            newest = Wire(server.address, server.port, source=("127.0.2.1", 0))
            if newest.greeting[0] == 220:
                break
            assert newest.greeting[0] == 421 and newest.greeting[1][0].startswith("4.3.2"), newest.greeting
            newest.close()
        assert b"421 4.3.2 mx.example.test Too many connections" in victim.closed(), "the longest idle connection goes, and is told why"
        wires.append(newest)
    for wire in (working, *wires[3:]):
        wire.expect("NOOP", 250)
        wire.close()


def test_a_message_taken_back_between_chunks_leaves_nothing_behind(martlet):
    server = martlet()
    stale, fresh = b"Subject: stale\r\n\r\nstale\r\n", message(subject="fresh")
    for end in ("RSET", "EHLO client.example.net"):
        for chunked in (False, True):
            with Wire(server.address, server.port) as wire:
                wire.envelope("carol@example.net", "bob@example.test")
                wire.send(f"BDAT {len(stale)}\r\n".encode() + stale)
                assert wire.reply()[0] == 250
                wire.expect(end, 250)
                wire.envelope("dave@example.net", "alice@example.test", helo=False)
                if chunked:
                    wire.send(f"BDAT {len(fresh)} LAST\r\n".encode() + fresh)
                    assert wire.reply()[0] == 250
                else:
                    assert wire.data(fresh)[0] == 250
    assert server.count("bob@example.test") == 0
    kept = server.messages("alice@example.test")
    assert len(kept) == 4 and all(m.endswith(b"\r\n" + fresh) and b"stale" not in m for m in kept), kept


def test_no_announced_size_ends_the_server(martlet):
    server = martlet(limits={"message_size": 0})
    server.add_account("small@example.test", "--quota", "5KB")
    server.send("carol@example.net", ["small@example.test"], message())
    with Wire(server.address, server.port) as wire:
        wire.envelope("carol@example.net", "small@example.test", "bob@example.test")
        assert wire.data(message(body=("z" * 70 + "\r\n") * 500))[0] == 452
        for size in (2**63 - 1, 2**63, 2**64 - 1, 10**20 - 1):
            wire.expect(f"MAIL FROM:<carol@example.net> SIZE={size}", 250)
            wire.expect("RCPT TO:<small@example.test>", 552, "5.2.2")
            wire.expect("RSET", 250)
    still_serves(server)


def test_a_thousand_recipients_then_452(martlet):
    """HOSTILE 11."""
    server = martlet()
    with Wire(server.address, server.port) as wire:
        wire.ehlo()
        wire.expect("MAIL FROM:<carol@example.net>", 250)
        for number in range(1_000):
            wire.expect(f"RCPT TO:<alice+{number}@example.test>", 250)
        wire.expect("RCPT TO:<bob@example.test>", 452, "4.5.3")
        assert wire.data(message())[0] == 250
    assert server.count("bob@example.test") == 0


def test_the_same_recipient_a_thousand_times_gets_one_copy(martlet):
    """HOSTILE 11."""
    server = martlet()
    with Wire(server.address, server.port) as wire:
        wire.ehlo()
        wire.expect("MAIL FROM:<carol@example.net>", 250)
        wire.send(b"RCPT TO:<alice@example.test>\r\n" * 1_000)
        assert {wire.reply()[0] for _ in range(1_000)} == {250}
        assert wire.data(message())[0] == 250
    assert server.count("alice@example.test") == 1


def test_harvesting_of_addresses_is_cut(martlet):
    """HOSTILE 11."""
    server = martlet(limits={"unknown_recipients": 5})
    with Wire(server.address, server.port) as wire:
        wire.ehlo()
        wire.expect("MAIL FROM:<carol@example.net>", 250)
        for number in range(5):
            wire.expect(f"RCPT TO:<guess{number}@example.test>", 550)
        code, lines = wire.say("RCPT TO:<guess6@example.test>")
        while code == 550:
            code, lines = wire.say("RCPT TO:<guess7@example.test>")
        assert code == 421 and lines[0].startswith("4.7.0"), (code, lines)
        wire.closed()
    still_serves(server)


def test_sizes_are_held_to_the_limit_announced_or_not(martlet):
    """HOSTILE 12."""
    server = martlet(limits={"message_size": 100_000})
    with Wire(server.address, server.port) as wire:
        assert "SIZE 100000" in wire.ehlo()
        for size in (2**63, 2**64, 10**30, 100_001):
            code, lines = wire.say(f"MAIL FROM:<carol@example.net> SIZE={size}")
            assert code in (552, 501), (size, code, lines)
        wire.expect("MAIL FROM:<carol@example.net> SIZE=10", 250)
        wire.expect("RCPT TO:<alice@example.test>", 250)
        wire.expect("DATA", 354)
        wire.send(b"Subject: large\r\n\r\n" + b"0123456789abcdef\r\n" * 10_000 + b".\r\n")
        code, lines = wire.reply()
        assert code == 552 and lines[0].startswith("5.3.4"), (code, lines)
    assert server.count("alice@example.test") == 0
    still_serves(server)


def test_an_endless_message_is_not_read_for_ever(martlet):
    """HOSTILE 12."""
    server = martlet(limits={"message_size": 100_000})
    before = memory(server)
    with Wire(server.address, server.port) as wire:
        wire.envelope("carol@example.net", "alice@example.test")
        wire.expect("DATA", 354)
        sent = 0
        try:
            while sent < 200_000_000:
                wire.send(b"0123456789abcdef0123456789abcdef\r\n" * 2000)
                sent += 68_000
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert sent < 200_000_000, "200 MB were read of a message of at most 100 KB"
    assert memory(server) - before < 64
    still_serves(server)


@pytest.mark.parametrize(
    "header",
    [
        b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 25\r\n", b"PROXY TCP4 " + b"9" * 65536 + b"\r\n",
        b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + bytes(12), b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff" + bytes(65535),
    ], ids=["v1", "v1 of 64 KB", "v2", "v2 of 64 KB"])
@pytest.mark.parametrize("greeted", [False, True])
def test_a_proxy_header_from_a_stranger_closes_without_a_word(martlet, header, greeted):
    """HOSTILE 13."""
    server = martlet()
    wire = Wire(server.address, server.port, greeting=greeted)
    try:
        wire.send(header)
    except OSError:
        pass
    # The greeting may have been on its way when the header came; nothing else is ever said.
    lines = wire.closed().splitlines()
    assert lines == [] or (not greeted and len(lines) == 1 and lines[0].startswith(b"220 ")), lines
    still_serves(server)


@pytest.mark.parametrize(
    "header",
    [
        b"PROXY TCP4 192.0.2.777 192.0.2.1 4711 25\r\n", b"PROXY TCP4 192.0.2.7\r\n", b"PROXY TCP4 " + b"9" * 65536, b"EHLO x\r\n",
        b"\r\n\r\n\x00\r\nQUIT\n\x99\x11\x00\x0c" + bytes(12), b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x01\x00", b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff" + bytes(65535),
    ], ids=["v1 number", "v1 short", "v1 of 64 KB", "none", "v2 version", "v2 short", "v2 of 64 KB"])
def test_a_malformed_proxy_header_closes_without_a_word(martlet, header):
    """HOSTILE 13."""
    server = martlet(trust={"proxy": ["127.0.0.1"]}, populate=False)
    wire = Wire(server.address, server.port, greeting=False)
    try:
        wire.send(header)
    except OSError:
        pass
    assert wire.closed() == b""


def test_proxy_v2_with_options_is_read_past(martlet):
    """HOSTILE 13."""
    server = martlet(trust={"proxy": ["127.0.0.1"]}, populate=False)
    options = b"\x04\x00\x64" + bytes(100)
    addresses = socket.inet_aton("192.0.2.7") + socket.inet_aton("192.0.2.1") + struct.pack("!HH", 4711, 25)
    wire = Wire(server.address, server.port, greeting=False)
    wire.send(b"\r\n\r\n\x00\r\nQUIT\n\x21\x11" + struct.pack("!H", len(addresses + options)) + addresses + options)
    assert wire.reply()[0] == 220
    wire.close()


def test_xclient_from_a_stranger_is_refused(martlet):
    """HOSTILE 13."""
    server = martlet()
    with Wire(server.address, server.port) as wire:
        assert not any(line.startswith("XCLIENT") for line in wire.ehlo())
        wire.send("XCLIENT ADDR=192.0.2.9\r\nNOOP\r\n")
        assert b"220" not in wire.closed() and wire.buffer == b""


ODD = [
    b"EHLO nul\0byte", b"EHLO esc\x1b[31m", b"MAIL FROM:<a\0b@example.net>", b"MAIL FROM:<a\x07b@example.net>", b"RCPT TO:<a\rb@example.test>",
    b"MAIL FROM:<carol@example.net> X=\0", b"MAIL FROM:<carol@example.net> SIZE=\x01", b"MAIL FROM:<\xff\xfe@example.net>",
]


def test_control_characters_are_refused_and_forge_no_log_line(martlet):
    """HOSTILE 14."""
    server = martlet()
    for line in ODD:
        with Wire(server.address, server.port) as wire:
            if not line.startswith(b"EHLO"):
                wire.ehlo()
            if line.startswith(b"RCPT"):
                wire.expect("MAIL FROM:<carol@example.net>", 250)
            code, lines = wire.say(line)
            assert code in (500, 501, 550, 553, 555), (line, code, lines)
    text = server.log()
    assert not [c for c in text if ord(c) < 32 and c not in "\n\t"], "raw control characters in the log"
    still_serves(server)


def test_a_message_that_has_been_everywhere_is_a_loop(martlet):
    """HOSTILE 15."""
    server = martlet()
    hops = "".join(f"Received: from h{n}.example.net by h{n + 1}.example.net; Wed, 25 Nov 2026 10:00:00 +0000\r\n" for n in range(51))
    with Wire(server.address, server.port) as wire:
        wire.envelope("carol@example.net", "alice@example.test")
        code, lines = wire.data(hops.encode() + message())
        assert code == 554 and lines[0].startswith("5.4.6"), (code, lines)
    assert server.count("alice@example.test") == 0


GOOD_ADDRESSES = ['""@example.test', '"a b"@example.test', '"a\\"b"@example.test', "<@a.example,@b.example:alice@example.test>"]
BAD_ADDRESSES = ["@", "@example.test", "alice@", "alice", "alice@example..test", "x" * 65 + "@example.test", "a@" + "d" * 64 + ".test", "a@" + "d." * 130 + "test", "a b@example.test", ".a@example.test", "a..b@example.test"]


def test_odd_addresses_are_parsed_or_refused_never_more(martlet):
    """HOSTILE 19."""
    server = martlet()
    for address in GOOD_ADDRESSES + BAD_ADDRESSES:
        with Wire(server.address, server.port) as wire:
            wire.ehlo()
            wire.expect("MAIL FROM:<carol@example.net>", 250)
            code, lines = wire.say(f"RCPT TO:{address}" if address.startswith("<") else f"RCPT TO:<{address}>")
            if address in BAD_ADDRESSES:
                assert code in (501, 550, 553, 554), (address, code, lines)
            else:
                assert code in (250, 550), (address, code, lines)
    still_serves(server)


def test_shell_and_template_characters_are_plain_data(martlet):
    """HOSTILE 20."""
    server = martlet()
    for local in ("|/bin/sh", ";id", "${run{/bin/id}}", "`id`", "$(id)", "%0a%0d", "../../etc/passwd"):
        address = f'"{local}"@example.test'
        server.add_account(address)
        server.send("carol@example.net", [address], message())
        assert server.count(address) == 1, address


def test_bdat_sizes_that_lie_are_refused(martlet):
    """HOSTILE 3."""
    server = martlet()
    for size in ("18446744073709551616", "-1", "x", "", "1e3", "0x10", "99999999999999999999999999"):
        with Wire(server.address, server.port) as wire:
            wire.envelope("carol@example.net", "alice@example.test")
            code, _ = wire.say(f"BDAT {size} LAST")
            assert code in (501, 552), (size, code)
    with Wire(server.address, server.port) as wire:
        wire.ehlo()
        wire.send(b"BDAT 5 LAST\r\n12345")
        assert wire.reply()[0] == 503
        wire.expect("NOOP", 250)
        wire.expect("MAIL FROM:<carol@example.net>", 250)
        wire.send(b"BDAT 6\r\nNOOP\r\n")
        assert wire.reply()[0] in (503, 554)
        # RFC 3030, 2: the state is indeterminate until RSET.
        wire.expect("RSET", 250)
        wire.expect("MAIL FROM:<carol@example.net>", 250)
        wire.expect("RCPT TO:<alice@example.test>", 250)
        wire.send(b"BDAT 7\r\nSubject")
        assert wire.reply()[0] == 250
        wire.expect("DATA", 503)
    assert server.count("alice@example.test") == 0


def test_random_bytes_end_no_server(martlet):
    server = martlet(limits={"errors": 0, "unknown_recipients": 0, "connections_per_client": 0})
    started = server.processes()
    words = [b"EHLO x\r\n", b"MAIL FROM:<a@b>\r\n", b"RCPT TO:<alice@example.test>\r\n", b"DATA\r\n", b"BDAT 5\r\n", b".\r\n", b"RSET\r\n", b"STARTTLS\r\n"]

    def attack(seed):
        generator = random.Random(seed)
        try:
            with Wire(server.address, server.port, timeout=5) as wire:
                for _ in range(20):
                    wire.send(generator.choice(words) if generator.random() < 0.6 else generator.randbytes(generator.randrange(200)))
        except (OSError, Closed, AssertionError):
            pass

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(attack, range(200)))
    assert server.processes() == started, "a process of the server ended"
    still_serves(server)
