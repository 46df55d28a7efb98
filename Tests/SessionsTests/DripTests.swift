import MartletSimulation
import NIOCore
import Outside
import Testing

@testable import Sessions

/// A peer that says some lines at once, and then a piece each `pause` of virtual time without end, as a tarpit's opposite does.
///
/// - Confinement: one simulated thread. That is what makes `@unchecked Sendable` true.
private final class DrippingPeer: ConnectionDriver, @unchecked Sendable {
  private var lines: [String]
  private let piece: [UInt8]
  private let pause: Duration
  private let executor: SimulatedExecutor
  private weak var connection: Connection?
  private var deadline = MonotonicInstant.never
  private var isReading = false
  private(set) var text = ""
  private(set) var closed: MonotonicInstant?
  private(set) var dripped = 0
  /// The most that was held unread when the next piece came.
  private(set) var held = 0

  init(lines: [String], piece: [UInt8], each pause: Duration, on executor: SimulatedExecutor) {
    self.lines = lines
    self.piece = piece
    self.pause = pause
    self.executor = executor
  }

  func connect() -> Connection {
    let remote = Endpoint.unix(path: "")
    let connection = Connection(remote: remote, local: remote, driver: self)
    self.connection = connection
    return connection
  }

  private func later(_ time: MonotonicInstant, _ work: @escaping @Sendable () -> Void) {
    let executor = executor
    _ = Task(executorPreference: executor) {
      await executor.sleep(until: time)
      work()
    }
  }

  func requestRead() {
    guard !lines.isEmpty else {
      isReading = true
      return later(executor.clock.monotonic().advanced(by: pause)) { self.drip() }
    }
    connection?.deliver(ByteBuffer(string: lines.removeFirst() + "\r\n"))
  }

  private func drip() {
    guard closed == nil, isReading, let connection else { return }
    isReading = false
    held = max(held, connection.input.readableBytes)
    dripped += 1
    connection.deliver(ByteBuffer(bytes: piece))
  }

  func setDeadline(_ deadline: MonotonicInstant) {
    self.deadline = deadline
    guard deadline != .never else { return }
    later(deadline) {
      guard self.closed == nil, self.deadline == deadline else { return }
      self.deadline = .never
      self.isReading = false
      self.connection?.deadlinePassed()
    }
  }

  func write(_ bytes: ByteBuffer) {
    text += String(buffer: bytes)
    connection?.sent(bytes.readableBytes)
  }

  func startTLS(_ request: TLSRequest) {}
  func close(abruptly: Bool) { closed = closed ?? executor.clock.monotonic() }
  var hasUnreadInput: Bool { false }
}

@Suite("Slow clients") struct DripTests {
  private static let envelope = ["EHLO client.test", "MAIL FROM:<carol@elsewhere.test>", "RCPT TO:<bob@example.test>", "DATA"]

  /// Talks until the server ends it; how long that took.
  private func talk(
    _ lines: [String], _ piece: String, each pause: Duration, change: @escaping @Sendable (inout SessionLimits) -> Void
  )
    throws -> (peer: DrippingPeer, seconds: Int64)
  {
    let rig = Rig()
    let executor = rig.executor
    let peer = DrippingPeer(lines: lines, piece: Array(piece.utf8), each: pause, on: executor)
    let began = executor.clock.monotonic()
    try rig.run { house in
      var listener = house.listener
      change(&listener.limits)
      await SMTPSession(listener, peer.connect()).run()
      let bodies = try await house.bodies(of: "bob")
      #expect(bodies.isEmpty)
    }
    let closed = try #require(peer.closed)
    #expect(peer.text.split(separator: "\r\n").last?.hasPrefix("421 4.4.2") == true, "\(peer.text)")
    return (peer, closed.since(began).components.seconds)
  }

  @Test(
    "HOSTILE 9: a byte a minute, in a command or a message, is under the minimum rate when its grace of 30 s is over",
    arguments: [0, 4])
  func byteByByte(lines: Int) throws {
    let begun = lines == 0 ? ["EHLO client.test"] : Array(Self.envelope.prefix(lines))
    // The first byte of a command begins its time, a message's begins with its 354.
    let (peer, seconds) = try talk(begun, "x", each: .seconds(60)) { _ in }
    #expect((30...(lines == 0 ? 91 : 31)).contains(seconds), "\(seconds) s")
    #expect(peer.held == 0 && peer.dripped <= 1)
  }

  @Test(
    "HOSTILE 9: without a minimum rate a drip ends at the deadline of the session or of the message, and one line is held at most",
    arguments: [0, 4])
  func deadlines(lines: Int) throws {
    let begun = lines == 0 ? ["EHLO client.test"] : Array(Self.envelope.prefix(lines))
    let (peer, seconds) = try talk(begun, "x", each: .seconds(60)) { $0.minimumRate = 0 }
    #expect(seconds == (lines == 0 ? 14_400 : 3_600))
    // In a message what came is taken at once; of a command only its line is held.
    #expect(peer.held <= (lines == 0 ? 240 : 0), "\(peer.held)")
  }

  @Test("HOSTILE 9: just above the minimum rate a message still ends at its deadline of an hour")
  func rate() throws {
    let piece = String(repeating: String(repeating: "x", count: 98) + "\r\n", count: 60)
    let (_, seconds) = try talk(Self.envelope, piece, each: .seconds(10)) { _ in }
    #expect(seconds == 3_600)
  }
}
