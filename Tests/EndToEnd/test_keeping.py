"""Keeping: mailboxes, aliases, quotas, exports, the store's own checks."""

import mailbox as maildirs
import shutil
import sqlite3
import subprocess

from peers.messages import Notification, message, parse
from peers.processes import eventually
from peers.sink import Sink
from peers.wire import Wire


def test_mailbox_list_says_what_is_there(martlet):
    server = martlet()
    sent = message()
    server.send("carol@example.net", ["alice@example.test"], sent)
    inbox = next(m for m in server.json("mailbox", "list", "alice@example.test") if m["name"] == "INBOX")
    assert (inbox["messages"], inbox["unseen"]) == (1, 1) and inbox["size"] >= len(sent)
    assert "INBOX" in server.command("mailbox", "list", "alice@example.test")


def test_mailbox_show_reads_one_message_or_lists_all(martlet):
    server = martlet()
    server.send("carol@example.net", ["alice@example.test"], message(subject="Read me"))
    assert "Read me" in server.command("mailbox", "show", "alice@example.test", "INBOX")
    assert "How are you?" in server.command("mailbox", "show", "alice@example.test", "INBOX", "1")
    assert server.run("mailbox", "show", "alice@example.test", "INBOX", "99").returncode != 0
    assert server.run("mailbox", "show", "alice@example.test", "Nowhere").returncode != 0


BODIES = [b"", b"no end of line", b".\r\n..\r\n", b"From here\r\nFrom there\r\n", "Gr\u00fc\u00dfe\r\n".encode(), b"x" * 900 + b"\r\n", b"line\r\n" * 20_000]


def send_exactly(server, body):
    sent = message(body="") + body
    with Wire(server.address, server.port) as wire:
        wire.ehlo()
        wire.expect("MAIL FROM:<carol@example.net> BODY=8BITMIME", 250)
        wire.expect("RCPT TO:<alice@example.test>", 250)
        wire.send(f"BDAT {len(sent)} LAST\r\n".encode() + sent)
        assert wire.reply()[0] == 250
    return sent


def test_an_exported_maildir_has_the_same_bytes(martlet):
    server = martlet()
    sent = [send_exactly(server, body) for body in BODIES]
    got = server.messages("alice@example.test")
    assert len(got) == len(sent)
    for body in sent:
        assert sum(g.endswith(body) for g in got) >= 1, body[-80:]
    folder = server.folder / "export"
    server.command("export", "maildir", "alice@example.test", folder)
    assert len(maildirs.Maildir(str(folder), create=False)) == len(sent)


def test_an_exported_mbox_can_be_read_back(martlet):
    server = martlet()
    sent = [send_exactly(server, body) for body in BODIES]
    file = server.folder / "alice.mbox"
    server.command("export", "mbox", "alice@example.test", file)
    box = maildirs.mbox(str(file), create=False)
    assert len(box) == len(sent)
    assert {parse(bytes(m))["subject"] for m in box} == {"Hello"}
    raw = file.read_bytes().replace(b"\r\n", b"\n")
    assert raw.startswith(b"From ") and b"\n>From here\n>From there\n" in raw


def test_export_works_without_the_server(martlet):
    server = martlet()
    sent = message()
    server.send("carol@example.net", ["alice@example.test"], sent)
    before = server.messages("alice@example.test")
    server.stop()
    assert server.messages("alice@example.test") == before
    assert server.count("alice@example.test") == 1
    server.start()
    server.send("carol@example.net", ["alice@example.test"], sent)
    assert server.count("alice@example.test") == 2


def test_an_account_over_quota_is_refused_at_smtp_time(martlet):
    server = martlet()
    server.add_account("small@example.test", "--quota", "20KB")
    with Wire(server.address, server.port) as wire:
        wire.envelope("carol@example.net", "small@example.test")
        assert wire.data(message(body="x" * 70 + "\r\n" + "y" * 70 + "\r\n"))[0] == 250
        wire.expect("MAIL FROM:<carol@example.net>", 250)
        code, lines = wire.say("RCPT TO:<small@example.test>")
        if code == 250:
            code, lines = wire.data(message(body=("z" * 70 + "\r\n") * 500))
        assert code in (452, 552, 550) and lines[0][1:].startswith(".2.2"), (code, lines)
    assert server.count("small@example.test") == 1


