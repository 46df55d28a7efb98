"""A next hop that behaves as a test says: keeps what it takes, or replies oddly."""

import socket
import socketserver
import ssl
import threading


class Taken:
    def __init__(self, sender, recipients, data, tls, commands):
        self.sender, self.recipients, self.data, self.tls, self.commands = sender, recipients, data, tls, commands


class Sink:
    """An SMTP (or LMTP) server in this process. Override `answer` with a function (command line in capitals, session) -> reply or None.

    `answer` may return bytes to say at once, None for the normal reply, or Sink.CLOSE to hang up.
    """

    CLOSE = object()

    def __init__(self, extensions=("PIPELINING", "SIZE 0", "8BITMIME", "ENHANCEDSTATUSCODES"), answer=None, certificate=None, lmtp=False, path=None, greeting=b"220 sink.example.net ESMTP\r\n"):
        self.extensions, self.answer, self.lmtp, self.greeting = list(extensions), answer, lmtp, greeting
        self.context = None
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*map(str, certificate))
            self.extensions.append("STARTTLS")
        self.taken, self.sessions, self.lock = [], 0, threading.Condition()
        sink = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                with sink.lock:
                    sink.sessions += 1
                try:
                    Session(sink, self.request).run()
                except (OSError, ssl.SSLError, EOFError):
                    pass

        if path:
            class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
                daemon_threads = True
            self.server = Server(str(path), Handler)
        else:
            class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
                daemon_threads, allow_reuse_address, request_queue_size = True, True, 1024
            self.server = Server(("127.0.0.1", 0), Handler)
            self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    @property
    def next_hop(self):
        return f"{'lmtp' if self.lmtp else 'smtp'}://127.0.0.1:{self.port}"

    def wait(self, count=1, seconds=30):
        """The messages taken, once there are `count`."""
        with self.lock:
            assert self.lock.wait_for(lambda: len(self.taken) >= count, seconds), f"{len(self.taken)} of {count} messages came within {seconds} s"
            return list(self.taken)


class Session:
    def __init__(self, sink, connection):
        self.sink, self.socket, self.buffer = sink, connection, b""
        self.tls, self.commands = None, []
        self.sender, self.recipients, self.chunks = None, [], []

    def fill(self):
        more = self.socket.recv(262144)
        if not more:
            raise EOFError
        self.buffer += more

    def line(self):
        while b"\n" not in self.buffer:
            self.fill()
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line + b"\n"

    def exactly(self, count):
        while len(self.buffer) < count:
            self.fill()
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def until_dot(self):
        parts, search = [], 0
        while True:
            while b"\r\n.\r\n" not in self.buffer and not self.buffer.startswith(b".\r\n"):
                self.fill()
            if self.buffer.startswith(b".\r\n"):
                self.buffer = self.buffer[3:]
                return b""
            data, self.buffer = self.buffer.split(b"\r\n.\r\n", 1)
            return b"\r\n".join(line[1:] if line.startswith(b".") else line for line in (data + b"\r\n").split(b"\r\n"))

    def say(self, reply):
        self.socket.sendall(reply)

    def ask(self, command):
        """True if the odd answer of the test was given instead of the normal one."""
        answer = self.sink.answer(command, self) if self.sink.answer else None
        if answer is Sink.CLOSE:
            raise EOFError
        if answer is not None:
            self.say(answer)
            return True
        return False

    def run(self):
        self.say(self.sink.greeting)
        while True:
            line = self.line()
            self.commands.append(line)
            verb = line.split(None, 1)[0].upper().decode() if line.strip() else ""
            if verb == "BDAT":
                self.chunk(line)
            elif verb == "MAIL":
                if not self.ask(line.decode().strip()):
                    self.sender, self.recipients, self.chunks = line.decode().strip(), [], []
                    self.say(b"250 2.1.0 ok\r\n")
            elif verb == "RCPT":
                if not self.ask(line.decode().strip()):
                    self.recipients.append(line.decode().strip())
                    self.say(b"250 2.1.5 ok\r\n")
            elif verb == "DATA":
                if not self.ask("DATA"):
                    if not self.recipients:
                        self.say(b"554 5.5.1 no recipients\r\n")
                        continue
                    self.say(b"354 go on\r\n")
                    self.finish(self.until_dot())
            elif verb in ("EHLO", "LHLO"):
                if not self.ask(verb):
                    names = [e for e in self.sink.extensions if e != "STARTTLS" or self.tls is None]
                    lines = ["sink.example.net", *names]
                    self.say("".join(f"250{'-' if i < len(lines) - 1 else ' '}{t}\r\n" for i, t in enumerate(lines)).encode())
            elif verb == "STARTTLS":
                if not self.ask("STARTTLS"):
                    self.say(b"220 go on\r\n")
                    self.socket = self.sink.context.wrap_socket(self.socket, server_side=True)
                    self.tls, self.buffer = self.socket.version(), b""
            elif verb == "QUIT":
                if not self.ask("QUIT"):
                    self.say(b"221 bye\r\n")
                    return
            elif not self.ask(verb):
                self.say(b"250 2.0.0 ok\r\n")

    def chunk(self, line):
        words = line.split()
        self.chunks.append(self.exactly(int(words[1])))
        if self.ask(line.decode().strip()):
            return
        if len(words) > 2 and words[2].upper() == b"LAST":
            self.finish(b"".join(self.chunks))
        else:
            self.say(b"250 2.0.0 ok\r\n")

    def finish(self, data):
        self.content = data
        if not self.ask("."):
            for _ in self.recipients if self.sink.lmtp else [None]:
                self.say(b"250 2.0.0 taken\r\n")
            with self.sink.lock:
                self.sink.taken.append(Taken(self.sender, self.recipients, data, self.tls, list(self.commands)))
                self.sink.lock.notify_all()
        self.sender, self.recipients, self.chunks = None, [], []
