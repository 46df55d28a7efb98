import Delivery
import InternetMessage
import MailStore
import Outside
import Sessions

/// This host as delivery sees it, watched: which notifications it made.
struct ObservedSink: NotificationSink {
  let local: LocalHost
  private let server: SimulatedServer
  private let life: Int

  init(_ local: LocalHost, server: SimulatedServer, life: Int) {
    self.local = local
    self.server = server
    self.life = life
  }

  var postmaster: EmailAddress { local.postmaster }

  func accept(_ notification: ComposedNotification) async throws(StoreError) -> StoredNotification {
    let plant = server.isPlanted ? server.world.scenario.plant : nil
    if plant == .lostNotification, server.plants(oneIn: 2) { return StoredNotification(id: notification.id) }
    if plant == .doubleNotification, server.plants(oneIn: 2) {
      var again = notification
      again.id = local.store.makeQueueID()
      _ = try await store(again)
    }
    return try await store(notification)
  }

  private func store(_ notification: ComposedNotification) async throws(StoreError) -> StoredNotification {
    let stored = try await local.accept(notification)
    guard server.host.life == life else { return stored }
    let report = MessageScan.report(in: notification.bytes)
    server.world.history.add(
      .init(
        server: server.name, life: life, id: "\(stored.id)", subject: "\(notification.subject)", stage: notification.stage.rawValue,
        recipient: notification.recipient.wire, isForPostmaster: notification.isForPostmaster, discarded: stored.discarded,
        told: report?.recipients ?? [], at: server.world.now))
    return stored
  }
}