def test_all_or_nothing_if_one_of_two_is_full(martlet):
    server = martlet()
    server.add_account("small@example.test", "--quota", "5KB")
    with Wire(server.address, server.port) as wire:
        wire.ehlo()
        wire.expect("MAIL FROM:<carol@example.net>", 250)
        wire.expect("RCPT TO:<small@example.test>", 250)
        wire.expect("RCPT TO:<bob@example.test>", 250)
        code, lines = wire.data(message(body=("z" * 70 + "\r\n") * 500))
    counts = server.count("small@example.test"), server.count("bob@example.test")
    if code == 250:
        # What can't be delivered now is owed a notification or waits in the queue; it is not forgotten.
        assert counts == (0, 1) and server.queue(), (counts, lines)
    else:
        assert counts == (0, 0), (code, lines, counts)


def test_a_full_member_of_a_list_costs_the_others_nothing(martlet):
    server = martlet(lmtp=True)
    server.add_account("small@example.test", "--quota", "5KB")
    server.command("alias", "add", "list@example.test", "small@example.test,bob@example.test")
    large = message(body=("z" * 70 + "\r\n") * 500)
    with Wire(server.address, server.port) as wire:
        wire.envelope("carol@example.net", "list@example.test")
        assert wire.data(large)[0] == 250
    with Wire(server.address, server.lmtp_port) as wire:
        wire.expect("LHLO client.example.net", 250)
        wire.envelope("carol@example.net", "list@example.test", helo=False)
        assert wire.data(large)[0] == 250
    assert (server.count("small@example.test"), server.count("bob@example.test")) == (0, 2)

    def waiting():
        found = [r for m in server.queue() for r in m["recipients"]]
        return [(r["address"], r["attempts"] > 0, "mailbox is full" in r["lastReply"]) for r in found]

    eventually(lambda: waiting() == [("small@example.test", True, True)] * 2, f"two copies that wait for room\n{server.queue()}")
    server.command("account", "quota", "small@example.test", "0")
    server.command("queue", "flush")
    eventually(lambda: server.count("small@example.test") == 2 and server.queue() == [], "both, once there is room")


def test_a_member_of_a_list_that_is_nobody_is_told_to_the_sender(martlet):
    server = martlet(trust={"networks": ["127.0.0.0/8"]})
    server.command("alias", "add", "list@example.test", "ghost@example.test,bob@example.test")
    server.send("alice@example.test", ["list@example.test"], message())
    eventually(lambda: server.count("alice@example.test") == 1, "a notification")
    told = Notification(server.messages("alice@example.test")[0])
    assert [r["Final-Recipient"] for r in told.recipients] == ["rfc822;ghost@example.test"] or "ghost@example.test" in str(told.recipients)
    assert told.recipients[0]["Status"].startswith("5.1.1") and told.recipients[0]["Action"] == "failed", told.recipients
    assert server.count("bob@example.test") == 1
    # From the null path nobody can be told but the postmaster, who is alice here.
    server.send("", ["list@example.test"], message(subject="null"))
    eventually(lambda: server.count("alice@example.test") == 2, "the postmaster to hear of it")
    eventually(lambda: server.queue() == [], "nothing left to do")
    assert server.count("bob@example.test") == 2
    trace = server.command("trace", "list@example.test")
    assert "ghost@example.test" in trace and trace.count("expanded") >= 2, trace


def test_mail_is_kept_and_forwarded(martlet):
    with Sink() as sink:
        server = martlet(routes=[{"domain": "*", "next-hop": sink.next_hop}])
        server.command("alias", "add", "alice@example.test", "alice@example.test,away@example.net")
        server.send("dave@example.org", ["alice@example.test"], message())
        [taken] = sink.wait()
        assert "away@example.net" in taken.recipients[0]
        assert server.count("alice@example.test") == 1
        done = server.run("alias", "add", "bob@example.test", "away@example.net")
        assert done.returncode == 0 and "forwarded only" in done.stderr
        server.send("dave@example.org", ["bob@example.test"], message())
        sink.wait(2)
        assert server.count("bob@example.test") == 0


def test_a_domain_has_a_quota_too(martlet):
    server = martlet()
    server.add_domain("small.test", "--quota", "20KB")
    server.add_account("a@small.test")
    server.add_account("b@small.test")
    server.send("carol@example.net", ["a@small.test"], message(body=("z" * 70 + "\r\n") * 200))
    with Wire(server.address, server.port) as wire:
        wire.ehlo()
        wire.expect("MAIL FROM:<carol@example.net>", 250)
        code, lines = wire.say("RCPT TO:<b@small.test>")
        if code == 250:
            code, lines = wire.data(message(body=("z" * 70 + "\r\n") * 200))
        assert code in (452, 552, 550), (code, lines)


