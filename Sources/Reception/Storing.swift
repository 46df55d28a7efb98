import MailModel
import MailStore
import SMTP

/// What was stored of a message.
public struct StoredMessage<Proof: Sendable>: Sendable {
  public var proof: Proof
  /// As it was stored in the end.
  public var acceptance: Acceptance
  /// Places of the recipients (of those judged) that are refused, since all their mailboxes are full; only where each has its own reply.
  public var refused: [Int]
}

/// Why nothing was stored.
public enum StoringProblem: Error, Hashable, Sendable {
  case store(StoreError)
  /// Recipients with full mailboxes, among others: the sender is to try again, and is told at its RCPT then.
  case someAreFull

  /// For log and trace.
  public var reason: String {
    switch self {
    case .store(let error): "\(error)"
    case .someAreFull: "a mailbox is full, others are not"
    }
  }

  /// What it hangs on.
  public var cause: Refusal.Cause {
    switch self {
    case .store(.overQuota), .someAreFull: .mailbox
    case .store: .store
    }
  }

  /// What the client hears.
  public var reply: SMTPReply {
    switch self {
    case .store(let error): StoreReply.reply(to: error)
    case .someAreFull: StoreReply.someAreFull
    }
  }
}

extension Reception {
  /// Stores a message that was accepted. Mailboxes that turn out to be full are left out: what a list loses by that waits in the queue, a
  /// recipient of its own is refused; in LMTP alone (RFC 2033, 4.2), in SMTP with all others, but only once (`FullMailboxes`).
  ///
  /// - Parameters:
  ///   - judged: its recipients.
  ///   - dialect: whether each recipient has its own reply.
  ///   - store: makes an acceptance durable, or says what the store would say to it; called again without those it says are full.
  public func store<Proof>(
    _ planned: Acceptance, for judged: [JudgedRecipient], _ dialect: SMTPDialect, remembering fullMailboxes: FullMailboxes,
    by store: (Acceptance) async throws(StoreError) -> Proof
  ) async throws(StoringProblem) -> StoredMessage<Proof> {
    var acceptance = planned
    var refused: [Int] = []
    var full: Set<AccountID> = []
    var isQueueing = false
    while true {
      do throws(StoreError) {
        let proof = try await store(acceptance)
        return StoredMessage(proof: proof, acceptance: acceptance, refused: refused)
      } catch {
        guard case .overQuota(let account) = error, full.insert(account).inserted else { throw .store(error) }
        var reduced = reduced(planned, of: judged, without: full, isQueueing: isQueueing)
        if reduced.refused.count == judged.count { throw .store(error) }
        if !reduced.refused.isEmpty {
          if dialect == .lmtp {
            refused = reduced.refused
          } else {
            let accounts = reduced.refused.flatMap { judged[$0].local.map(\.account) }
            guard fullMailboxes.remember(Set(accounts)) else { throw .someAreFull }
            isQueueing = true
            reduced = self.reduced(planned, of: judged, without: full, isQueueing: true)
          }
        }
        acceptance = reduced.acceptance
      }
    }
  }
}

/// The one place where a store's refusal becomes an SMTP reply.
public enum StoreReply {
  public static let mailboxFull = SMTPReply(552, EnhancedStatusCode(.permanent, 2, 2), "Mailbox is full").prebuilt()

  public static let someAreFull = SMTPReply(
    452, EnhancedStatusCode(.transient, 2, 2), "One of the mailboxes is full, try again for the others"
  ).prebuilt()

  public static func reply(to error: StoreError) -> SMTPReply {
    switch error {
    case .full: SMTPReply(452, EnhancedStatusCode(.transient, 3, 1), "Insufficient system storage, try again later")
    case .overQuota: mailboxFull
    case .invalid(let what): SMTPReply(554, EnhancedStatusCode(.permanent, 6, 0), "Message can't be stored: \(what)")
    case .notFound: SMTPReply(451, EnhancedStatusCode(.transient, 2, 1), "A mailbox changed meanwhile, try again")
    case .exists, .notEmpty, .stale, .damaged, .unavailable:
      SMTPReply(451, EnhancedStatusCode(.transient, 3, 0), "Message was not stored, try again later")
    case .closed: SMTPReply(421, EnhancedStatusCode(.transient, 3, 2), "Server is shutting down, try again later")
    }
  }
}
