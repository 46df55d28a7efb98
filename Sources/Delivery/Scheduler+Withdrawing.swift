import MailModel
import MailStore
import Outside

/// Recipients that a person has held, removed or sent another way.
extension Scheduler {
  /// Gives those of `recipients` back to the queue that only wait in memory, for a route, a place or a connection, so that what was
  /// ordered for them is done before they are tried. Those of a transaction that runs are left to it.
  ///
  /// Returns how many were given back, after the store has them.
  public func withdraw(_ recipients: [QueueRecipientID]) async -> Int {
    confine()
    let wanted = Set(recipients).intersection(inHand)
    guard !wanted.isEmpty else { return 0 }
    let now = services.clock.schedule()
    var records: [OutcomeRecord] = []
    func take(from job: Job) {
      for entry in job.entries where wanted.contains(entry.id) {
        records.append(OutcomeRecord(entry: entry.id, message: entry.message, outcome: .returned(next: now)))
      }
      job.entries.removeAll { wanted.contains($0.id) }
    }
    for pool in poolOrder {
      // A worker that makes a connection looks at what is left of its job once it has it.
      for job in pool.starting { take(from: job) }
      for job in pool.withdraw(where: take) { over(job) }
    }
    for (group, waiting) in unrouted {
      for job in waiting { take(from: job) }
      unrouted[group] = waiting.filter { !$0.entries.isEmpty }
      for job in waiting where job.entries.isEmpty { over(job) }
    }
    do throws(StoreError) { try await recorder.recordDurably(records) } catch {
      for record in records { recorder.add(record) }
    }
    return records.count
  }
}
