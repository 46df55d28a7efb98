import Glibc
import Outside
import Synchronization
import Testing

@testable import MartletServer

@Suite struct SupervisorTests {
  /// A server in Python: answers each connection with its process number; `crash` kills it, `quit` ends it with status 3.
  static let server = """
    import os, signal, socket
    part = os.environ['MARTLET_INHERITED'].split(',')[0]
    listener = socket.socket(fileno=int(part.split('=')[0]))
    listener.setblocking(True)
    while True:
        peer, _ = listener.accept()
        peer.sendall(str(os.getpid()).encode())
        word = peer.recv(100)
        if word == b'crash': os.kill(os.getpid(), signal.SIGSEGV)
        if word == b'quit': os._exit(3)
    """

  final class Reports: Sendable {
    private let held = Mutex<[String]>([])
    var all: [String] { held.withLock { $0 } }
    func add(_ text: String) { held.withLock { $0.append(text) } }
  }

  /// A blocking client.
  static func ask(_ endpoint: Endpoint, _ word: String) throws -> String {
    let (family, address, length) = try #require(endpoint.socketAddressBytes)
    let descriptor = socket(family, CInt(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    let connected = address.withUnsafeBytes { bytes in
      bytes.baseAddress.map { connect(descriptor, $0.assumingMemoryBound(to: sockaddr.self), length) } ?? -1
    }
    #expect(connected == 0)
    _ = send(descriptor, word, word.utf8.count, CInt(MSG_NOSIGNAL))
    var buffer = [UInt8](repeating: 0, count: 100)
    let count = recv(descriptor, &buffer, buffer.count, 0)
    return String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
  }

  @Test("a crashed server is replaced, its backlog is served by the next, and its own end is passed on")
  func restarts() async throws {
    let requested = try #require(Endpoint("127.0.0.1:0"))
    let socket = try ListeningSocket.bind(requested)
    let reports = Reports()
    var supervisor = Supervisor(
      arguments: ["python3", "-c", Self.server], sockets: [(requested, socket)], report: { reports.add($0) })
    supervisor.executable = "/usr/bin/python3"
    let runs = SendableSupervisor(supervisor)
    let worker = ThreadWorker(named: "supervisor")
    let status = await withCheckedContinuation { (ended: CheckedContinuation<CInt, Never>) in
      worker.submit { ended.resume(returning: runs.supervisor.run()) }
      let client = ThreadWorker(named: "client")
      client.submit {
        do {
          let first = try Self.ask(socket.endpoint, "crash")
          // Made while nobody may be there to accept it.
          let second = try Self.ask(socket.endpoint, "crash")
          let third = try Self.ask(socket.endpoint, "quit")
          #expect(Set([first, second, third]).count == 3)
        } catch { Issue.record(error) }
      }
    }
    #expect(status == 3)
    #expect(reports.all.filter { $0.hasPrefix("the server crashed with signal 11") }.count == 2)
    #expect(reports.all.contains { $0.contains("starting it again in 250 ms") })
  }

  @Test("told to end, it ends the server and says how that ended")
  func ends() async throws {
    var ends: [CInt] = [0, 0]
    #expect(pipe(&ends) == 0)
    var supervisor = Supervisor(
      arguments: ["sh", "-c", "trap 'exit 9' TERM; echo; while :; do sleep 0.05; done"], sockets: [], report: { _ in })
    supervisor.executable = "/bin/sh"
    let runs = SendableSupervisor(supervisor)
    let worker = ThreadWorker(named: "supervisor")
    let control = ends[0]
    let tell = ends[1]
    let status = await withCheckedContinuation { (ended: CheckedContinuation<CInt, Never>) in
      worker.submit { ended.resume(returning: runs.supervisor.run(control: control)) }
      worker.submit {}
      _ = write(tell, "x", 1)
    }
    // Told before the trap was set, the shell dies of the signal.
    #expect(status == 9 || status == 128 + SIGTERM, "ended with \(status)")
    close(ends[0])
    close(ends[1])
  }

  @Test("a unit that was parsed at two crashes is in quarantine, its neighbours are not")
  func quarantine() throws {
    let supervisor = try #require(SharedNotes())
    var evil = ParsingUnit()
    evil.add("evil")
    var good = ParsingUnit()
    good.add("good")
    for crash in 1...2 {
      let server = try #require(SharedNotes(descriptor: dup(supervisor.descriptor)))
      #expect(server.begin(good))
      server.end()
      #expect(server.begin(evil))
      #expect(supervisor.takeCrash() == (crash == 2 ? [evil.digest] : []))
    }
    let server = try #require(SharedNotes(descriptor: dup(supervisor.descriptor)))
    #expect(!server.begin(evil))
    #expect(server.begin(good))
    server.end()
    #expect(supervisor.takeCrash().isEmpty)
    // As many suspects as there is room for, and more: the oldest give way.
    for number in 0..<1_000 {
      var unit = ParsingUnit()
      unit.add("\(number)")
      #expect(server.begin(unit))
      _ = supervisor.takeCrash()
      #expect(server.crashes(of: unit) == 1)
    }
    #expect(server.crashes(of: evil) == 0)
    #expect(SharedNotes(descriptor: open("/dev/null", O_RDONLY)) == nil)
  }

  @Test("a signal becomes an event, whichever thread it reaches; one that nobody took yet counts once")
  func signals() async {
    let signals = ProcessSignals()
    kill(getpid(), SIGHUP)
    #expect(await signals.next() == .reload)
    signals.deliver(.terminate)
    signals.deliver(.terminate)
    signals.deliver(.reload)
    #expect(await signals.next() == .terminate)
    #expect(await signals.next() == .reload)
  }

  @Test("descriptors pass by the environment, and two listeners of port 0 get two sockets")
  func inheritance() throws {
    let any = try #require(Endpoint("127.0.0.1:0"))
    let path = try #require(Endpoint("unix:/tmp/martlet-\(getpid())-inheritance"))
    let sockets = try [any, any, path].map { (requested: $0, socket: try ListeningSocket.bind($0)) }
    defer { unlink("/tmp/martlet-\(getpid())-inheritance") }
    let text = Inheritance(sockets: sockets, notes: 99).text
    var inherited = Inheritance(parsing: text)
    let first = try #require(try inherited.takeSocket(for: any))
    let second = try #require(try inherited.takeSocket(for: any))
    #expect([first.descriptor, second.descriptor] == [sockets[0].socket.descriptor, sockets[1].socket.descriptor])
    #expect(first.endpoint == sockets[0].socket.endpoint)
    #expect(try inherited.takeSocket(for: any) == nil)
    #expect(try inherited.takeSocket(for: path)?.descriptor == sockets[2].socket.descriptor)
    for socket in sockets { socket.socket.close() }
  }
}

/// Handed to one thread and used there only.
struct SendableSupervisor: @unchecked Sendable {
  let supervisor: Supervisor
  init(_ supervisor: Supervisor) { self.supervisor = supervisor }
}
