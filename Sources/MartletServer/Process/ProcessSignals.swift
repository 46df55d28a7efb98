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

/// Turns signals into events: a thread of its own waits for them, so no code runs inside a signal handler.
///
/// - Continuations: one waiter; taken by whoever resumes it.
public final class ProcessSignals: Sendable {
  private struct State {
    var arrived: [ProcessSignal] = []
    var waiter: UnsafeContinuation<ProcessSignal, Never>?
  }

  private let state = Mutex(State())

  /// Blocks the signals for the calling thread and those it starts. To be called first thing in `main`, before any thread.
  public static func block() {
    var signals = set
    pthread_sigmask(SIG_BLOCK, &signals, nil)
  }

  /// Starts the thread that waits for the signals.
  public init() {
    Self.block()
    var thread = pthread_t()
    ThreadWorker.startThread(&thread, named: "signals") { [self] in
      var signals = Self.set
      while true {
        var number: CInt = 0
        if sigwait(&signals, &number) == 0, let signal = ProcessSignal(number) { deliver(signal) }
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
