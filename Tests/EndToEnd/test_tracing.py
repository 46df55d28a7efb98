"""Where is it, and why? The trace, the look-ups behind it, explain and rehearse, asked of a real server."""

import json
import ssl
import subprocess

import pytest
from peers.knot import Knot
from peers.martlet import binary
from peers.messages import message, parse
from peers.processes import eventually
from peers.sink import Sink
from peers.wire import Wire

HERE = {"networks": ["127.0.0.0/8"]}


def sent(server, sender, recipients, subject="Hello", extra="", messageid=None):
    """Sends one message; its queue id."""
    raw = message(subject=subject, sender=sender, to=recipients[0], extra=extra)
    if messageid:
        raw = b"\r\n".join(f"Message-ID: <{messageid}>".encode() if line.startswith(b"Message-ID:") else line for line in raw.split(b"\r\n"))
    with Wire(server.address, server.port) as wire:
        wire.envelope(sender, *recipients)
        code, lines = wire.data(raw)
    assert code == 250, lines
    return lines[0].split()[-1]


def outcomes(trace):
    return {r["address"]: r["outcome"] for r in trace["recipients"]}


def kinds(trace):
    return [e["kind"] for e in trace["events"]]


def test_a_delivered_message_is_told_whole_and_found_by_each_of_its_names(martlet, certificate):
    server = martlet(certificate=certificate)
    queue_id = sent(server, "carol@example.net", ["alice@example.test"], messageid="one.two@example.net")
    told = server.json("trace", queue_id)
    assert set(told) >= {"id", "messageID", "sender", "recipients", "events"}
    assert (told["id"], told["messageID"], told["sender"]) == (queue_id, "one.two@example.net", "carol@example.net")
    [recipient] = told["recipients"]
    assert (recipient["outcome"], recipient["mailbox"], recipient["uid"]) == ("delivered", "INBOX", 1)
    assert all(set(e) >= {"time", "kind", "detail"} for e in told["events"])
    first = told["events"][0]["detail"]
    assert first["client"] == "127.0.0.1" and first["to"] == "alice@example.test" and first["verdict"] == "accept" and first["because"] == "account"
    assert first["at"] == f"127.0.0.1:{server.port}" and first["hops"] == "0" and "size" in first and "helo" in first
    for name in ("alice@example.test", "ALICE@Example.TEST", "carol@example.net", "one.two@example.net", "<one.two@example.net>"):
        assert [m["id"] for m in server.json("trace", name)] == [queue_id], name
        assert [m["id"] for m in server.json("trace", name, "--since", "1h")] == [queue_id]
    assert server.run("trace", "alice@example.test", "--since", "2099-01-01").returncode == 1
    assert server.run("trace", "alice@example.test", "--since", "yesterday").returncode == 64
    text = server.command("trace", queue_id)
    lines = text.splitlines()
    assert lines[0].startswith(queue_id) and "carol@example.net" in lines[0] and "in clear" in lines[0]
    assert lines[1] == "  alice@example.test: in INBOX as UID 1, delivered at once"


def test_tls_is_told_and_a_subaddress_is_found_by_its_account(martlet, certificate):
    server = martlet(certificate=certificate)
    with server.smtp() as client:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        client.starttls(context=context)
        client.sendmail("carol@example.net", ["alice+news@example.test"], message())
    [told] = server.json("trace", "alice@example.test")
    assert told["events"][0]["detail"]["tls"].startswith("TLSv1.3 ") and outcomes(told) == {"alice+news@example.test": "delivered"}


