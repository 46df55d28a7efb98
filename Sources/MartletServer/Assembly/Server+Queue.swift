import Delivery
import MailModel
import Synchronization

/// What commands about the queue ask of the running server.
extension Server {
  /// Looks at the queue now: recipients may have become due.
  func wakeQueue() { parts.loops.all[0].loop.execute { [parts] in parts.scheduler.queueChanged() } }

  /// Takes recipients out of delivery's hands that only wait there; how many.
  func withdraw(_ recipients: [QueueRecipientID]) async -> Int {
    let count = Mutex(0)
    await parts.loops.all[0].start { [parts] in
      let withdrawn = await parts.scheduler.withdraw(recipients)
      count.withLock { $0 = withdrawn }
    }.value
    return count.withLock { $0 }
  }

  /// What goes on towards these destinations, and up to `busy` others.
  func destinations(_ names: [String], busy: Int) async -> [DestinationReport] {
    let result = Mutex<[DestinationReport]>([])
    await parts.loops.all[0].start { [parts] in
      let reports = parts.scheduler.reports(of: names, busy: busy)
      result.withLock { $0 = reports }
    }.value
    return result.withLock { $0 }
  }

  /// Takes no more mail, or takes it again: new connections get `421 4.3.2`, sessions that run end at their next command with the same,
  /// whole messages being finished; what is queued is delivered as ever.
  func drain(_ isDraining: Bool) {
    let listeners = state.withLock { state in
      state.isDraining = isDraining
      return state.listeners
    }
    (notes as? SharedNotes)?.isDraining = isDraining
    for listener in listeners { listener.drain(isDraining) }
    parts.log.notice(isDraining ? "draining: no mail is taken" : "no longer draining: mail is taken")
  }

  var isDraining: Bool { state.withLock { $0.isDraining } }
}
