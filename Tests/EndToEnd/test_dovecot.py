"""Dovecot's LMTP as a next hop, over TCP and a Unix socket."""

import pytest
from peers.dovecot import Dovecot
from peers.messages import body_of, message, parse
from peers.processes import eventually
from peers.wire import Wire

pytestmark = pytest.mark.usefixtures("as_root")


@pytest.mark.parametrize("place", ["tcp", "unix"])
def test_mail_is_delivered_by_lmtp(martlet, folder, running, place):
    dovecot = running(Dovecot(folder / "dovecot")).start()
    hop = f"lmtp://127.0.0.1:{dovecot.port}" if place == "tcp" else f"lmtp+unix://{dovecot.socket}"
    server = martlet(routes=[{"domain": "boxes.example", "next-hop": hop}])
    server.add_domain("boxes.example", "--relay")
    sent = message(body=".\r\ntext\r\n" + "long line " * 80 + "\r\n")
    server.send("carol@example.net", ["dora@boxes.example", "dan@boxes.example"], sent)
    for name in ("dora", "dan"):
        [got] = dovecot.wait_messages(f"{name}@boxes.example")
        assert got.endswith(body_of(sent)[1]) and got.startswith(b"Return-Path: <carol@example.net>")
    eventually(lambda: server.queue() == [], "an empty queue")


def test_large_mail_goes_through(martlet, folder, running):
    dovecot = running(Dovecot(folder / "dovecot")).start()
    server = martlet(routes=[{"domain": "boxes.example", "next-hop": f"lmtp://127.0.0.1:{dovecot.port}"}])
    server.add_domain("boxes.example", "--relay")
    sent = message(body="") + b"0123456789 0123456789 0123456789\r\n" * 100_000
    with Wire(server.address, server.port) as wire:
        wire.envelope("carol@example.net", "dora@boxes.example")
        assert wire.data(sent)[0] == 250
    [got] = dovecot.wait_messages("dora@boxes.example")
    assert got.endswith(body_of(sent)[1])


def test_an_lmtp_host_that_is_down_is_tried_again(martlet, folder, running):
    dovecot = running(Dovecot(folder / "dovecot"))
    server = martlet(routes=[{"domain": "boxes.example", "next-hop": f"lmtp://127.0.0.1:{dovecot.port}"}], queue={"first_retry": "1s", "maximum_retry": "2s"})
    server.add_domain("boxes.example", "--relay")
    server.send("carol@example.net", ["dora@boxes.example"], message())
    eventually(lambda: any(r["attempts"] > 0 for m in server.queue() for r in m["recipients"]), "a failed attempt")
    dovecot.start()
    dovecot.wait_messages("dora@boxes.example")


def test_good_mail_is_not_drawn_into_another_transaction_that_was_refused(martlet, folder, running):
    dovecot = running(Dovecot(folder / "dovecot", users=["dora"])).start()
    server = martlet(
        routes=[{"domain": "boxes.example", "next-hop": f"lmtp://127.0.0.1:{dovecot.port}"}],
        trust={"networks": ["127.0.0.0/8"]}, delivery={"connections_per_destination": 1})
    with server.smtp() as client:
        for number in range(60):
            name = "nobody" if number % 2 == 0 else "dora"
            client.sendmail(f"alice+{number}@example.test", [f"{name}@boxes.example"], message(subject=f"number {number}"))
    got = dovecot.wait_messages("dora@boxes.example", 30)
    eventually(lambda: server.queue() == [], "an empty queue")
    senders = {}
    for raw in got:
        parsed = parse(raw)
        senders[parsed["Subject"]] = parsed["Return-Path"]
    assert senders == {f"number {n}": f"<alice+{n}@example.test>" for n in range(1, 60, 2)}
    bounces = eventually(lambda: len(m := server.messages("alice@example.test")) >= 30 and m, "30 bounces")
    assert len(bounces) == 30 and all(b"nobody@boxes.example" in b for b in bounces)
