import NIOCore
import Outside

/// A peer that says its segments one after the other, each when the session has read the one before and waits, and notes every answer.
///
/// - Confinement: one simulated thread. That is what makes `@unchecked Sendable` true.
final class ScriptedPeer: ConnectionDriver, @unchecked Sendable {
  enum Act {
    case say([UInt8])
    /// Closes its direction.
    case finish
    /// Says nothing until the session's deadline.
    case stall
    case startTLS
    case shutdownServer
    /// The server wants the place of an idle session.
    case shed
    /// Goes on when all others have come as far.
    case meet(Meeting)
    /// Looks at something; the session waits meanwhile.
    case look(() -> Void)
  }

  private var script: [Act]
  private(set) var heard = ByteBuffer()
  private(set) var isClosed = false
  private(set) var wasAborted = false
  var early = false
  private(set) var startedTLS = 0
  private weak var connection: Connection?

  init(_ script: [Act]) { self.script = script }

  convenience init(lines: [String]) { self.init(lines.map { .say(Array(($0 + "\r\n").utf8)) } + [.finish]) }

  func connect(from remote: Endpoint, to local: Endpoint) -> Connection {
    let connection = Connection(remote: remote, local: local, driver: self)
    self.connection = connection
    return connection
  }

  var text: String { String(buffer: heard) }

  var replies: [String] { text.split(separator: "\r\n").map(String.init) }

  func requestRead() {
    guard let connection else { return }
    guard !script.isEmpty else { return connection.peerFinished() }
    switch script.removeFirst() {
    case .say(let bytes): connection.deliver(ByteBuffer(bytes: bytes))
    case .finish: connection.peerFinished()
    case .stall: connection.deadlinePassed()
    case .startTLS: requestRead()
    case .shutdownServer: connection.requestShutdown()
    case .shed: connection.shed()
    case .meet(let meeting): meeting.arrive { self.requestRead() }
    case .look(let look):
      look()
      requestRead()
    }
  }

  func write(_ bytes: ByteBuffer) {
    heard.writeImmutableBuffer(bytes)
    connection?.sent(bytes.readableBytes)
  }

  func setDeadline(_ deadline: MonotonicInstant) {}

  func startTLS(_ request: TLSRequest) {
    startedTLS += 1
    connection?.tlsFinished(.established(TLSFacts(version: "TLSv1.3", cipher: "TLS_AES_256_GCM_SHA384")))
  }

  func close(abruptly: Bool) {
    isClosed = true
    wasAborted = abruptly
  }

  var hasUnreadInput: Bool { early }
}

/// Where peers wait for each other.
///
/// - Confinement: one simulated thread. That is what makes `@unchecked Sendable` true.
final class Meeting: @unchecked Sendable {
  private let size: Int
  private var waiting: [() -> Void] = []

  init(of size: Int) { self.size = size }

  func arrive(_ go: @escaping () -> Void) {
    waiting.append(go)
    guard waiting.count == size else { return }
    let all = waiting
    waiting = []
    for go in all { go() }
  }
}

final class NoTLS: TLSContext {}
