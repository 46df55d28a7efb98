"""The queue as a postmaster sees it: draining, soft bounces, statistics, rates, sources, and a queue full of dead destinations."""

import re
import smtplib
import time

import pytest
from peers.processes import dead_port, eventually
from peers.sink import Sink

MESSAGE = "Subject: hello\r\n\r\ntext\r\n"
TRUST = {"networks": ["127.0.0.0/8"]}


def route(domain, port, **more):
    return {"domain": domain, "next-hop": f"smtp://127.0.0.1:{port}", **more}


def said(session):
    """The last command of a sink's client, in small letters."""
    command = session.commands[-1]
    return (command.decode() if isinstance(command, bytes) else command).lower()


def states(server):
    return sorted(r["state"] for m in server.queue() for r in m["recipients"])


def test_draining_takes_no_mail_and_delivers_what_waits(martlet):
    with Sink(answer=lambda _, session: b"451 4.3.2 later\r\n" if said(session).startswith("rcpt to:<later@") else None) as sink:
        server = martlet(routes=[route("*", sink.port)], trust=TRUST)
        client = server.smtp()
        client.ehlo("client.example.net")
        other = server.smtp()
        other.ehlo("other.example.net")
        other.mail("alice@example.test")
        other.rcpt("now@example.net")
        other.rcpt("later@example.net")
        other.putcmd("data")
        assert other.getreply()[0] == 354
        assert "draining" in server.command("drain")
        # Who was there ends with 421, but a message whose DATA has begun is taken first.
        assert client.getreply()[0] == 421
        other.send(MESSAGE.encode() + b".\r\n")
        assert [other.getreply()[0], other.getreply()[0]] == [250, 421]
        with pytest.raises(smtplib.SMTPConnectError) as told:
            server.smtp()
        assert told.value.smtp_code == 421 and told.value.smtp_error.startswith(b"4.3.2 mx.example.test")
        progress = server.json("drain", "--wait")
        assert progress["drained"] and progress["draining"] and progress["deferred"] == 1 and progress["left"] == 0
        assert sink.wait(1)[0].recipients == ["RCPT TO:<now@example.net>"]
        assert server.json("status")["server"]["draining"] and "draining" in server.command("status")
        server.reload()
        assert "taken again" in server.command("drain", "--off")
        assert not server.json("status")["server"]["draining"]
        server.send("alice@example.test", ["now@example.net"], MESSAGE)
        sink.wait(2)
        server.command("drain")
        server.restart()
        assert not server.json("status")["server"]["draining"], "a start begins with taking mail"


def test_soft_bounces_keep_what_would_be_returned(martlet):
    with Sink(answer=lambda _, session: b"550 5.1.1 No such user\r\n" if said(session).startswith("rcpt to:<gone@") else None) as sink:
        server = martlet(routes=[route("*", sink.port)], trust=TRUST, queue={"soft_bounce": True})
        server.send("alice@example.test", ["gone@example.net"], MESSAGE)
        eventually(lambda: states(server) == ["kept"], "the message is kept")
        kept = server.queue()[0]["recipients"][0]
        assert kept["lastReply"].startswith("kept (soft-bounce): ") and "550 5.1.1 No such user" in kept["lastReply"]
        status = server.json("status")
        assert status["softBounce"] and status["queue"]["kept"] == 1 and "1 recipients are kept" in server.command("status")
        assert server.count("alice@example.test") == 0
        with server.smtp() as client:
            client.ehlo("client.example.net")
            client.mail("alice@example.test")
            assert client.rcpt("nobody@example.test")[0] == 450
            assert client.docmd("WHAT")[0] == 400
        assert server.json("queue", "stats")["rows"][0]["kept"] == 1
        # Off: the next attempt decides.
        server.settings["queue"]["soft_bounce"] = False
        server.configure()
        server.reload()
        eventually(lambda: not server.json("status")["softBounce"], "the configuration is read again")
        assert states(server) == ["kept"]
        server.command("queue", "flush")
        eventually(lambda: server.queue() == [], "it is returned")
        eventually(lambda: server.count("alice@example.test") == 1, "the sender is told")
        assert b"550 5.1.1 No such user" in server.messages("alice@example.test")[0]