def test_refusals_are_found_by_address_whoever_refused(martlet):
    server = martlet(limits={"message_size": "20KB", "hops": 3}, trust=HERE)
    server.add_account("full@example.test", "--quota", "10")
    with server.smtp() as client:
        client.ehlo("c.example.net")
        assert client.docmd("MAIL", "FROM:<big@example.net> SIZE=999999")[0] == 552
        assert client.docmd("MAIL", "FROM:<typo@example.net>")[0] == 250
        assert client.docmd("RCPT", "TO:<nobody@example.test>")[0] == 550
        client.docmd("RSET")
        for sender, raw, code in (
            ("loop@example.net", message(extra="Received: a\r\n" * 5), 554), ("huge@example.net", message(body="x" * 70 + "\r\n" + "y" * 60 + "\r\n" * 20000), 552),
        ):
            assert client.docmd("MAIL", f"FROM:<{sender}>")[0] == 250
            assert client.docmd("RCPT", "TO:<alice@example.test>")[0] == 250
            assert client.data(raw)[0] == code, sender
        assert client.docmd("MAIL", "FROM:<quota@example.net>")[0] == 250
        assert client.docmd("RCPT", "TO:<full@example.test>")[0] == 250
        assert client.data(message())[0] == 552
    expected = {
        "big@example.net": ("MAIL", "552"), "nobody@example.test": ("RCPT", "550 5.1.1"), "typo@example.net": ("RCPT", "550 5.1.1"),
        "loop@example.net": ("DATA", "554 5.4.6"), "huge@example.net": ("DATA", "552 5.3.4"), "quota@example.net": ("DATA", "552 5.2.2"),
    }
    for name, (stage, reply) in expected.items():
        [told] = server.json("trace", name)
        detail = told["events"][0]["detail"]
        assert kinds(told) == ["refused"] and detail["stage"] == stage and detail["reply"].startswith(reply), (name, detail)
        assert detail["client"] == "127.0.0.1" and detail["verdict"] == "refuse" and told["sender"] == detail["from"]
    [told] = server.json("trace", "loop@example.net")
    assert outcomes(told) == {"alice@example.test": "refused"} and told["messageID"] and told["events"][0]["detail"]["hops"] == "5"
    assert "refused, never taken: 550 5.1.1" in server.command("trace", "nobody@example.test")


@pytest.fixture
def knot(folder, running):
    return running(Knot(folder / "knot", {
        "far.test": "@ MX 10 mx\nmx A 127.0.0.1\n", "nomail.test": "@ MX 0 .\n", "dark.test": "@ MX 10 mx\nmx A 10.1.2.3\n"}, signed=["far.test"]))


def test_a_relayed_message_tells_its_route_its_replies_and_its_bounce(martlet, knot):
    refused = []

    def answer(line, session):
        if line.startswith("RCPT") and "later" in line and len(refused) < 1:
            refused.append(line)
            return b"451 4.7.1 greylisted, come back\r\n"
        return b"550 5.1.1 nobody of that name\r\n" if line.startswith("RCPT") and "gone" in line else None

    with Sink(answer=answer) as sink:
        server = martlet(
            dns=knot, trust=HERE, delivery={"internal_addresses": True}, queue={"first_retry": "1s"},
            routes=[{"domain": "far.test", "next-hop": f"smtp://far.test:{sink.port}", "mx": True}])
        queue_id = sent(server, "alice@example.test", ["x@far.test", "later@far.test", "gone@far.test", "y@nomail.test"])
        eventually(lambda: server.queue() == [], f"an empty queue\n{server.log()[-3000:]}")
        told = server.json("trace", queue_id)
        assert outcomes(told) == {"x@far.test": "relayed", "later@far.test": "relayed", "gone@far.test": "bounced", "y@nomail.test": "bounced"}
        by_address = {r["address"]: r for r in told["recipients"]}
        assert by_address["later@far.test"]["attempts"] == 2 and by_address["x@far.test"]["reason"] == "250 2.0.0 taken"
        assert by_address["gone@far.test"]["reason"].endswith("550 5.1.1 nobody of that name (in reply to RCPT TO)") and "556 5.1.10" in by_address["y@nomail.test"]["reason"]
        relayed = next(e for e in told["events"] if e["kind"] == "relayed")["detail"]
        assert "MX 10 mx.far.test" in relayed["dns"] and "A mx.far.test 127.0.0.1" in relayed["dns"] and relayed["dnssec"] == "secure"
        assert relayed["host"] == "mx.far.test" and relayed["reply"] == "250 2.0.0 taken" and relayed["tls"] == "none"
        attempted = next(e for e in told["events"] if e["kind"] == "attempted" and e["recipient"] == "later@far.test")["detail"]
        assert attempted["reply"] == "451 4.7.1 greylisted, come back"
        # From the message to its notifications, and back.
        assert len(told["notifications"]) >= 1 and by_address["gone@far.test"]["notification"] in [n["id"] for n in told["notifications"]]
        for notification in told["notifications"]:
            back = server.json("trace", notification["id"])
            assert back["about"] == queue_id and back["sender"] == "" and outcomes(back) == {"alice@example.test": "delivered"}
            assert back["messageID"]
        inbox = [parse(m)["Message-ID"] for m in server.messages("alice@example.test")]
        assert sorted(inbox) == sorted("<" + server.json("trace", n["id"])["messageID"] + ">" for n in told["notifications"])
        assert "its sender was told in" in server.command("trace", queue_id)


