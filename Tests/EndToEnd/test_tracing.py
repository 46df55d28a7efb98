"""Where is it, and why? The trace, the look-ups behind it, explain and rehearse, asked of a real server."""

import hashlib
import json
import os
import ssl
import stat
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


# Answers that must be those of the server.


def rehearsed(file, *options, usual=None):
    """What `rehearse` says of a file, in JSON; `usual` is the configuration where none is named."""
    environment = {**os.environ, "MARTLET_CONFIG": str(usual or "/nonexistent.toml")}
    done = subprocess.run([binary(), "rehearse", "--config", file, "--json", *options], capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def changed(server, folder, *changes, name="changed.toml"):
    """A copy of its configuration, changed."""
    text = server.file.read_text()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    file = folder / name
    file.write_text(text)
    return file


def told_at_rcpt(server, recipient, sender="carol@example.net"):
    with server.smtp() as client:
        client.ehlo("c.example.net")
        client.docmd("MAIL", f"FROM:<{sender}>")
        code, reply = client.docmd("RCPT", f"TO:<{recipient}>")
    return f"{code} {reply.decode()}"


def told_at_data(server, recipients, raw, sender="carol@example.net"):
    with server.smtp() as client:
        client.ehlo("c.example.net")
        client.docmd("MAIL", f"FROM:<{sender}>")
        for recipient in recipients:
            assert client.docmd("RCPT", f"TO:<{recipient}>")[0] == 250, recipient
        code, reply = client.data(raw)
    return f"{code} {reply.decode()}"


def test_explain_refuses_what_does_not_fit_in_the_words_of_the_server(martlet, folder):
    server = martlet()
    server.add_account("full@example.test", "--quota", "1000")
    server.command("alias", "add", "both@example.test", "full@example.test,bob@example.test")
    server.command("alias", "add", "only@example.test", "full@example.test")
    long = message(body="x" * 70 + "\r\n" + ("y" * 70 + "\r\n") * 40)
    file = folder / "long.eml"
    file.write_bytes(long)

    def asked(*recipients):
        words = [word for r in recipients for word in ("--to", r)]
        return explained(server, "--from", "carol@example.net", *words, "--message", file)

    for recipients in (["full@example.test"], ["only@example.test"], ["full@example.test", "bob@example.test"]):
        answer = asked(*recipients)
        assert answer["verdict"] == "refuse" and answer["reply"] == told_at_data(server, recipients, long), answer
        assert any(c["name"] == "quota" and c["result"] == "fail" for c in answer["checks"])
        first = server.command("explain", "--from", "carol@example.net", "--to", recipients[0], "--message", file).splitlines()[0]
        assert first.startswith(f"{recipients[0]} would be taken") and "but the message refused: 552 5.2.2" in first
    # A full member of a list waits, the others have it.
    listed = asked("both@example.test")
    assert listed["verdict"] == "accept" and listed["recipients"][0]["mailboxes"] == ["bob@example.test"] and listed["recipients"][0]["waiting"] == ["full@example.test"]
    assert told_at_data(server, ["both@example.test"], long).startswith("250")
    # What fits to the octet fits, what is one more does not.
    received = server.messages("bob@example.test")[-1]
    overhead = len(received) - len(long) + (len("full@example.test") - len("both@example.test")) * 2
    assert overhead > 0
    short = message(body="a\r\n")
    small = folder / "small.eml"
    small.write_bytes(short)
    assert explained(server, "--from", "carol@example.net", "--to", "full@example.test", "--message", small)["verdict"] == "accept"
    assert told_at_data(server, ["full@example.test"], short).startswith("250")


def test_explain_reads_the_hello_as_the_server_does_and_names_the_account(martlet):
    server = martlet()
    for name in ("bad name!", "", "a" * 300, "a\nb", "zoë"):
        answer = explained(server, "--from", "carol@example.net", "--to", "alice@example.test", "--helo", name)
        assert answer["verdict"] == "refuse" and answer["recipients"] == [] and any(c["name"] == "helo" and c["result"] == "fail" for c in answer["checks"]), name
        with Wire(server.address, server.port) as wire:
            code, lines = wire.say(b"EHLO " + name.encode())
            assert answer["reply"] == f"{code} {lines[0]}", name
    assert "would be refused: 501 5.5.4" in server.command("explain", "--from", "c@example.net", "--to", "alice@example.test", "--helo", "a b").splitlines()[0]
    [recipient] = explained(server, "--from", "c@example.net", "--to", "alice+11@example.test", "--helo", "ok.example")["recipients"]
    assert recipient["mailboxes"] == ["alice@example.test"]


def test_explain_looks_at_all_of_a_long_message_in_little_memory(martlet, folder):
    server = martlet(limits={"hops": 20})
    file = folder / "long.eml"
    header = message(extra="X-Long: " + "x" * 900 + "\r\n").replace(b"\r\n\r\nHow", b"\r\n" + (b"X-Filler: " + b"y" * 900 + b"\r\n") * 600 + b"Received: a\r\n" * 40 + b"\r\nHow")
    assert header.index(b"Received:") > 512 << 10
    nul = message(body="x\r\n" * 1_000_000 + "here \0 it is\r\n")
    for raw, code in ((header, "554 5.4.6"), (nul, "550 5.6.11")):
        file.write_bytes(raw)
        for running in (True, False):
            if not running:
                server.stop()
            answer = explained(server, "--from", "c@example.net", "--to", "alice@example.test", "--message", file)
            assert answer["verdict"] == "refuse" and answer["reply"].startswith(code), answer["reply"]
        server.start()
        assert told_at_data(server, ["alice@example.test"], raw).startswith(code)
    with open(file, "wb") as sparse:
        sparse.truncate(400_000_000)
    code = "import resource, subprocess, sys; print(subprocess.run(sys.argv[1:], capture_output=True, text=True).stdout); print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    done = subprocess.run(
        ["/usr/bin/python3", "-c", code, binary(), "explain", "--from", "c@example.net", "--to", "alice@example.test", "--message", str(file), "--config", str(server.file)],
        capture_output=True, text=True, timeout=120)
    *words, memory = done.stdout.split("\n")[:-1]
    assert "552 5.3.4" in "".join(words) and int(memory) < 150_000, done.stdout
    for missing in (folder / "nothing", folder):
        assert server.run("explain", "--from", "c@example.net", "--to", "alice@example.test", "--message", missing).returncode == 66


