"""The contract: commands, configuration, reload, shutdown, one owner of the store."""

import concurrent.futures
import contextlib
import json
import os
import pwd
import resource
import shutil
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest
from peers.martlet import Martlet, binary
from peers.knot import Knot
from peers.messages import Notification, message
from peers.processes import Program, accepts, eventually, free_port
from peers.sink import Sink
from peers.wire import Wire


def test_the_reader_of_its_messages_may_go_away(martlet):
    """HOSTILE 65: the journal is restarted, and then the serving process crashes: it is started again, and mail goes on."""
    server = martlet(start=False)
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [binary(), "serve", "--config", str(server.file)], stdout=writer, stderr=writer, env={**os.environ, "SWIFT_BACKTRACE": "enable=no"})
    os.close(writer)
    try:
        eventually(accepts(server.address, server.port), "a server")
        os.close(reader)
        server.send("carol@example.net", ["alice@example.test"], message())
        [child] = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(child), signal.SIGKILL)
        eventually(lambda: not Path(f"/proc/{child}").exists(), "the end of the serving process")
        eventually(accepts(server.address, server.port), "a server again")
        server.send("carol@example.net", ["alice@example.test"], message())
        assert server.count("alice@example.test") == 2 and process.poll() is None
    finally:
        process.terminate()
        assert process.wait(20) == 0


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_command_whose_stream_is_closed_ends_by_itself(martlet, closed):
    server = martlet(populate=False, start=False)
    for words in (["mailbox", "list", "nobody@example.test"], ["check"], ["queue", "list"], ["serve", "--config", "/nonexistent"]):
        words = words if "--config" in words else words + ["--config", str(server.file)]
        redirection = {"stdout": ">&-", "stderr": "2>&-"}[closed]
        done = subprocess.run(["sh", "-c", f'exec "$0" "$@" {redirection}', str(binary()), *words], capture_output=True, env={**os.environ, "SWIFT_BACKTRACE": "enable=no"})
        assert 0 <= done.returncode < 128, (words, done)


def test_the_configuration_of_the_documentation_is_understood(martlet, certificate):
    server = martlet(
        certificate=certificate, start=False, populate=False, lmtp=True, lmtp_unix=True, ipv6=True,
        routes=[{"domain": "example.net", "next-hop": "smtp://127.0.0.1:2600"}, {"domain": ".example.org", "next-hop": "lmtp+unix:///run/lmtp"}, {"domain": "*", "next-hop": "smtps://[::1]:465"}],
        trust={"networks": [], "proxy": ["10.0.0.0/8", "::1"], "xclient": []},
        queue={"first_retry": "5m", "maximum_retry": "4h", "lifetime": "5d", "delay_notice": "4h"},
        limits={"message_size": "50MB", "connections_per_client": 20, "messages_per_client_per_minute": 600})
    server.command("check")
    told = json.loads(server.command("check", "--json"))
    assert told["right"] and not told["problems"] and told["listeners"] >= 1 and told["file"].endswith("martlet.toml"), told


@pytest.mark.parametrize(
    "line, expected",
    [("colour = \"red\"", "colour"), ("hostname = 5", "hostname"), ("[limits]\nmessage-size = \"a lot\"", "message-size"), ("[queue]\nfirst-retry = \"5 parsecs\"", "first-retry"), ("[[listener]]\nprotocol = \"gopher\"\naddress = \"127.0.0.1:70\"", "gopher"), ("[limits\n", "")])
def test_a_wrong_configuration_is_refused_with_file_and_line(martlet, line, expected):
    server = martlet(start=False, populate=False)
    server.file.write_text((server.file.read_text() if "hostname" not in line else f'data = "{server.data}"\n') + "\n" * 3 + line + "\n")
    for command in ("check", "serve"):
        done = server.run(command)
        said = done.stdout + done.stderr
        assert done.returncode not in (0, -5, -4), said
        number = next(i for i, text in enumerate(server.file.read_text().splitlines(), 1) if expected in text and (expected or text.startswith("[limits")))
        assert f"martlet.toml:{number}" in said and expected in said, said
    report = server.run("check", "--json")
    told = json.loads(report.stdout)
    assert report.returncode == done.returncode and told["right"] is False and any(f"martlet.toml:{number}" in p for p in told["problems"]), told