def test_what_waits_says_how_long_and_why(martlet):
    with Sink(answer=lambda line, session: b"450 4.2.0 mailbox busy\r\n" if line.startswith("RCPT") else None) as sink:
        server = martlet(trust=HERE, routes=[{"domain": "*", "next-hop": sink.next_hop}])
        queue_id = sent(server, "alice@example.test", ["slow@far.test"])
        eventually(lambda: server.json("trace", queue_id)["recipients"][0]["attempts"] == 1, "the attempt")
        [recipient] = server.json("trace", queue_id)["recipients"]
        assert recipient["outcome"] == "deferred" and recipient["reason"] == "450 4.2.0 mailbox busy" and recipient["next"]
        assert "waits after one attempt, tried again in" in server.command("trace", "slow@far.test")
        server.command("queue", "hold", queue_id)
        assert outcomes(server.json("trace", queue_id)) == {"slow@far.test": "held"}
        server.command("queue", "remove", queue_id)
        assert outcomes(server.json("trace", queue_id)) == {"slow@far.test": "removed"}


def test_the_look_ups_survive_restarts_kills_and_damage(martlet):
    """HOSTILE 56."""
    server = martlet()
    ids = [sent(server, f"s{n}@example.net", ["alice@example.test"]) for n in range(5)]
    assert [m["id"] for m in server.json("trace", "alice@example.test")] == ids[::-1]
    server.restart()
    ids += [sent(server, "s5@example.net", ["alice@example.test"])]
    server.kill()
    server.start()
    ids += [sent(server, "s6@example.net", ["alice@example.test"])]
    assert [m["id"] for m in server.json("trace", "alice@example.test")] == ids[::-1]
    server.stop()
    # Without the server too.
    assert [m["id"] for m in server.json("trace", "s3@example.net")] == [ids[3]]
    for suffix in ("-wal", "-shm"):
        (server.data / f"trace.db{suffix}").unlink(missing_ok=True)
    (server.data / "trace.db").write_bytes(b"no database" * 1000)
    server.start()
    eventually(lambda: "look-ups of the trace are built anew" in server.log(), "a line in the log")
    assert [m["id"] for m in server.json("trace", "alice@example.test")] == ids[::-1]
    assert "built anew: 21 entries" in server.command("store", "rebuild")
    assert [m["id"] for m in server.json("trace", "s6@example.net")] == [ids[6]]
    server.stop()
    assert "built anew: 21 entries" in server.command("store", "rebuild")


def explained(server, *arguments):
    return json.loads(server.command("explain", *arguments, "--json"))