def test_soft_bounces_are_told_by_trace_explain_and_rehearse(martlet, folder):
    with Sink(answer=lambda line, session: b"550 5.1.1 nobody of that name\r\n" if line.startswith("RCPT") else None) as sink:
        server = martlet(trust=HERE, queue={"soft_bounce": True}, routes=[{"domain": "*", "next-hop": sink.next_hop}])
        answer = explained(server, "--from", "c@example.net", "--to", "nobody@example.test")
        assert answer["softBounce"] and answer["recipients"][0]["reply"] == told_at_rcpt(server, "nobody@example.test") and answer["recipients"][0]["reply"].startswith("450 4.1.1")
        queue_id = sent(server, "alice@example.test", ["gone@far.test"])
        eventually(lambda: server.json("trace", queue_id)["recipients"][0]["outcome"] == "kept", "the failure that is kept")
        sentence = server.command("trace", queue_id).splitlines()[1]
        assert "kept instead of returned (soft-bounce)" in sentence and "550 5.1.1 nobody of that name" in sentence
        # The same again is no difference, and nothing was refused for the moment.
        same = rehearsed(server.file)
        assert same["differences"] == [] and same["summary"]["gaps"] == [] and same["summary"]["judged"] == 2, same
        hard = rehearsed(changed(server, folder, ("soft-bounce = true", "soft-bounce = false")))
        [difference] = hard["differences"]
        assert "450 4.1.1" in difference["was"] and "550 5.1.1" in difference["now"] and difference["because"] == "configuration"
        done = server.run("queue", "soft-bounce", "on")
        assert done.returncode == 64 and "soft-bounce = true" in done.stderr and str(server.file) in done.stderr


