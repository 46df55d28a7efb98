import MailModel
import MailStore

/// Gathers outcomes and hands them to the store together, lazily: they ride in its next group.
///
/// `@unchecked Sendable` is true since one thread alone touches it: only the scheduler and what it owns hold it, and what it has handed over
/// comes back through `recorded`, which checks that it is on delivery's loop (`Scheduler.confine`). `add` and `flush` are called by the
/// scheduler, its notifier, workers and transports only, in tasks that `DeliveryServices.spawn` starts on that loop or behind a `confine`; the
/// one wait, for the store, comes back to the loop of the task that waits. Nothing else in this target or above it names a recorder.
final class Recorder: @unchecked Sendable {
  /// Outcomes kept while the store fails; beyond, the oldest are forgotten: their recipients are tried again when the lease ends.
  static let limit = 100_000

  private let store: any QueueStore
  private var pending: [OutcomeRecord] = []
  private var isRecording = false
  /// The last hand-over failed; the scheduler's timer tries again.
  private(set) var isFailing = false
  /// Told which recipients have been recorded.
  var recorded: (([OutcomeRecord]) -> Void)?

  init(store: any QueueStore) { self.store = store }

  var hasPending: Bool { !pending.isEmpty }

  func add(_ record: OutcomeRecord) { pending.append(record) }

  /// Hands over what there is. Who comes while another is at it leaves it to them.
  func flush() async {
    guard !isRecording else { return }
    isRecording = true
    while !pending.isEmpty {
      let batch = pending
      pending = []
      do throws(StoreError) {
        try await store.record(batch, .lazily)
        isFailing = false
        recorded?(batch)
      } catch {
        isFailing = true
        pending = Array((batch + pending).suffix(Self.limit))
        break
      }
    }
    isRecording = false
  }

  /// Records and waits for the sync.
  func recordDurably(_ records: [OutcomeRecord]) async throws(StoreError) {
    try await store.record(records, .durably)
    recorded?(records)
  }
}
