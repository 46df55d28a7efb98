import MailModel

extension SQLiteStore {
  /// Takes dead segments back and empties those that are at least half dead: what goes on in the background, at once and in full.
  public func compact(progress: @escaping @Sendable (VerifyProgress) -> Void) async throws(StoreError) -> Int64 {
    try await Waiting.result { done in parts.compaction.run(.everything, progress: progress, finish: done) }
  }

  public func close() async { await parts.close() }
}