def test_an_alias_may_lead_outside_and_inside_at_once(martlet):
    with Sink() as sink:
        server = martlet(routes=[{"domain": "*", "next-hop": sink.next_hop}])
        server.command("alias", "add", "team@example.test", "alice@example.test,carol@example.net")
        server.send("dave@example.org", ["team@example.test"], message())
        [taken] = sink.wait()
        assert "carol@example.net" in taken.recipients[0] and "dave@example.org" in taken.sender
        assert server.count("alice@example.test") == 1


def test_alias_loops_are_refused(martlet):
    server = martlet()
    server.command("alias", "add", "a@example.test", "b@example.test")
    done = server.run("alias", "add", "b@example.test", "a@example.test")
    if done.returncode == 0:
        with Wire(server.address, server.port) as wire:
            wire.ehlo()
            wire.expect("MAIL FROM:<carol@example.net>", 250)
            assert wire.say("RCPT TO:<a@example.test>")[0] >= 500
    else:
        assert "loop" in (done.stdout + done.stderr).lower()


def test_directory_commands_speak_json(martlet):
    server = martlet()
    server.command("alias", "add", "sales@example.test", "alice@example.test,bob@example.test")
    assert any(d.get("name", d.get("domain")) == "example.test" for d in server.json("domain", "list"))
    assert {a["address"] for a in server.json("account", "list")} >= {"alice@example.test", "bob@example.test"}
    assert any(a["address"] == "sales@example.test" for a in server.json("alias", "list"))


def test_removed_accounts_get_no_mail(martlet):
    server = martlet()
    done = server.run("account", "remove", "bob@example.test")
    if done.returncode != 0:
        server.command("account", "remove", "bob@example.test", "--yes")
    with Wire(server.address, server.port) as wire:
        wire.ehlo()
        wire.expect("MAIL FROM:<carol@example.net>", 250)
        wire.expect("RCPT TO:<bob@example.test>", 550, "5.1.1")


def test_store_verify_finds_all_well_with_and_without_the_server(martlet):
    server = martlet()
    for body in BODIES:
        send_exactly(server, body)
    server.command("store", "verify")
    server.stop()
    server.command("store", "verify")


def test_store_verify_finds_a_flipped_bit(martlet):
    """HOSTILE 56."""
    server = martlet()
    send_exactly(server, b"unmistakable line of text\r\n" * 4_000)
    send_exactly(server, b"neighbour\r\n")
    server.stop()
    flipped = 0
    for file in server.data.glob("**/*"):
        if file.is_file():
            content = file.read_bytes()
            at = content.find(b"unmistakable line of text\r\n" * 100)
            if at >= 0:
                with file.open("r+b") as out:
                    out.seek(at + 1000)
                    out.write(bytes([content[at + 1000] ^ 1]))
                flipped += 1
    assert flipped, "the body was not found on disk"
    done = server.run("store", "verify")
    assert done.returncode != 0, done.stdout + done.stderr
    server.start()
    assert server.count("alice@example.test") >= 1
    server.send("carol@example.net", ["alice@example.test"], message())


