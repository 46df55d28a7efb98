"""Other people's clients: swaks, curl, Python's smtplib."""

import smtplib
import ssl
import subprocess
from email.message import EmailMessage

from peers.messages import message, parse


def swaks(server, *arguments):
    done = subprocess.run(
        ["swaks", "--server", "127.0.0.1", "--port", str(server.port), "--from", "carol@example.net", "--to", "alice@example.test", *arguments],
        capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def test_swaks_delivers(martlet):
    server = martlet()
    code, said = swaks(server, "--header", "Subject: from swaks", "--body", "hello\n.\nfrom swaks")
    assert code == 0, said
    [got] = server.messages("alice@example.test")
    assert parse(got)["subject"] == "from swaks" and b"\r\n.\r\nfrom swaks" in got


def test_swaks_delivers_over_tls(martlet, certificate):
    server = martlet(certificate=certificate)
    code, said = swaks(server, "--tls")
    assert code == 0 and "TLS started" in said, said
    assert server.count("alice@example.test") == 1


def test_swaks_speaks_proxy(martlet):
    server = martlet(trust={"proxy": ["127.0.0.1"]})
    code, said = swaks(server, "--proxy-version", "1", "--proxy-family", "TCP4", "--proxy-source", "192.0.2.7", "--proxy-source-port", "4711", "--proxy-dest", "192.0.2.1", "--proxy-dest-port", "25")
    assert code == 0, said
    assert b"[192.0.2.7]" in server.messages("alice@example.test")[0]


def test_swaks_is_told_why_not(martlet):
    server = martlet()
    code, said = swaks(server, "--to", "nobody@example.test")
    assert code != 0 and "550 5.1.1" in said


def curl(server, scheme, port, file, *arguments):
    done = subprocess.run(
        ["curl", "--silent", "--show-error", "--url", f"{scheme}://127.0.0.1:{port}/client.example.net", "--mail-from", "carol@example.net",
         "--mail-rcpt", "alice@example.test", "--upload-file", str(file), *arguments], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stderr


def test_curl_delivers_in_clear_by_starttls_and_by_smtps(martlet, certificate, authority, folder):
    server = martlet(certificate=certificate)
    file = folder / "message"
    file.write_bytes(message(subject="from curl"))
    assert curl(server, "smtp", server.port, file) == (0, "")
    assert curl(server, "smtp", server.port, file, "--ssl-reqd", "--insecure") == (0, "")
    resolve = ["--cacert", str(authority.certificate), "--connect-to", "::127.0.0.1:"]
    done = subprocess.run(
        ["curl", "-sS", "--url", f"smtps://mx.example.test:{server.tls_port}/client.example.net", "--mail-from", "carol@example.net", "--mail-rcpt",
         "alice@example.test", "--upload-file", str(file), *resolve], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert server.count("alice@example.test") == 3


def test_smtplib_delivers_what_email_makes(martlet, certificate):
    server = martlet(certificate=certificate)
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "carol@example.net", "alice@example.test", "Grüße"
    made.set_content("Grüße aus Köln\n")
    made.add_attachment(bytes(range(256)) * 100, maintype="application", subtype="octet-stream", filename="alles.bin")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with smtplib.SMTP("127.0.0.1", server.port, timeout=30) as client:
        client.starttls(context=context)
        assert client.send_message(made) == {}
    got = parse(server.messages("alice@example.test")[0])
    assert got["subject"] == "Grüße" and [p.get_content() for p in got.iter_attachments()] == [bytes(range(256)) * 100]


def test_smtplib_speaks_lmtp(martlet):
    server = martlet(lmtp=True)
    with smtplib.LMTP("127.0.0.1", server.lmtp_port) as client:
        refused = client.sendmail("carol@example.net", ["alice@example.test", "nobody@example.test"], message())
    assert list(refused) == ["nobody@example.test"] and server.count("alice@example.test") == 1
