import Configuration
import Foundation
import Logging
import MailStore
import NIOCore
import Outside
import Synchronization

/// Serves one connection of the control socket: one command.
///
/// Who may connect is decided by the socket's file (mode 0600). Bounds: words and input of at most 8 MiB within 30 s; a client that
/// takes nothing for a minute is left.
struct ControlSession {
  /// Octets of words and standard input together: 8 MiB.
  static let longestRequest = 8 << 20
  static let requestTime = Duration.seconds(30)
  /// How long the client may leave output untaken.
  static let outputTime = Duration.seconds(60)

  let service: ControlService
  let connection: Connection

  func run() async {
    do throws(AdminFailure) {
      let (request, input) = try await readRequest()
      let command = try service.parse(request.words)
      service.log.info("control", metadata: ["command": "\(Self.shown(request.words))"])
      let context = AdminContext(
        store: service.store, configuration: service.configuration(), live: service.live, clock: service.clock, input: input,
        output: ControlOutput(connection: connection, clock: service.clock),
        timeZone: TimeZone(identifier: request.timeZone) ?? .gmt)
      try await command.run(context)
      ControlFrame.exit(code: 0, message: "").write(to: &connection.output)
    } catch {
      ControlFrame.exit(code: error.exitCode, message: error.message).write(to: &connection.output)
    }
    _ = await connection.drain(until: service.clock.monotonic().advanced(by: Self.outputTime))
    connection.close()
  }

  private func readRequest() async throws(AdminFailure) -> (ControlFrame.Request, [UInt8]) {
    let deadline = service.clock.monotonic().advanced(by: Self.requestTime)
    var request: ControlFrame.Request?
    var input: [UInt8] = []
    while true {
      do throws(ControlFrame.Problem) {
        while let frame = try ControlFrame.take(from: &connection.input) {
          switch frame {
          case .request(let words) where request == nil: request = words
          case .input(let bytes) where input.count + bytes.count <= Self.longestRequest: input += bytes
          case .endOfInput:
            guard let request else { throw ControlFrame.Problem(description: "input without a command") }
            return (request, input)
          default: throw ControlFrame.Problem(description: "a frame out of its place, or too much input")
          }
        }
      } catch {
        throw AdminFailure("the control socket was sent \(error)", exitCode: 64)
      }
      switch await connection.receive(until: deadline) {
      case .data, .shutdown: break
      case .closed, .deadline: throw AdminFailure("the command did not come whole", exitCode: 64)
      }
    }
  }

  /// The words for the log: escaped, without the credentials that a next hop may hold.
  static func shown(_ words: [String]) -> String {
    words.prefix(20).map { word in
      let text = String.escaped(word.utf8, limit: 100)
      guard let scheme = text.range(of: "://"), let at = text.lastIndex(of: "@"), at >= scheme.upperBound else { return text }
      return text[..<scheme.upperBound] + "..." + text[at...]
    }.joined(separator: " ")
  }
}

/// What all control sessions share.
public struct ControlService: Sendable {
  public var store: any MailStore
  public var live: any LiveServer
  public var configuration: @Sendable () -> Configuration
  public var clock: any Clock
  public var log: Logger
  /// Reads a command's words; the command line gives it, so that both ends read them alike.
  public var parse: @Sendable ([String]) throws(AdminFailure) -> any AdminCommand

  public init(
    store: any MailStore, live: any LiveServer, configuration: @escaping @Sendable () -> Configuration, clock: any Clock,
    log: Logger,
    parse: @escaping @Sendable ([String]) throws(AdminFailure) -> any AdminCommand
  ) {
    self.store = store
    self.live = live
    self.configuration = configuration
    self.clock = clock
    self.log = log
    self.parse = parse
  }

  /// Runs the session of one connection.
  public func serve(_ connection: Connection) async { await ControlSession(service: self, connection: connection).run() }
}

/// A command's output over the control socket.
final class ControlOutput: AdminOutput {
  private let connection: Connection
  private let clock: any Clock

  init(connection: Connection, clock: any Clock) {
    self.connection = connection
    self.clock = clock
  }

  private func send(_ frame: ControlFrame) async throws(AdminFailure) {
    frame.write(to: &connection.output)
    // Gathered up to a read's worth, so that a table costs one packet; `drain` waits for a slow client.
    guard connection.output.readableBytes >= 65_536 else { return }
    try await push()
  }

  private func push() async throws(AdminFailure) {
    guard await connection.drain(until: clock.monotonic().advanced(by: ControlSession.outputTime)) else {
      throw AdminFailure("the command line went away")
    }
  }

  func write(_ bytes: [UInt8], to stream: AdminStream) async throws(AdminFailure) { try await send(.text(bytes, stream)) }

  func progress(_ progress: AdminProgress) async throws(AdminFailure) {
    try await send(.progress(progress))
    try await push()
  }

  func page(_ text: String) async throws(AdminFailure) {
    try await send(.page(text))
    try await push()
  }

  func pause(_ duration: Duration) async throws(AdminFailure) {
    let end = clock.monotonic().advanced(by: duration)
    try await push()
    while clock.monotonic() < end {
      guard !connection.isClosed else { throw AdminFailure("the command line went away") }
      // Nothing is expected from the client but its going away, and what else it sends is left where it is: then only time is waited for.
      switch await connection.receive(until: end) {
      case .closed: throw AdminFailure("the command line went away")
      case .shutdown: throw AdminFailure("the server stops", exitCode: 75)
      case .data: if connection.input.readableBytes > ControlSession.longestRequest { throw AdminFailure("too much input") }
      case .deadline: return
      }
    }
  }

  func file(_ action: FileAction) async throws(AdminFailure) { try await send(.file(action)) }

  func watching<Value: Sendable>(
    _ work: @escaping @Sendable (_ report: @escaping @Sendable (AdminProgress) -> Void) async -> Value
  ) async throws(AdminFailure) -> Value {
    let board = ProgressBoard<Value>()
    let value: Value? = await withTaskGroup(of: Void.self) { group in
      group.addTask { board.finish(await work { board.report($0) }) }
      // The wait for input is this session's own timer: nothing is expected from the client but its going away.
      var pause = Duration.milliseconds(10)
      while true {
        let (latest, value) = board.take()
        if let latest { ControlFrame.progress(latest).write(to: &connection.output) }
        if value != nil { return value }
        if connection.isClosed {
          // Nobody reads the result: the work ends at its next step.
          group.cancelAll()
          return nil
        }
        _ = await connection.receive(until: clock.monotonic().advanced(by: pause))
        pause = min(pause * 2, .milliseconds(250))
      }
    }
    guard let value else { throw AdminFailure("the command line went away") }
    return value
  }
}

/// Where work on another thread leaves its reports and its result.
private final class ProgressBoard<Value: Sendable>: Sendable {
  private let state = Mutex<(latest: AdminProgress?, value: Value?)>((nil, nil))

  func report(_ progress: AdminProgress) { state.withLock { $0.latest = progress } }
  func finish(_ value: Value) { state.withLock { $0.value = value } }
  func take() -> (AdminProgress?, Value?) {
    state.withLock { state in
      defer { state.latest = nil }
      return (state.latest, state.value)
    }
  }
}