def flip(server, pattern):
    """Flips a bit in every file that holds `pattern`; how many there were. The server must not run."""
    flipped = 0
    for file in server.data.glob("**/*"):
        if file.is_file() and (at := file.read_bytes().find(pattern)) >= 0:
            with file.open("r+b") as out:
                out.seek(at + len(pattern) // 2)
                byte = out.read(1)
                out.seek(-1, 1)
                out.write(bytes([byte[0] ^ 1]))
            flipped += 1
    return flipped


def test_an_export_passes_over_what_is_damaged_names_it_and_fails_at_the_end(martlet):
    server = martlet()
    sent = [send_exactly(server, f"part {n} of five\r\n".encode() * (4000 if n % 2 else 40)) for n in range(5)]
    server.stop()
    server.command("store", "verify")  # opening puts everything into the database file
    assert flip(server, b"part 1 of five\r\n" * 100) == 1 and flip(server, b"part 2 of five\r\n" * 20) >= 1
    for state in ("stopped", "running"):
        if state == "running":
            server.start()
        done = server.run("export", "maildir", "alice@example.test", server.folder / f"maildir-{state}")
        assert done.returncode != 0 and "message 2" in done.stderr and "message 3" in done.stderr, done.stdout + done.stderr
        bodies = [f.read_bytes() for f in (server.folder / f"maildir-{state}" / "cur").glob("*")]
        assert len(bodies) == 3 and all(any(b.endswith(s) for b in bodies) for n, s in enumerate(sent) if n not in (1, 2))
        file = server.folder / f"alice-{state}.mbox"
        done = server.run("export", "mbox", "alice@example.test", file)
        assert done.returncode != 0 and "message 2" in done.stderr, done.stdout + done.stderr
        assert len(maildirs.mbox(str(file), create=False)) == 3
    assert server.count("alice@example.test") == 5


def test_a_damaged_page_of_an_index_costs_nothing_but_a_line_in_the_log(martlet):
    """HOSTILE 56."""
    server = martlet()
    for n in range(6):
        send_exactly(server, f"part {n}\r\n".encode() * 4000)
    server.stop()
    server.command("store", "verify")
    database = sqlite3.connect(server.data / "store.db")
    [root] = database.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'messages_segment'").fetchone()
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    with (server.data / "store.db").open("r+b") as out:
        out.seek((root - 1) * 4096)
        out.write(b"\xff")
    server._own(*server.data.glob("store.db*"))
    server.start()
    assert "damaged" in server.log()
    assert len(server.messages("alice@example.test")) == 6
    send_exactly(server, b"one more\r\n")
    server.command("store", "verify")


QUOTA = """#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  path[length < 0 ? 0 : length] = 0;
  if (access(getenv("QUOTA_REACHED"), F_OK) == 0 && strstr(path, "store.db")) { errno = EDQUOT; return -1; }
  return syscall(SYS_pwrite64, fd, bytes, count, at);
}
ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) { return pwrite64(fd, bytes, count, at); }
"""


def test_a_disk_quota_is_a_full_disk(martlet, folder):
    """HOSTILE 55."""
    source, shim, reached = folder / "quota.c", folder / "quota.so", folder / "reached"
    source.write_text(QUOTA)
    compiler = shutil.which("cc") or shutil.which("clang") or shutil.which("gcc")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", shim, source], check=True)
    server = martlet(wrapper=["env", f"LD_PRELOAD={shim}", f"QUOTA_REACHED={reached}"], store={"reserve": "0"})
    reached.touch()
    with Wire(server.address, server.port) as wire:
        wire.envelope("carol@example.net", "alice@example.test")
        code, lines = wire.data(message())
        assert code == 452 and lines[0].startswith("4.3.1"), (lines, server.log()[-1500:])
    assert "disk full" in server.log()
    reached.unlink()

    def taken():
        with Wire(server.address, server.port) as wire:
            wire.ehlo()
            code, lines = wire.say("MAIL FROM:<carol@example.net>")
            if code == 452:
                assert lines[0].startswith("4.3.1"), lines
                return False
            wire.expect("RCPT TO:<alice@example.test>", 250)
            return wire.data(message())[0] == 250

    eventually(taken, "mail being taken again")
    eventually(lambda: "disk has space again" in server.log(), "the end of the shortage in the log")
    assert "the store is full" not in server.command("status")


def test_trace_tells_where_a_message_went(martlet):
    server = martlet()
    with Wire(server.address, server.port) as wire:
        wire.envelope("carol@example.net", "alice@example.test")
        code, lines = wire.data(message())
    queue_id = lines[0].split()[-1]
    told = server.command("trace", queue_id)
    assert "received" in told and "delivered" in told and "INBOX" in told and "alice@example.test" in told, told


def test_a_queued_message_that_is_damaged_is_held_and_the_postmaster_told(martlet):
    """HOSTILE 56."""
    with Sink(answer=lambda line, session: b"450 4.2.0 later\r\n" if line.startswith("RCPT") else None) as sink:
        server = martlet(routes=[{"domain": "*", "next-hop": sink.next_hop}], trust={"networks": ["127.0.0.0/8"]}, directory={"postmaster": "bob@example.test"})
        for n in range(3):
            server.send("alice@example.test", [f"carol{n}@example.net"], message(body=f"queued part {n}\r\n" * 4000))
        eventually(lambda: all(r["attempts"] > 0 for m in server.queue() for r in m["recipients"]), "an attempt at each")
        server.stop()
        server.command("store", "verify")
        assert flip(server, b"queued part 1\r\n" * 100) == 1
        sink.answer = None
        server.start()
        server.command("queue", "flush")
        eventually(lambda: [r["state"] for m in server.queue() for r in m["recipients"]] == ["held"], f"one that is held\n{server.log()[-3000:]}")
        [left] = server.queue()
        assert "damaged" in left["recipients"][0]["lastReply"] and left["recipients"][0]["address"] == "carol1@example.net"
        assert sorted(r for m in sink.taken for r in m.recipients) == ["RCPT TO:<carol0@example.net>", "RCPT TO:<carol2@example.net>"]
        eventually(lambda: server.count("bob@example.test") == 1, "the postmaster's notification")
        [told] = server.messages("bob@example.test")
        assert parse(told)["Subject"] == "A queued message is damaged" and left["id"].encode() in told
        assert "held" in server.command("trace", left["id"])
        server.command("queue", "remove", left["id"])
        assert server.queue() == []
