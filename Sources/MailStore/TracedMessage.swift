import MailModel
import Outside

extension MailStore {
  /// The same for all of the trace.
  public func traces(naming text: String, limit: Int) async throws(StoreError) -> [QueueID] {
    try await traces(naming: text, since: nil, before: nil, limit: limit)
  }

  /// The same up to now.
  public func traces(naming text: String, since: Timestamp?, limit: Int) async throws(StoreError) -> [QueueID] {
    try await traces(naming: text, since: since, before: nil, limit: limit)
  }
}

/// A message and what is known of it.
public struct TracedMessage: Hashable, Sendable {
  public var id: QueueID
  public var events: [TraceEvent]

  public init(id: QueueID, events: [TraceEvent]) {
    self.id = id
    self.events = events
  }
}
