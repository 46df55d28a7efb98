import NIOCore
import Synchronization
import Testing

@testable import Outside

/// Drives the gate through every order of what can happen to it, with and without the session running in between.
@Suite struct ConnectionGateTests {
  enum Event: CaseIterable {
    case data, peerFinished, peerClosed, deadline, sent, tls, shutdown, run
  }

  enum Operation: CaseIterable {
    case receive, drain, startTLS, close
  }

  /// What one run of a session saw. Touched by the one thread of the test only.
  final class Log: @unchecked Sendable {
    var consumed = 0
    var shutdowns = 0
    var emptyWakes = 0
    var established = 0
    var returned = 0
    var isFinished = false
  }

  static func session(_ connection: Connection, _ operations: [Operation], _ log: Log) async {
    for operation in operations {
      switch operation {
      case .receive: await receive(connection, log)
      case .drain:
        connection.output.writeRepeatingByte(1, count: 70_000)
        _ = await connection.drain(until: .never)
      case .startTLS:
        let request = TLSRequest(role: .server, context: NoContext())
        if case .established = await connection.startTLS(request, until: .never) { log.established += 1 }
      case .close: connection.close()
      }
      log.returned += 1
    }
    // Whatever is left must be told before the close is.
    while await receive(connection, log) != .closed {}
    log.isFinished = true
  }

  @discardableResult
  static func receive(_ connection: Connection, _ log: Log) async -> Connection.Wake {
    let wake = await connection.receive(until: .never)
    if wake == .shutdown { log.shutdowns += 1 }
    if wake == .data && connection.input.readableBytes == 0 { log.emptyWakes += 1 }
    log.consumed += connection.input.readableBytes
    connection.input.clear()
    return wake
  }

  /// Returns what went wrong, if anything did.
  static func play(_ operations: [Operation], _ events: [Event]) -> String? {
    let executor = ManualExecutor()
    let driver = SilentDriver()
    let connection = Connection(remote: .unix(path: "r"), local: .unix(path: "l"), driver: driver)
    let log = Log()
    Task(executorPreference: executor) { await session(connection, operations, log) }
    executor.run()
    var delivered = 0
    var asksShutdown = false
    for event in events {
      switch event {
      case .data where !connection.isClosed:
        connection.deliver(ByteBuffer(string: "abc"))
        delivered += 3
      case .data: break
      case .peerFinished:
        connection.peerFinished()
      case .peerClosed:
        connection.peerClosed()
      case .deadline: connection.deadlinePassed()
      case .sent: connection.sent(70_000)
      case .tls: connection.tlsFinished(.established(TLSFacts(version: "TLSv1.3", cipher: "x")))
      case .shutdown:
        // A session that has been told of the close need not hear of a shutdown after it.
        asksShutdown = asksShutdown || (!connection.isClosed && !connection.isShuttingDown)
        connection.requestShutdown()
      case .run: executor.run()
      }
    }
    executor.run()
    connection.peerClosed()
    executor.run()
    guard log.isFinished else { return "the session hangs after \(log.returned) operations" }
    if log.returned != operations.count { return "\(log.returned) operations returned" }
    if log.consumed != delivered { return "\(log.consumed) of \(delivered) bytes arrived" }
    if log.shutdowns > 1 || (asksShutdown && log.shutdowns == 0) { return "\(log.shutdowns) shutdowns told" }
    if log.emptyWakes > 0 { return "data was told without data" }
    if (connection.tls != nil) != (log.established == 1) { return "TLS facts without TLS" }
    return nil
  }

  @Test(
    "each wait ends exactly once and nothing is lost, in every order of events", arguments: Operation.allCases, Operation.allCases)
  func everyOrder(first: Operation, second: Operation) {
    let events = Event.allCases
    let length = 5
    var total = 1
    for _ in 0..<length { total *= events.count }
    for number in 0..<total {
      var rest = number
      var order: [Event] = []
      for _ in 0..<length {
        order.append(events[rest % events.count])
        rest /= events.count
      }
      if let problem = Self.play([first, second], order) {
        Issue.record("\(first), \(second); \(order): \(problem)")
        return
      }
    }
  }

  @Test("replies still leave after the peer ended its direction, and are dropped after a break")
  func halfClose() {
    let driver = SilentDriver()
    let connection = Connection(remote: .unix(path: "r"), local: .unix(path: "l"), driver: driver)
    connection.peerFinished()
    connection.output.writeString("221 bye\r\n")
    connection.flush()
    #expect(driver.written == 9)
    connection.peerClosed()
    connection.output.writeString("more")
    connection.flush()
    #expect(driver.written == 9)
  }

  @Test("TLS can't begin with input that came in clear, nor twice")
  func startTLSRefused() {
    let executor = ManualExecutor()
    let connection = Connection(remote: .unix(path: "r"), local: .unix(path: "l"), driver: SilentDriver())
    let outcomes = Outcomes()
    connection.deliver(ByteBuffer(string: "EHLO early\r\n"))
    Task(executorPreference: executor) {
      let request = TLSRequest(role: .server, context: NoContext())
      outcomes.all.append(await connection.startTLS(request, until: .never))
      connection.input.clear()
      outcomes.all.append(await connection.startTLS(request, until: .never))
      outcomes.all.append(await connection.startTLS(request, until: .never))
    }
    executor.run()
    connection.tlsFinished(.failed("no"))
    executor.run()
    #expect(outcomes.all == [.inputNotEmpty, .failed("no"), .failed("TLS was started already")])
  }
}

/// Touched by the one thread of the test only.
private final class Outcomes: @unchecked Sendable {
  var all: [TLSOutcome] = []
}

private final class NoContext: TLSContext {}

/// Runs jobs when told to, on the thread that tells.
final class ManualExecutor: TaskExecutor {
  private let jobs = Mutex<[UnownedJob]>([])

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    jobs.withLock { $0.append(job) }
  }

  func run() {
    while true {
      let batch = jobs.withLock { jobs in
        let taken = jobs
        jobs = []
        return taken
      }
      if batch.isEmpty { return }
      for job in batch { job.runSynchronously(on: asUnownedTaskExecutor()) }
    }
  }
}

/// A driver that answers nothing. Touched by the one thread of the test only.
final class SilentDriver: ConnectionDriver, @unchecked Sendable {
  var written = 0

  func requestRead() {}
  func write(_ bytes: ByteBuffer) { written += bytes.readableBytes }
  func setDeadline(_ deadline: MonotonicInstant) {}
  func startTLS(_ request: TLSRequest) {}
  func close(abruptly: Bool) {}
}
