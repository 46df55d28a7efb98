import MailModel
import MailStore
import Outside

/// Due work is read in due order: what a claim brings was due no later than anything it leaves behind.
enum DueOrder {
  static let name = "due order"

  /// What is out of order in a claim, `left` being the recipients that wait after it; nil: nothing.
  ///
  /// The recipients of a message stand together, wherever the others of the claim are due: the first of them counts.
  static func fault(of claimed: [QueueEntry], left: [QueueEntry]) -> String? {
    var firsts: [QueueEntry] = []
    for entry in claimed {
      guard let last = firsts.last, last.message == entry.message else {
        firsts.append(entry)
        continue
      }
      if entry.nextAttempt < last.nextAttempt { firsts[firsts.count - 1] = entry }
    }
    for (one, next) in zip(firsts, firsts.dropFirst()) where next.nextAttempt < one.nextAttempt {
      return "\(next.message), due \(one.nextAttempt.since(next.nextAttempt)) before \(one.message), came after it"
    }
    guard let last = claimed.map(\.nextAttempt).max() else { return nil }
    return left.first { $0.state == .waiting && $0.nextAttempt < last }.map {
      "\($0.message) for \($0.destination) was left behind, due \(last.since($0.nextAttempt)) before what was claimed"
    }
  }
}