def test_the_configuration_may_be_named_by_the_environment(martlet):
    server = martlet()
    done = subprocess.run([binary(), "account", "list", "--json"], env={**os.environ, "MARTLET_CONFIG": str(server.file)}, capture_output=True, text=True)
    assert done.returncode == 0 and {a["address"] for a in json.loads(done.stdout)} == {"alice@example.test", "bob@example.test"}, done.stderr


def test_a_missing_configuration_is_told(folder):
    done = subprocess.run([binary(), "status", "--config", str(folder / "none.toml")], capture_output=True, text=True)
    assert done.returncode != 0 and "none.toml" in done.stderr + done.stdout


def test_commands_work_with_and_without_the_server(martlet):
    server = martlet(start=False)
    server.start()
    server.add_account("carol@example.test")
    server.stop()
    server.add_account("dora@example.test")
    assert {a["address"] for a in server.json("account", "list")} == {f"{n}@example.test" for n in ("alice", "bob", "carol", "dora")}
    server.start()
    for name in ("carol", "dora"):
        server.send("x@example.net", [f"{name}@example.test"], message())
        assert server.count(f"{name}@example.test") == 1


def test_what_is_changed_while_it_runs_counts_at_once(martlet):
    server = martlet()
    with Wire(server.address, server.port) as wire:
        wire.ehlo()
        wire.expect("MAIL FROM:<x@example.net>", 250)
        wire.expect("RCPT TO:<erin@example.test>", 550)
        server.add_account("erin@example.test")
        wire.expect("RCPT TO:<erin@example.test>", 250)


@pytest.mark.parametrize(
    "arguments",
    [("account", "add", "nobody@nowhere.test", "--password-stdin"), ("account", "add", "not an address", "--password-stdin"), ("domain", "add", "exa mple"), ("mailbox", "list", "nobody@example.test"), ("queue", "show", "nothing"), ("alias", "add", "a@b"), ("export", "maildir", "nobody@example.test", "/nonexistent/x"), ("domain", "remove", "example.test")])
def test_what_cannot_be_done_exits_with_a_message(martlet, arguments):
    server = martlet()
    done = server.run(*arguments, input="secret\n")
    assert done.returncode > 0 and done.stderr.strip(), (done.returncode, done.stdout, done.stderr)
    assert "Fatal error" not in done.stderr and "Optional(" not in done.stderr


def test_status_tells_how_it_is(martlet):
    server = martlet()
    status = server.json("status")
    assert isinstance(status, dict) and status
    assert server.command("status").strip()
    server.stop()
    done = server.run("status")
    assert "not running" in (done.stdout + done.stderr).lower() or done.returncode != 0


def test_sighup_reads_the_configuration_again(martlet):
    server = martlet()
    with Wire(server.address, server.port) as old:
        assert "SIZE 50000000" in old.ehlo()
        server.settings["limits"] = {"message_size": 123_456}
        server.configure()
        server.reload()

        def announced():
            with Wire(server.address, server.port) as wire:
                return "SIZE 123456" in wire.ehlo()

        eventually(announced, f"the new limit\n{server.log()[-2000:]}")
        old.expect("NOOP", 250)


