"""An SMTP client that says exactly what a test wants, byte by byte."""

import socket
import ssl


class Closed(AssertionError):
    pass


class Wire:
    """A connection; replies are read whole, as (code, lines)."""

    def __init__(self, address, port=None, greeting=True, timeout=30, source=None):
        if port is None:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(timeout)
            self.socket.connect(str(address))
        else:
            self.socket = socket.create_connection((address, port), timeout=timeout, source_address=source)
        self.buffer = b""
        if greeting:
            self.greeting = self.reply()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())

    def line(self):
        while b"\n" not in self.buffer:
            try:
                more = self.socket.recv(65536)
            except ConnectionResetError:
                more = b""
            if not more:
                raise Closed(f"connection closed; unread: {self.buffer!r}")
            self.buffer += more
        line, self.buffer = self.buffer.split(b"\n", 1)
        assert line.endswith(b"\r"), f"a reply line ends in a bare LF: {line!r}"
        return line[:-1].decode()

    def reply(self):
        lines, code = [], None
        while True:
            line = self.line()
            assert line[:3].isdigit() and line[3:4] in ("", " ", "-"), f"not a reply line: {line!r}"
            assert code in (None, line[:3]), f"codes differ within a reply: {code} and {line!r}"
            code = line[:3]
            lines.append(line[4:])
            if line[3:4] != "-":
                return int(code), lines

    def say(self, text):
        """Sends a command line and gives the reply."""
        self.send((text if isinstance(text, bytes) else text.encode()) + b"\r\n")
        return self.reply()

    def expect(self, text, code, enhanced=None):
        got = self.say(text)
        assert got[0] == code and (enhanced is None or got[1][-1].startswith(enhanced)), f"{text!r} got {got}, wanted {code} {enhanced or ''}"
        return got

    def ehlo(self, name="client.example.net"):
        code, lines = self.say(f"EHLO {name}")
        assert code == 250, lines
        return [line.upper() for line in lines[1:]]

    def starttls(self, context=None):
        self.expect("STARTTLS", 220)
        self.tls(context)

    def tls(self, context=None):
        if context is None:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.socket = context.wrap_socket(self.socket, server_hostname="mx.example.test")

    def envelope(self, sender, *recipients, helo=True):
        if helo:
            self.ehlo()
        self.expect(f"MAIL FROM:<{sender}>", 250)
        for recipient in recipients:
            self.expect(f"RCPT TO:<{recipient}>", 250)

    def data(self, message):
        """DATA with `message`, dot-stuffed; the final reply."""
        self.expect("DATA", 354)
        lines = message if isinstance(message, bytes) else message.encode()
        stuffed = b"\r\n".join(b"." + line if line.startswith(b".") else line for line in lines.split(b"\r\n"))
        self.send(stuffed + (b"" if stuffed.endswith(b"\r\n") else b"\r\n") + b".\r\n")
        return self.reply()

    def closed(self):
        """Waits for the other side's close; what came before it."""
        got = self.buffer
        while True:
            try:
                more = self.socket.recv(65536)
            except (ConnectionResetError, BrokenPipeError):
                more = b""
            except ssl.SSLError:
                more = b""
            if not more:
                return got
            got += more