def test_a_full_mailbox_is_no_difference_of_the_configuration(martlet):
    server = martlet()
    server.add_account("full@example.test", "--quota", "10")
    assert told_at_data(server, ["full@example.test"], message()).startswith("552 5.2.2")
    found = rehearsed(server.file)
    assert found["differences"] == [], found
    [gap] = found["summary"]["gaps"]
    assert gap["messages"] == 1 and "for the moment" in gap["reason"] and "over its quota" in gap["reason"]


def test_what_was_rerouted_by_hand_is_no_difference_of_the_configuration(martlet):
    with Sink(answer=lambda line, session: b"450 4.2.0 busy\r\n" if line.startswith("RCPT") else None) as first, Sink() as second:
        server = martlet(trust=HERE, routes=[{"domain": "far.test", "next-hop": first.next_hop}, {"domain": "other.test", "next-hop": second.next_hop}])
        queue_id = sent(server, "alice@example.test", ["x@far.test"])
        eventually(lambda: server.json("trace", queue_id)["recipients"][0]["attempts"] == 1, "the attempt")
        server.command("queue", "reroute", "--all", "--to", second.next_hop)
        second.wait()
        eventually(lambda: server.queue() == [], "an empty queue")
        relayed = next(e for e in server.json("trace", queue_id)["events"] if e["kind"] == "relayed")
        assert relayed["detail"]["route"] == f"rerouted {second.next_hop}"
        # By its route the same host stays a route.
        routed = sent(server, "alice@example.test", ["y@other.test"])
        eventually(lambda: server.queue() == [], "an empty queue")
        assert next(e for e in server.json("trace", routed)["events"] if e["kind"] == "relayed")["detail"]["route"] == f"route {second.next_hop}"
        found = rehearsed(server.file)
        assert found["differences"] == [] and [g["reason"] for g in found["summary"]["gaps"]] == ["it was rerouted by hand"], found


def test_rehearse_of_a_stopped_server_does_not_blame_accounts_for_the_configuration(martlet, folder, knot):
    with Sink() as sink:
        server = martlet(dns=knot, trust=HERE, delivery={"internal_addresses": True}, routes=[{"domain": "other.test", "next-hop": sink.next_hop}])
        relayed = sent(server, "alice@example.test", ["x@other.test"])
        waiting = sent(server, "alice@example.test", ["z@dark.test"])
        eventually(lambda: "relayed" in kinds(server.json("trace", relayed)) and "deferred" in kinds(server.json("trace", waiting)), "attempts", 60)
        server.stop()
        distrusted = changed(server, folder, ('"127.0.0.0/8"', '"198.51.100.0/24"'))
        found = rehearsed(distrusted, usual=server.file)["differences"]
        assert len(found) == 2 and all(d["because"] == "configuration" and "554 5.7.1" in d["now"] for d in found), found
        # Without a word of what the server ran by, nothing is claimed.
        found = rehearsed(distrusted)["differences"]
        assert len(found) == 2 and all(d["because"] == "unknown" for d in found), found
        text = subprocess.run([binary(), "rehearse", "--config", distrusted], capture_output=True, text=True, timeout=60, env={**os.environ, "MARTLET_CONFIG": "/nonexistent.toml"}).stdout
        assert text.count("by the configuration, or by accounts and aliases") == 2
        public = changed(server, folder, ("internal-addresses = true", "internal-addresses = false"), name="public.toml")
        assert [d["id"] for d in rehearsed(public, usual=server.file)["differences"]] == [waiting]
        blind = rehearsed(public)
        assert blind["differences"] == [] and any("configuration that is not known" in g["reason"] for g in blind["summary"]["gaps"]), blind
        # Through a pipe, which can be read only once.
        piped = subprocess.run(
            ["/bin/bash", "-c", f"'{binary()}' rehearse --json --config <(cat '{distrusted}')"], capture_output=True, text=True, timeout=60,
            env={**os.environ, "MARTLET_CONFIG": str(server.file)})
        assert piped.returncode == 0, piped.stderr
        assert len(json.loads(piped.stdout)["differences"]) == 2


