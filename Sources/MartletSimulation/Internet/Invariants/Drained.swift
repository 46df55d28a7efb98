/// Once the faults have stopped, every queue drains.
enum Drained {
  static let name = "drained"

  static func check(_ census: Census) -> [Violation] {
    census.messages.filter { !$0.queued.isEmpty }.map { message in
      let entries = message.queued.map { "\($0.address.plain) after \($0.attempts) attempts (\($0.lastReply))" }
      return Violation(
        invariant: name, what: "\(message.server) still has \(message.id) (\(message.token)) for \(entries.joined(separator: ", "))"
      )
    }
  }
}