def test_sighup_applies_what_it_can_and_names_the_rest(martlet, certificate, folder, running):
    class Gone:
        server, anchor = f"127.0.0.1:{free_port()}", None

    knot = running(Knot(folder / "knot", {"example.net": "@ MX 10 mx\nmx A 127.0.0.1\n"}))
    with Sink() as sink:
        server = martlet(dns=Gone, routes=[{"domain": "example.net", "next-hop": f"smtp://example.net:{sink.port}", "mx": True}], log={"level": "warning"}, trust={"networks": ["127.0.0.0/8"]})
        server.send("alice@example.test", ["x@example.net"], message())
        eventually(lambda: any(r["attempts"] for m in server.queue() for r in m["recipients"]), "a deferred attempt", 60)
        assert "level=info" not in server.log()
        server.dns, server.certificate, server.hostname = knot, certificate, "renamed.example.test"
        server.settings["log"] = {"level": "info", "format": "json"}
        server.settings["store"] = {"trace_size": "2GiB"}
        server.configure()
        server.reload()
        eventually(lambda: "takes effect at the next start: " in server.log(), f"the keys that need a start\n{server.log()[-2000:]}")
        [said] = [line for line in server.log().splitlines() if "next start" in line]
        assert "store.trace-size" in said and "log.format" in said and "dns" not in said and "log.level" not in said
        with Wire(server.address, server.port) as wire:
            assert "STARTTLS" in wire.ehlo()
            wire.starttls()
        server.command("queue", "flush")
        sink.wait()
        eventually(lambda: "level=info" in server.log(), "decisions in the log")
        server.routes = [{"domain": "*", "next-hop": f"smtp://127.0.0.1:{free_port()}"}]
        server.settings["queue"] = {"lifetime": "1s", "first_retry": "1s", "maximum_retry": "1s", "delay_notice": "0s"}
        server.configure()
        server.reload()
        # The first was said at a level that was not logged yet.
        eventually(lambda: "configuration reloaded" in server.log(), "another reload")
        server.send("alice@example.test", ["x@example.net"], message())
        eventually(lambda: server.count("alice@example.test") == 1, f"a bounce\n{server.log()[-2000:]}")
        assert Notification(server.messages("alice@example.test")[0]).fields["Reporting-MTA"].endswith("renamed.example.test")


@pytest.mark.parametrize("broken", ["nonsense = 1", "[!]", "[[é]]"])
def test_sighup_with_a_broken_file_keeps_the_old_state_and_says_so(martlet, broken):
    """HOSTILE 64."""
    server = martlet()
    server.file.write_text(server.file.read_text() + f"\n{broken}\n")
    number = len(server.file.read_text().splitlines())
    server.reload()
    eventually(lambda: f"martlet.toml:{number}" in server.log(), f"a complaint with file and line\n{server.log()[-2000:]}")
    with Wire(server.address, server.port) as wire:
        assert "SIZE 50000000" in wire.ehlo()
        wire.expect("MAIL FROM:<carol@example.net>", 250)


@pytest.mark.parametrize("wrong", ["another's key", "no key", "expired"])
def test_sighup_with_a_certificate_that_does_not_fit_keeps_the_old_one(martlet, certificate, authority, wrong):
    """HOSTILE 64."""
    server = martlet(certificate=certificate)
    complaint = "key.pem"
    if wrong == "expired":
        server.certificate, complaint = authority.issue("expired.example.test", days=-1), "has expired"
        server.configure()
    elif wrong == "no key":
        (server.folder / "key.pem").unlink()
    else:
        _, other_key = authority.issue("other.example.test")
        shutil.copy(other_key, server.folder / "key.pem")
        server._own(server.folder / "key.pem")
    before = len(server.log())
    server.reload()
    eventually(lambda: complaint in server.log()[before:].lower(), f"a complaint\n{server.log()[-2000:]}")
    assert "the old one stays" in server.log()[before:]
    with Wire(server.address, server.port) as wire:
        wire.ehlo()
        wire.starttls()
        wire.ehlo()


def test_sighup_takes_a_new_certificate(martlet, certificate, authority):
    server = martlet(certificate=certificate)
    server.certificate = authority.issue("renewed.example.test")
    server.configure()
    server.reload()

    def renewed():
        with Wire(server.address, server.port) as wire:
            wire.ehlo()
            wire.starttls()
            return b"renewed.example.test" in wire.socket.getpeercert(binary_form=True)

    eventually(renewed, f"the new certificate\n{server.log()[-2000:]}")


