import Glibc
import Synchronization

/// Writes log lines to a file or to standard error, on a thread of its own, through a bounded buffer.
///
/// Whoever logs only appends to the buffer. If the reader of a pipe is blocked, or the disk is full, the buffer fills, further
/// lines are dropped and counted, and the count is written as soon as lines go out again (HOSTILE 65).
///
/// Lines are gathered for `gatherTime`, since waking a thread and a `write` for each cost more than making the line (4 of 6 futex
/// calls a relayed message, measured); one that is urgent, or a quarter of the buffer, goes out at once.
///
/// - Confinement: `state` is behind a lock, `descriptor` inside it; writes happen on the one thread.
public final class LogWriter: Sendable {
  /// Octets that may wait to be written: 1 MiB.
  public static let bufferSize = 1_048_576

  /// How long a line may wait for others: 10 ms.
  public static let gatherTime: Duration = .milliseconds(10)

  private enum Schedule { case idle, gathering, urgent }

  private struct State {
    var buffer: [UInt8] = []
    var unreported: UInt64 = 0
    var dropped: UInt64 = 0
    var schedule = Schedule.idle
    var descriptor: CInt
  }

  /// Where it writes; empty for standard error.
  public let path: String
  private let state: Mutex<State>
  private let worker: ThreadWorker

  /// Opens `path` for appending (mode 0640); standard error if it is empty.
  public init(path: String = "") throws(LogError) {
    self.path = path
    state = Mutex(State(descriptor: try Self.open(path)))
    worker = ThreadWorker(named: "log")
  }

  /// For tests: writes to a descriptor, which then belongs to the writer.
  init(descriptor: CInt) {
    path = ""
    state = Mutex(State(descriptor: descriptor))
    worker = ThreadWorker(named: "log")
  }

  /// Lines that were dropped so far.
  public var dropped: UInt64 {
    state.withLock { $0.dropped }
  }

  /// Queues a line, its line end included; with `isUrgent` (a warning, say) it does not wait for others.
  public func write(_ line: [UInt8], isUrgent: Bool = false) {
    let next = state.withLock { state -> Schedule in
      guard line.count <= Self.bufferSize - state.buffer.count else {
        state.dropped &+= 1
        state.unreported &+= 1
        return .idle
      }
      state.buffer += line
      let wanted = isUrgent || state.buffer.count >= Self.bufferSize / 4 ? Schedule.urgent : .gathering
      switch state.schedule {
      case .urgent: return .idle
      case .gathering where wanted == .gathering: return .idle
      case .idle, .gathering:
        state.schedule = wanted
        return wanted
      }
    }
    switch next {
    case .idle: break
    case .gathering: worker.submit(after: Self.gatherTime) { self.writeOut() }
    case .urgent: worker.submit { self.writeOut() }
    }
  }

  /// Opens the file anew, after it was moved away; the old one is kept if that fails.
  public func reopen() throws(LogError) {
    guard !path.isEmpty else { return }
    let descriptor = try Self.open(path)
    worker.submit {
      let old = self.state.withLock { state in
        let old = state.descriptor
        state.descriptor = descriptor
        return old
      }
      if old > 2 { close(old) }
    }
  }

  /// Waits until what was queued is written, 1 s at most: the last thing before the process ends.
  public func flush() {
    let clock = SystemClock()
    let end = clock.monotonic().advanced(by: .seconds(1))
    worker.submit { self.writeOut() }
    while state.withLock({ $0.schedule != .idle }) && clock.monotonic() < end { usleep(1_000) }
  }

  /// On the worker: writes all there is.
  private func writeOut() {
    while true {
      let (bytes, unreported, descriptor) = state.withLock { state -> ([UInt8], UInt64, CInt) in
        let taken = (state.buffer, state.unreported, state.descriptor)
        state.buffer = []
        state.unreported = 0
        if taken.0.isEmpty && taken.1 == 0 { state.schedule = .idle }
        return taken
      }
      if bytes.isEmpty && unreported == 0 { return }
      var lost = writeAll(bytes, to: descriptor) ? 0 : UInt64(bytes.count { $0 == 0x0A })
      if unreported > 0 {
        let text = "time=\(LogLine.time(SystemClock().now())) level=warning msg=\"log lines dropped\" count=\(unreported)\n"
        if !writeAll(Array(text.utf8), to: descriptor) { lost &+= unreported }
      }
      if lost > 0 {
        state.withLock {
          $0.dropped &+= UInt64(bytes.count { $0 == 0x0A })
          $0.unreported &+= lost
          // Tried again with the next line, not at once and for ever.
          $0.schedule = .idle
        }
        return
      }
    }
  }

  private func writeAll(_ bytes: [UInt8], to descriptor: CInt) -> Bool {
    var offset = 0
    while offset < bytes.count {
      let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress?.advanced(by: offset), $0.count - offset) }
      if count > 0 {
        offset += count
      } else if count < 0 && errno == EAGAIN {
        var waited = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        poll(&waited, 1, 1_000)
      } else if count >= 0 || errno != EINTR {
        return false
      }
    }
    return true
  }

  private static func open(_ path: String) throws(LogError) -> CInt {
    guard !path.isEmpty else { return 2 }
    let descriptor = Glibc.open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o640)
    guard descriptor >= 0 else { throw LogError(path: path, reason: String(cString: strerror(errno))) }
    return descriptor
  }
}

/// Why a log file can't be opened.
public struct LogError: Error, Hashable, Sendable, CustomStringConvertible {
  public var path: String
  public var reason: String

  public var description: String { "can't open the log \(path): \(reason)" }
}
