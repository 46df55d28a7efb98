import CLinux
import Glibc
import Synchronization

/// A signal that means something to the server.
public enum ProcessSignal: Hashable, Sendable {
  /// SIGTERM or SIGINT: end politely.
  case terminate
  /// SIGHUP: read the configuration again, reopen the log.
  case reload

  init?(_ number: CInt) {
    switch number {
    case SIGTERM, SIGINT: self = .terminate
    case SIGHUP: self = .reload
    default: return nil
    }
  }
}

/// Turns signals into events. The handler, in C, only writes the signal's number to a pipe; a thread of its own reads it.
///
/// Blocking the signals everywhere and waiting for them would be simpler, but `dispatchMain` (and so an asynchronous `main`)
/// leaves the main thread in `sigsuspend` with every signal unblocked: without a handler SIGTERM would kill the process.
///
/// - Continuations: one waiter; taken by whoever resumes it.
public final class ProcessSignals: Sendable {
  private struct State {
    var arrived: [ProcessSignal] = []
    var waiter: UnsafeContinuation<ProcessSignal, Never>?
  }

  private let state = Mutex(State())

  /// Blocks the signals for the calling thread and those it starts, until somebody takes them: `init`, or a supervisor. To be
  /// called first thing in `main`, before any thread.
  public static func block() {
    var signals = set
    pthread_sigmask(SIG_BLOCK, &signals, nil)
  }

  /// Installs the handlers and starts the thread that reads what they write. One a process.
  public init() {
    var signals = Self.set
    let arriving = clinux_watch_signals(&signals)
    guard arriving >= 0 else { return }
    var thread = pthread_t()
    ThreadWorker.startThread(&thread, named: "signals") { [self] in
      // Unblocked here, so that one thread takes them whatever the others do.
      var signals = Self.set
      pthread_sigmask(SIG_UNBLOCK, &signals, nil)
      var number: UInt8 = 0
      while true {
        let count = read(arriving, &number, 1)
        if count == 1, let signal = ProcessSignal(CInt(number)) { deliver(signal) }
        if count == 0 || (count < 0 && errno != EINTR) { return }
      }
    }
    pthread_detach(thread)
  }

  /// The next signal, in order; the same one that came several times before it was taken counts once. One caller at a time.
  public func next() async -> ProcessSignal {
    await withUnsafeContinuation { continuation in
      let signal = state.withLock { state -> ProcessSignal? in
        guard state.arrived.isEmpty else { return state.arrived.removeFirst() }
        state.waiter = continuation
        return nil
      }
      if let signal { continuation.resume(returning: signal) }
    }
  }

  /// As if the process had got `signal`: for the control socket.
  public func deliver(_ signal: ProcessSignal) {
    let waiter = state.withLock { state -> UnsafeContinuation<ProcessSignal, Never>? in
      if let waiter = state.waiter {
        state.waiter = nil
        return waiter
      }
      if !state.arrived.contains(signal) { state.arrived.append(signal) }
      return nil
    }
    waiter?.resume(returning: signal)
  }

  static var set: sigset_t {
    var signals = sigset_t()
    sigemptyset(&signals)
    for number in [SIGTERM, SIGINT, SIGHUP] { sigaddset(&signals, number) }
    return signals
  }
}