@pytest.fixture
def descriptors():
    """Enough of them for thousands of connections, here and in what is started from here."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 10_000), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_sigterm_ends_open_sessions_politely_and_in_time(martlet, descriptors):
    """HOSTILE 66: 1,000 sessions in the middle of DATA are told 421, messages that just ended are answered by what became of them."""
    server = martlet(limits={"connections_per_client": 0, "messages_per_client_per_minute": 0})
    wires = [Wire(server.address, server.port) for _ in range(1_000)]
    finishing = [Wire(server.address, server.port) for _ in range(50)]
    for wire in wires + finishing:
        wire.envelope("carol@example.net", "alice@example.test")
        wire.expect("DATA", 354)
        wire.send(b"Subject: cut off\r\n\r\nhalf of it\r\n")
    for wire in finishing:
        wire.send(b"and the other half\r\n.\r\n")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        started = time.monotonic()
        ending = pool.submit(server.stop, 15)
        ends = [wire.closed() for wire in wires]
        assert ending.result() == 0, f"exit code\n{server.log()[-2000:]}"
        assert time.monotonic() - started < 12, "the contract says 10 s"
    assert all(end == b"" or end.startswith(b"421 ") for end in ends), set(ends)
    assert sum(end.startswith(b"421 ") for end in ends) >= 990, ends[:5]
    answers = [wire.closed() for wire in finishing]
    assert all(a.startswith((b"250 ", b"421 ")) or a == b"" for a in answers), set(answers)
    server.start()
    kept = server.messages("alice@example.test")
    assert all(m.endswith(b"half of it\r\nand the other half\r\n") for m in kept), "nothing half"
    assert sum(a.startswith(b"250 ") for a in answers) <= len(kept) <= len(finishing)


def test_an_idle_server_ends_at_once(martlet):
    server = martlet()
    started = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - started < 5


def test_a_second_server_on_the_store_is_refused_and_told_who_has_it(martlet, folder):
    """HOSTILE 61."""
    server = martlet()
    second = Martlet(folder / "second")
    second.data = server.data
    second.configure()
    program = Program([binary(), "serve", "--config", second.file], second.folder / "log")
    program.start()
    assert program.child.wait(timeout=20) not in (0, -5, -6)
    said = program.output()
    assert any(str(pid) in said for pid in server.processes()), f"it should say who holds the lock: {said}"
    assert "in use" in said
    # The first goes on as if nothing had been.
    server.send("carol@example.net", ["alice@example.test"], message())
    assert server.count("alice@example.test") == 1
    assert server.json("store", "verify")["problems"] == []


def test_an_older_program_leaves_a_newer_store_alone(martlet):
    """HOSTILE 61."""
    server = martlet()
    server.send("carol@example.net", ["alice@example.test"], message())
    server.stop()
    file = server.data / "store.db"
    with contextlib.closing(sqlite3.connect(file)) as database:
        (format,) = database.execute("PRAGMA user_version").fetchone()
        database.execute(f"PRAGMA user_version = {format + 1}")
    before = file.read_bytes()
    done = server.run("serve")
    assert done.returncode > 0
    assert f"format {format + 1}" in done.stderr + done.stdout and "newer Martlet" in done.stderr + done.stdout, done
    done = server.run("mailbox", "list", "alice@example.test")
    assert done.returncode > 0 and "newer Martlet" in done.stderr, done
    assert file.read_bytes() == before
    # With the program that it is of, it is what it was.
    with contextlib.closing(sqlite3.connect(file)) as database:
        database.execute(f"PRAGMA user_version = {format}")
    server.start()
    assert server.count("alice@example.test") == 1


def test_a_killed_server_leaves_no_lock_behind(martlet):
    server = martlet()
    server.kill()
    server.start()
    server.send("carol@example.net", ["alice@example.test"], message())
    assert server.count("alice@example.test") == 1


def test_a_port_in_use_stops_the_start(martlet, folder):
    server = martlet(populate=False)
    second = Martlet(folder / "second")
    second.port = server.port
    second.configure()
    done = second.run("serve")
    assert done.returncode > 0 and str(server.port) in done.stderr + done.stdout, (done.returncode, done.stdout, done.stderr)


def test_started_as_root_it_becomes_the_configured_user(martlet, as_root):
    server = martlet()
    nobody = pwd.getpwnam(server.user).pw_uid
    owners = {pid: Path(f"/proc/{pid}").stat().st_uid for pid in server.processes()}
    serving = [p for p in owners if any("socket:" in os.readlink(f) for f in Path(f"/proc/{p}/fd").iterdir())]
    assert serving and nobody in owners.values(), owners
    names = [p for p, owner in owners.items() if owner == nobody]
    status = Path(f"/proc/{names[-1]}/status").read_text()
    assert "CapEff:\t0000000000000000" in status


def test_the_data_folder_is_closed_to_others(martlet):
    server = martlet()
    server.send("carol@example.net", ["alice@example.test"], message())
    for path in server.data.rglob("*"):
        assert path.stat().st_mode & 0o007 == 0, f"{path} is open to others"


def test_the_log_says_a_line_a_decision_with_the_queue_id(martlet):
    with Sink() as sink:
        server = martlet(routes=[{"domain": "*", "next-hop": sink.next_hop}], trust={"networks": ["127.0.0.0/8"]})
        with Wire(server.address, server.port) as wire:
            wire.ehlo()
            wire.expect("MAIL FROM:<alice@example.test>", 250)
            wire.expect("RCPT TO:<x@example.net>", 250)
            wire.expect("RCPT TO:<nobody@example.test>", 550)
            code, lines = wire.data(message())
        sink.wait()
        words = [w.strip(".,;()") for w in lines[0].split()]
        identifiers = [w for w in words if len(w) >= 8 and w.isalnum()]
        assert identifiers, lines
        eventually(lambda: any(i in server.log() for i in identifiers), "the queue id in the log")
        eventually(lambda: sum(any(i in line for i in identifiers) for line in server.log().splitlines()) >= 2, f"acceptance and delivery\n{server.log()}")
        log = server.log().splitlines()
        accepted = next(line for line in log if "accepted" in line and any(i in line for i in identifiers))
        assert "to=x@example.net" in accepted and "from=alice@example.test" in accepted and "helo=client.example.net" in accepted, accepted
        refused = next(line for line in log if "recipient refused" in line)
        assert "to=nobody@example.test" in refused and "from=alice@example.test" in refused, refused


def test_version_and_help_are_at_hand():
    assert subprocess.run([binary(), "--version"], capture_output=True, text=True).stdout.strip()
    text = subprocess.run([binary(), "--help"], capture_output=True, text=True).stdout
    for command in ("serve", "check", "domain", "account", "alias", "queue", "mailbox", "export", "store", "status", "demo"):
        assert command in text


def test_the_server_is_back_after_its_worker_dies(martlet):
    server = martlet()
    server.send("carol@example.net", ["alice@example.test"], message())
    workers = [p for p in server.processes() if p != server.program.pid]
    if not workers:
        pytest.skip("one process only")
    os.kill(workers[-1], 9)
    eventually(accepts(server.address, server.port), "a server again")
    server.send("carol@example.net", ["alice@example.test"], message())
    assert server.count("alice@example.test") == 2


def test_the_demo_shows_and_ends(folder):
    base = free_port() // 1000 * 1000
    done = subprocess.run([binary(), "demo", "--data", str(folder / "demo"), "--base-port", str(min(base, 50_000)), "--once"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    for word in ("alice", "bob", "250"):
        assert word in done.stdout, done.stdout