def test_explain_tells_what_the_server_then_does(martlet, knot, folder):
    with Sink() as sink:
        server = martlet(
            dns=knot, trust={"networks": ["192.0.2.0/24"]}, delivery={"internal_addresses": True}, limits={"hops": 3},
            routes=[{"domain": "routed.test", "next-hop": sink.next_hop}])
        server.command("alias", "add", "list@example.test", "alice@example.test,bob@example.test,x@far.test")
        for running in (True, False):
            if not running:
                server.stop()
            stranger = explained(server, "--from", "carol@example.net", "--to", "alice@example.test", "--to", "nobody@example.test", "--to", "x@far.test", "--ip", "203.0.113.9")
            assert stranger["verdict"] == "partly"
            alice, nobody, far = stranger["recipients"]
            assert alice["verdict"] == "accept" and alice["mailboxes"] == ["alice@example.test"] and alice["because"] == "account"
            assert nobody["verdict"] == "refuse" and nobody["reply"].startswith("550 5.1.1") and nobody["because"] == "unknown user"
            assert far["verdict"] == "refuse" and far["reply"].startswith("554 5.7.1") and far["because"] == "relaying denied"
            listed = explained(server, "--from", "carol@example.net", "--to", "list@example.test")
            [recipient] = listed["recipients"]
            assert recipient["mailboxes"] == ["alice@example.test", "bob@example.test"] and recipient["relays"] == ["x@far.test"]
            [route] = listed["routes"]
            assert route["decision"] == "send" and route["source"] == "mx" and route["dnssec"] == "secure"
            assert [h["name"] for h in route["hosts"]] == ["mx.far.test"] and "MX 10 mx.far.test" in route["dns"]
            friend = explained(server, "--from", "<>", "--to", "x@routed.test", "--to", "y@nomail.test", "--ip", "192.0.2.7", "--helo", "a.example")
            assert friend["verdict"] == "accept" and friend["sender"] == "" and any(c["name"] == "trust" and "192.0.2.0/24" in c["evidence"] for c in friend["checks"])
            routed, nomail = friend["routes"]
            assert routed["source"] == f"route {sink.next_hop}" and routed["hosts"][0]["addresses"] == [f"127.0.0.1:{sink.port}"]
            assert nomail["decision"] == "return" and "556 5.1.10" in nomail["reason"]
            file = folder / "message"
            file.write_bytes(message(extra="Received: a\r\n" * 5).replace(b"\r\n", b"\n"))
            looped = explained(server, "--from", "c@example.net", "--to", "alice@example.test", "--message", file)
            assert looped["verdict"] == "refuse" and looped["reply"].startswith("554 5.4.6") and any(c["result"] == "fail" and c["name"] == "hops" for c in looped["checks"])
            text = server.command("explain", "--from", "c@example.net", "--to", "x@far.test", "--ip", "192.0.2.7")
            assert text.splitlines()[0] == "x@far.test would be taken (trusted network); x@far.test would be sent to mx.far.test, by mx"
        # Nothing was delivered, nor recorded.
        server.start()
        assert server.count("alice@example.test") == 0 and server.queue() == [] and sink.taken == []
        assert server.run("trace", "carol@example.net").returncode == 1
        # The same as a real session is told.
        with server.smtp() as client:
            client.ehlo("c.example.net")
            client.docmd("MAIL", "FROM:<carol@example.net>")
            code, reply = client.docmd("RCPT", "TO:<x@far.test>")
        assert f"{code} {reply.decode()}" == far["reply"]


