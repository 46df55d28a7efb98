/// The one place where the server makes root tasks: everything else is straight-line code or a child of one of these.
extension ServerLoop {
  /// Starts `operation` as a task that never leaves this loop's thread. Child tasks inherit that.
  @discardableResult
  public func start(_ operation: @escaping @Sendable () async -> Void) -> Task<Void, Never> {
    Task(executorPreference: executor) { await operation() }
  }
}
