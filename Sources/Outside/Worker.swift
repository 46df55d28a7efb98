/// A place for blocking work, in order: one job at a time, first come first served.
///
/// The server's is a thread of its own (the store's writer, a reader, a checkpoint); a simulation's is its one executor.
/// A job must end by itself. Jobs never run inside `submit`.
public protocol SerialWorker: Sendable {
  /// Queues `job`.
  func submit(_ job: @escaping @Sendable () -> Void)

  /// Queues `job` to run no earlier than `delay` from now (precise to about 0.1 ms). Used for group commit's wait for company.
  func submit(after delay: Duration, _ job: @escaping @Sendable () -> Void)
}

extension SerialWorker {
  /// What `job` gives, once it had its turn; whoever waits is back on its own executor.
  public func run<Value: Sendable>(_ job: @escaping @Sendable () -> Value) async -> Value {
    await withUnsafeContinuation { continuation in submit { continuation.resume(returning: job()) } }
  }
}

/// Makes workers: a part that needs a thread asks for one by name.
public protocol WorkerProvider: Sendable {
  /// A serial worker of its own. `name` (at most 15 ASCII characters) is what `top -H` shows.
  func makeSerialWorker(named name: String) -> any SerialWorker
}