def tree(folder):
    """Every file below with its bytes and when it was changed; sockets by name only. SQLite notes in store.db-shm who reads."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.name == "store.db-shm":
            continue
        status = path.lstat()
        data = hashlib.sha256(path.read_bytes()).hexdigest() if stat.S_ISREG(status.st_mode) else ""
        found[str(path)] = (data, status.st_mtime_ns if stat.S_ISREG(status.st_mode) else 0, status.st_uid, status.st_mode)
    return found


def test_what_only_asks_leaves_the_disk_as_it_is(martlet, folder):
    server = martlet(trust=HERE)
    sent(server, "carol@example.net", ["alice@example.test"])
    sent(server, "alice@example.test", ["x@nowhere.invalid"])
    ask = ["explain", "--from", "carol@example.net", "--to", "alice@example.test"]
    for end in (server.stop, server.kill):
        end()
        before = tree(server.data)
        assert server.run(*ask).returncode == 0 and server.run("rehearse").returncode == 0
        assert tree(server.data) == before
        server.start()
    server.stop()
    # Where no store is none is made, whatever is asked.
    nowhere = folder / "nowhere"
    file = changed(server, folder, (str(server.data), str(nowhere)))
    for words in (ask, ["rehearse"], ["trace", "alice@example.test"], ["queue", "list"], ["queue", "flush"], ["mailbox", "list", "alice@example.test"], ["status"]):
        done = subprocess.run([binary(), *words, "--config", file], capture_output=True, text=True, timeout=60)
        assert done.returncode == 78 and f"{nowhere}: there is no store there" in done.stderr, (words, done)
        assert not nowhere.exists(), words


def test_names_without_a_domain_and_dates_that_are_none(martlet):
    server = martlet()
    queue_id = sent(server, "carol@example.net", ["postmaster"], messageid="abc123")
    for name in ("postmaster", "Postmaster", f"postmaster@{server.hostname}", "abc123", "<abc123>", "<ABC123>"):
        assert [m["id"] for m in server.json("trace", name)] == [queue_id], name
    assert server.run("trace", "<nothing>").returncode == 1 and server.run("trace", "nothing").returncode == 64
    for date in ("2026-02-31", "2026-04-31", "2025-02-29"):
        assert server.run("trace", "alice@example.test", "--since", date).returncode == 64, date
    assert server.run("trace", "alice@example.test", "--since", "2024-02-29").returncode in (0, 1)
    odd = server.run("trace", "a\x1b[2Jb@example.test\nx")
    assert odd.returncode == 1 and "\x1b" not in odd.stderr and "\\x1b[2Jb" in odd.stderr
    for message_of in ("big@example.net",):
        with server.smtp() as client:
            client.ehlo("c.example.net")
            assert client.docmd("MAIL", f"FROM:<{message_of}> SIZE=999999999")[0] == 552
        [told] = server.json("trace", message_of)
        assert told["messageID"] is None and told["events"][0]["detail"]["with"] == "ESMTP"
        assert "sender refused" in server.log() and f"from={message_of}" in server.log()


def test_all_messages_of_a_busy_address_can_be_paged_through(martlet):
    server = martlet(limits={"messages_per_client_per_minute": 0})
    with server.smtp() as client:
        for number in range(150):
            client.sendmail("carol@example.net", ["alice@example.test"], message(subject=f"n{number}"))
    everything = [m["id"] for m in server.json("trace", "alice@example.test", "--limit", "1000")]
    assert len(everything) == 150 and everything == sorted(everything, reverse=True)
    first = server.run("trace", "alice@example.test", "--json")
    assert [m["id"] for m in json.loads(first.stdout)] == everything[:100] and f"--until {everything[99]}" in first.stderr
    paged, until = [], []
    while True:
        page = [m["id"] for m in json.loads(server.run("trace", "alice@example.test", "--json", "--limit", "40", *until).stdout or "[]")]
        paged += page
        if len(page) < 40:
            break
        until = ["--until", page[-1]]
    assert paged == everything
    assert server.run("trace", "alice@example.test", "--until", "2020-01-01").returncode == 1
    assert len(server.json("trace", "alice@example.test", "--until", "2099-01-01", "--limit", "7")) == 7
    assert server.run("trace", "alice@example.test", "--limit", "0").returncode == 64 and server.run("trace", "alice@example.test", "--until", "then").returncode == 64


def test_of_a_message_for_many_an_address_shows_what_concerns_it(martlet):
    with Sink() as sink:
        server = martlet(trust=HERE, routes=[{"domain": "*", "next-hop": sink.next_hop}])
        queue_id = sent(server, "alice@example.test", [f"r{n}@far.test" for n in range(50)])
        eventually(lambda: server.queue() == [], "an empty queue")
        lines = server.command("trace", "r37@far.test").splitlines()
        assert lines[1].startswith("  r37@far.test: taken over by another host") and lines[2] == f"  and 49 other recipients: martlet trace {queue_id}"
        assert sum("<r37@far.test>" in line for line in lines) >= 2 and not any("<r36@far.test>" in line for line in lines)
        assert len(server.json("trace", "r37@far.test")[0]["recipients"]) == 50
        for whole in (queue_id, "alice@example.test"):
            assert all(f"  r{n}@far.test: " in server.command("trace", whole) for n in range(50))


def test_a_message_that_broke_off_is_told_with_how_far_it_came(martlet):
    server = martlet(limits={"minimum_rate": 500, "minimum_rate_grace": "1s"})
    with Wire(server.address, server.port) as wire:
        wire.ehlo()
        wire.expect("MAIL FROM:<quit@x.test>", 250)
        wire.expect("RCPT TO:<@>", 501)
        wire.expect("RCPT TO:<alice@example.test>", 250)
        wire.expect("DATA", 354)
        wire.send(b"Subject: half\r\n\r\n")
        assert wire.reply()[0] == 421
    with Wire(server.address, server.port) as wire:
        wire.ehlo()
        wire.expect("MAIL FROM:<lost@x.test>", 250)
        wire.expect("RCPT TO:<alice@example.test>", 250)
        wire.expect("DATA", 354)
        wire.send(b"Subject: half\r\n\r\n")
    eventually(lambda: server.log().count("message cut off") == 2, "two lines in the log")
    slow, bad = server.json("trace", "quit@x.test")
    assert outcomes(slow) == {"alice@example.test": "refused"} and slow["events"][0]["detail"]["verdict"] == "cut off"
    assert "limits.minimum-rate" in slow["events"][0]["detail"]["reason"] and slow["events"][0]["detail"]["size"] == "17"
    assert bad["events"][0]["detail"]["said"] == "RCPT TO:<@>" and "recipient refused" in server.log()
    text = server.command("trace", "lost@x.test")
    assert "alice@example.test: never came whole, nothing was taken: the connection was lost: 17 octets had come in 0 s" in text
    assert rehearsed(server.file)["differences"] == []


def test_check_names_bounds_that_a_route_sets_aside(martlet):
    server = martlet(
        routes=[{"domain": "ok.test", "next-hop": "smtp://127.0.0.1:7101"}, {"domain": ".below.test", "next-hop": "smtp://127.0.0.1:7102"}],
        destination=[{"domains": ["ok.test", "free.test", ".below.test", "x.below.test"], "messages-per-minute": 2}])
    done = server.run("check")
    assert done.returncode == 0
    warnings = [line for line in done.stderr.splitlines() if "never bounds" in line]
    assert [w.split("never bounds ")[1].split(":")[0] for w in warnings] == ["ok.test", ".below.test", "x.below.test"], done.stderr
    assert "smtp://127.0.0.1:7101" in warnings[0]
