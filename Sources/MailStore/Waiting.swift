/// The one place where a caller of the store waits: for a group's commit, a page that is read, a job that a worker does.
///
/// Such a wait is never given up: every job that is submitted ends with exactly one call of what it was given, on whatever worker it
/// then runs.
enum Waiting {
  /// Calls `start` at once with what must be called exactly once, and returns what that was called with.
  static func result<T: Sendable>(
    _ start: (@escaping @Sendable (Result<T, StoreError>) -> Void) -> Void
  ) async throws(StoreError) -> T {
    let result: Result<T, StoreError> = await withCheckedContinuation { continuation in
      start { continuation.resume(returning: $0) }
    }
    return try result.get()
  }

  /// The same without a result.
  static func end(_ start: (@escaping @Sendable () -> Void) -> Void) async {
    await withCheckedContinuation { continuation in start { continuation.resume() } }
  }
}