def test_explain_and_rehearse_try_another_configuration_while_the_server_runs(martlet, knot, folder):
    with Sink() as sink, Sink() as other:
        server = martlet(dns=knot, trust=HERE, delivery={"internal_addresses": True}, routes=[{"domain": "far.test", "next-hop": sink.next_hop}])
        relayed = sent(server, "alice@example.test", ["x@far.test"])
        local = sent(server, "x@far.test", ["alice@example.test"], extra="Received: a\r\n" * 5)
        with server.smtp() as client:
            client.ehlo("c.example.net")
            client.docmd("MAIL", "FROM:<a@example.net>")
            client.docmd("RCPT", "TO:<nobody@example.test>")
        sink.wait()
        eventually(lambda: server.queue() == [], "an empty queue")
        changed = folder / "changed.toml"
        text = server.file.read_text()

        def tried(*changes):
            new = text
            for old, now in changes:
                assert old in new, old
                new = new.replace(old, now)
            changed.write_text(new)
            done = subprocess.run([binary(), "rehearse", "--config", changed, "--json"], capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, done.stderr
            return json.loads(done.stdout)

        same = tried()
        assert same["differences"] == [] and same["summary"]["judged"] == 3, same
        rerouted = tried((sink.next_hop, other.next_hop))
        [difference] = rerouted["differences"]
        assert (difference["id"], difference["what"], difference["was"], difference["now"]) == (relayed, "route", f"route {sink.next_hop}", f"route {other.next_hop}")
        distrusted = tried(('"127.0.0.0/8"', '"198.51.100.0/24"'))
        [difference] = distrusted["differences"]
        assert difference["id"] == relayed and difference["what"] == "verdict" and "554 5.7.1" in difference["now"] and difference["because"] == "configuration"
        hops = tried(("[trust]", "[limits]\nhops = 2\n\n[trust]"))
        [difference] = hops["differences"]
        assert difference["id"] == local and "554 5.4.6" in difference["now"]
        # An account that came later is no matter of the configuration.
        server.add_account("nobody@example.test")
        [difference] = tried()["differences"]
        assert difference["because"] == "directory" and difference["recipient"] == "nobody@example.test" and difference["now"] == "taken (account)"
        done = subprocess.run([binary(), "rehearse", "--config", changed, "--since", "1h"], capture_output=True, text=True, timeout=60)
        assert "3 messages, 3 of them judged again: 1 other verdicts" in done.stdout and "seconds of mail" in done.stderr, done
        assert subprocess.run([binary(), "rehearse"], capture_output=True, timeout=60).returncode == 64
        # Explain does as that file says, and the running server is left as it is.
        changed.write_text(text.replace(sink.next_hop, other.next_hop))
        asked = [binary(), "explain", "--from", "a@example.test", "--to", "x@far.test", "--ip", "127.0.0.1", "--json", "--config", changed]
        assert json.loads(subprocess.run(asked, capture_output=True, text=True, timeout=60).stdout)["routes"][0]["source"] == f"route {other.next_hop}"
        changed.write_text(text + "\n[nonsense]\n")
        broken = subprocess.run(asked, capture_output=True, text=True, timeout=60)
        assert broken.returncode == 78 and "nonsense" in broken.stderr


def test_the_dns_answers_of_the_trace_decide_again_under_a_changed_configuration(martlet, knot, folder):
    with Sink() as sink:
        server = martlet(
            dns=knot, trust=HERE, delivery={"internal_addresses": True},
            routes=[{"domain": "far.test", "next-hop": f"smtp://far.test:{sink.port}", "mx": True}])
        queue_id = sent(server, "alice@example.test", ["y@nomail.test"])
        waiting = sent(server, "alice@example.test", ["z@dark.test"])
        eventually(lambda: all(kind in kinds(server.json("trace", i)) for i, kind in ((queue_id, "bounced"), (waiting, "deferred"))), "attempts", 60)
        changed = folder / "changed.toml"
        changed.write_text(server.file.read_text().replace("internal-addresses = true", "internal-addresses = false"))
        done = subprocess.run([binary(), "rehearse", "--config", changed, "--json"], capture_output=True, text=True, timeout=60)
        found = json.loads(done.stdout)["differences"]
        assert [(d["id"], d["what"]) for d in found] == [(waiting, "route")], found
        assert "10.1.2.3:25" in found[0]["was"] and "550 5.4.4" in found[0]["now"]
