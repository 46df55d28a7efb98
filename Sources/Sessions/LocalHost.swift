import Delivery
import Identity
import InternetMessage
import MailModel
import MailStore
import NIOCore
import Outside
import Reception
import SMTP

/// This host as delivery sees it: takes its notifications in, and says where a queued recipient lives if it lives here.
public struct LocalHost: NotificationSink, LocalDestination {
  public var reception: Reception
  public var directory: DirectoryHolder
  public var store: any MailStore
  public var clock: any Clock
  /// Takes what is queued for other hosts on its way.
  public var outbound: any Outbound

  public init(
    reception: Reception, directory: DirectoryHolder, store: any MailStore, clock: any Clock, outbound: any Outbound
  ) {
    self.reception = reception
    self.directory = directory
    self.store = store
    self.clock = clock
    self.outbound = outbound
  }

  // MARK: Notifications

  public var postmaster: EmailAddress { EmailAddress(localPart: "postmaster", domain: "") }

  /// Stores a notification for whoever it is for: a mailbox here or the queue. One for nobody (a sender that never existed) is kept in
  /// the trace only, since telling anybody else would be backscatter.
  ///
  /// It may put a mailbox over its quota a little (`Reception.notificationGrace`); beyond that it waits in the queue.
  public func accept(_ notification: ComposedNotification) async throws(StoreError) -> StoredNotification {
    var acceptance = reception.acceptance(
      of: notification.recipient, id: notification.id, subject: notification.subject, stage: notification.stage.rawValue,
      due: notification.notBefore,
      envelope: notification.envelope, observed: observe(notification.bytes))
    guard !acceptance.deliveries.isEmpty || !acceptance.recipients.isEmpty else {
      store.note(notification.id, acceptance.trace)
      return StoredNotification(id: notification.id, discarded: "a notification for nobody")
    }
    let spool = store.makeSpool()
    do throws(StoreError) {
      try await spool.append(ByteBuffer(bytes: notification.bytes))
      let body = try await spool.finish()
      let receipt = try await accept(
        &acceptance, body: body, claiming: acceptance.recipients.allSatisfy { $0.due <= clock.schedule() })
      if let queued = receipt.queued, queued.entries.contains(where: { $0.state == .claimed }), !receipt.isRepeated {
        outbound.submit(queued, bytes: nil)
      }
      return StoredNotification(id: receipt.id)
    } catch {
      spool.discard()
      throw error
    }
  }

  /// Stores; the copies for mailboxes that turn out to be full wait in the queue.
  private func accept(_ acceptance: inout Acceptance, body: SpooledBody, claiming: Bool) async throws(StoreError) -> Receipt {
    while true {
      do throws(StoreError) {
        return try await store.accept(acceptance, body: body, claiming: claiming)
      } catch {
        guard case .overQuota(let account) = error, acceptance.putOff(account) else { throw error }
      }
    }
  }

  private func observe(_ bytes: [UInt8]) -> MessageObservation {
    var observer = MessageObserver()
    observer.observe(ByteBuffer(bytes: bytes))
    return observer.finish()
  }

  // MARK: Local recipients

  public func isLocal(_ domain: String) -> Bool { directory.snapshot.kind(of: domain) == .local }

  /// Queued recipients that turn out to live here: the domain became local meanwhile, or the mailbox could not take it at once.
  public func resolve(_ entry: QueueEntry, of message: QueuedMessage) async -> LocalResolution {
    let snapshot = directory.snapshot
    let isExpanded = entry.destination == QueueEntry.localDestination
    switch isExpanded ? snapshot.resolveMailbox(entry.address) : snapshot.resolve(entry.address) {
    case .deliverable(let expansion):
      guard let target = expansion.local.first, expansion.local.count == 1, expansion.remote.isEmpty,
        expansion.undeliverable.isEmpty
      else {
        return await expand(entry, of: message, to: expansion)
      }
      return .deliver(
        LocalDelivery(account: target.account, recipient: target.address, notification: entry.notification))
    case .relayDomain, .unknownDomain:
      return .transient(reason: "451 4.3.5 The domain is not delivered here any more")
    case .unknownUser:
      return .permanent(reason: "550 5.1.1 <\(entry.address.wire)>: no such user here")
    case .disabled:
      return .permanent(reason: "550 5.2.1 <\(entry.address.wire)>: mailbox is disabled")
    case .loop, .tooManyTargets:
      return .permanent(reason: "550 5.4.6 <\(entry.address.wire)>: its aliases lead to one another or too far")
    }
  }
}

extension LocalHost {
  /// An address that has come to stand for several: the message goes on under a new id for all of them, accepted once even if this is
  /// tried again, since the id hangs on the entry.
  private func expand(_ entry: QueueEntry, of message: QueuedMessage, to expansion: Expansion) async -> LocalResolution {
    let now = clock.now()
    let due = clock.schedule()
    let spool = store.makeSpool()
    var observer = MessageObserver()
    do throws(StoreError) {
      var offset = 0
      while offset < message.size {
        let page = try await store.read(message.body, range: offset..<min(offset + 262_144, message.size))
        guard page.readableBytes > 0 else { break }
        offset += page.readableBytes
        observer.observe(page)
        try await spool.append(page)
      }
      let observed = observer.finish()
      var acceptance = Acceptance(
        id: message.id, received: now, due: due, envelope: message.envelope, prefix: [], summary: observed.summary,
        census: observed.census,
        deliveries: expansion.local.map {
          LocalDelivery(account: $0.account, recipient: $0.address, notification: entry.notification)
        },
        recipients: expansion.remote.map {
          QueuedRecipient(
            address: $0, notification: entry.notification, destination: $0.asciiDomain ?? $0.domain, due: due)
        }
          + expansion.undeliverable.map {
            QueuedRecipient(
              address: $0, notification: entry.notification, destination: QueueEntry.localDestination, due: due)
          },
        trace: [
          TraceEvent(
            time: now, kind: .received, recipient: entry.address.description,
            detail: [
              .init("expanded-from", message.id.description), .init("because", expansion.explanation),
              .init("from", message.envelope.reversePath.map(\.description) ?? "<>"), .init("to", entry.address.description),
            ] + (observed.summary.messageID.map { [.init("message-id", $0)] } ?? []))
        ],
        origin: entry.id)
      let receipt = try await accept(&acceptance, of: message, body: try await spool.finish())
      if !receipt.isRepeated, let queued = receipt.queued { outbound.submit(queued, bytes: nil) }
      return .expanded(into: receipt.id)
    } catch {
      spool.discard()
      return .transient(reason: StoreReply.reply(to: error).description)
    }
  }

  /// Tries the ids that hang on the entry in order, so that another attempt finds what this one has stored; one that another message
  /// has is passed over.
  private func accept(
    _ acceptance: inout Acceptance, of message: QueuedMessage, body: SpooledBody
  ) async throws(StoreError) -> Receipt {
    let number = UInt64(bitPattern: acceptance.origin?.rawValue ?? 0)
    for step in 0..<UInt64(64) {
      acceptance.id = QueueID(at: message.received, randomness: number &+ step)
      do throws(StoreError) {
        return try await accept(&acceptance, body: body, claiming: true)
      } catch {
        guard case .exists = error else { throw error }
      }
    }
    throw .exists("ids for \(message.id)")
  }
}