def test_statistics_with_and_without_a_server(martlet):
    with dead_port() as port:
        server = martlet(routes=[route(".many.test", port), route("few.test", port)], trust=TRUST, delivery={"connect_timeout": "2s"})
        for number in range(5):
            server.send("alice@example.test", [f"x{number}@a.many.test", f"y{number}@a.many.test"], MESSAGE)
        server.send("alice@example.test", ["x@few.test"], MESSAGE)
        eventually(lambda: any(r["live"] and r["live"]["circuit"] == "open" for r in server.json("queue", "stats")["rows"]), "the circuit opens")
        stats = server.json("queue", "stats")
        assert [(r["destination"], r["queued"]) for r in stats["rows"]] == [("a.many.test", 10), ("few.test", 1)]
        assert "no answer in time" in stats["rows"][0]["lastReply"] and stats["rows"][0]["live"]["host"] == "127.0.0.1"
        table = server.command("queue", "stats", "--top", "1")
        assert re.search(r"^a\.many\.test +10 .* open, \d+ s ", table, re.M) and "few.test" not in table
        server.stop()
        stats = server.json("queue", "stats")
        assert [(r["destination"], r["queued"], r.get("live")) for r in stats["rows"]] == [("a.many.test", 10, None), ("few.test", 1, None)]


def test_sources_and_rates(martlet):
    peers = []

    def look(verb, session):
        if verb == "EHLO":
            peers.append((session.socket.getpeername()[0], said(session).split()[1]))

    with Sink(answer=look) as sink:
        server = martlet(
            routes=[route("routed.test", sink.port, source_addresses=["127.0.0.7"], helo="routed.example.test"), route("*", sink.port)],
            trust=TRUST, sender=[{"domain": "brand.test", "source_addresses": ["127.0.0.8"], "helo": "mail.brand.test"}],
            destination=[{"hosts": ["127.0.0.1"], "messages_per_minute": 1}])
        server.command("check")
        server.send("news@brand.test", ["x@routed.test"], MESSAGE)
        sink.wait(1)
        assert peers == [("127.0.0.7", "routed.example.test")]
        # One a minute: the next wait untried, and delay no other.
        for _ in range(3):
            server.send("news@brand.test", ["x@example.net"], MESSAGE)
        server.send("carol@elsewhere.test", ["alice@example.test"], MESSAGE)
        assert server.count("alice@example.test") == 1
        stats = server.json("queue", "stats")
        assert stats["rows"][0]["queued"] == 3 and stats["rows"][0]["lastReply"] == ""
        assert all(r["attempts"] == 0 for m in server.queue() for r in m["recipients"])
        # Without the bound they leave, from where their sender's mail comes from.
        server.settings["destination"] = []
        server.configure()
        server.reload()
        eventually(lambda: server.command("queue", "flush") and len(sink.taken) == 4, "all are delivered")
        assert peers[-1] == ("127.0.0.8", "mail.brand.test")
        server.settings["sender"][0]["source_addresses"] = ["192.0.2.77"]
        server.configure()
        refused = server.run("check")
        assert refused.returncode == 78 and "no connection can come from 192.0.2.77" in refused.stderr


def test_dead_destinations_hold_up_nobody(martlet):
    """HOSTILE 39: 100 dead destinations with 50 messages each: the next message to a live one comes before any of them has failed."""
    with dead_port() as port, Sink() as sink:
        routes = [{"domain": f"dead{n}.test", "next-hop": f"smtp://127.1.{n // 250}.{n % 250 + 1}:{port}"} for n in range(100)]
        server = martlet(routes=[*routes, route("*", sink.port)], trust=TRUST, limits={"recipients": 0})
        with server.smtp() as client:
            for _ in range(50):
                client.sendmail("alice@example.test", [f"x@dead{n}.test" for n in range(100)], MESSAGE)
            began = time.monotonic()
            client.sendmail("alice@example.test", ["bob@live.test"], MESSAGE)
        sink.wait(1)
        delay = time.monotonic() - began
        assert sink.taken[0].recipients == ["RCPT TO:<bob@live.test>"]
        assert server.json("queue", "counts")["waiting"] + server.json("queue", "counts")["active"] >= 5_000
        print(f"figures: a live message beside 5,000 to 100 dead destinations: {delay:.3f} s")
