import Bytes
import InternetMessage
import MailModel
import NIOCore
import Outside

/// All durable state. Small enough to read in a minute; one conformance suite runs against every back end.
///
/// - Durability: a call that changes something returns after the change is on stable storage, unless it says otherwise.
///   Calls that run at the same time share one transaction and one sync.
/// - Atomicity: each call is all or nothing; a refusal (`StoreError`) has written nothing.
/// - Failure: a failed sync is final for its group (`unavailable`); no result of that group was or will be given.
/// - Reads see every change whose call has returned.
public protocol MailStore: Sendable {
  // MARK: Bodies

  /// Starts taking in a body. Small ones stay in memory until `accept`; larger ones stream into a segment while they arrive.
  func makeSpool() -> any BodySpool

  /// Bytes `range` of a stored body (prefix included), clamped to what is there, at most 1 MiB a call.
  func read(_ body: BodyID, range: Range<Int>) async throws(StoreError) -> ByteBuffer

  // MARK: Messages that arrive

  /// A transaction that will end in `accept` has begun (MAIL was taken): a group that commits meanwhile may wait 0.3 ms for it.
  func transactionBegan()
  /// The transaction is over, however it ended (receipt, refusal, RSET, lost connection). One for each `transactionBegan`.
  func transactionEnded()

  /// What `accept` would throw whatever it is given, known without asking the disk: `full` or `unavailable`; nil while all is well.
  var refusal: StoreError? { get }

  /// An id for a message that is to be accepted: above every id in the store and every one made before. At once, on any thread.
  func makeQueueID() -> QueueID

  /// Makes a message durable with every pointer to it: mailbox entries, queue entries, trace.
  ///
  /// An id in use is refused (`exists`); with an `origin`, the same message accepted again gives the same receipt.
  ///
  /// With `claiming`, the queue entries are leased to the caller at once (they are in the receipt), so that what goes out straight
  /// away costs no second transaction.
  func accept(_ acceptance: Acceptance, body: SpooledBody, claiming: Bool) async throws(StoreError) -> Receipt

  // MARK: Queue

  /// Leases at most `limit` recipients due at `now`, in due order, grouped by message. A lease ends at `leaseEnd` or with the process.
  func claimDue(now: Timestamp, limit: Int, leaseEnd: Timestamp) async throws(StoreError) -> [QueuedMessage]

  /// When the next waiting recipient is due; nil if none waits.
  func nextDue() async throws(StoreError) -> Timestamp?

  /// Makes waiting recipients that are due later than `longest` from `now` due within it, spread as they were: after a clock was set
  /// back they would wait for it. Counts them; at most a page a call, so 0 means that none is left.
  func hasten(now: Timestamp, longest: Duration) async throws(StoreError) -> Int

  /// Records outcomes together. `.lazily`: rides in the next group and is durable within 50 ms (RFC 5321, 4.1.1.4 allows the
  /// duplicate that a crash in between makes); returns at once. `.durably` returns after the sync.
  func record(_ outcomes: [OutcomeRecord], _ durability: RecordDurability) async throws(StoreError)

  /// Queued messages that match, by received time, at most `limit` after `after`; fewer, if they have many recipients together. None:
  /// there are no more.
  func queue(matching selection: QueueSelection, after: QueueID?, limit: Int) async throws(StoreError) -> [QueuedMessage]

  /// Does `action` to the next recipients that match, behind `after`; counts those that it changed anything for (held ones are not
  /// retried). Recipients that are leased are changed as soon as their lease ends (`remove` then takes effect unless it was delivered).
  ///
  /// One bounded transaction, durable when it returns; whoever means all goes on from `next` until that is nil. Done twice it changes
  /// nothing more, so an order that was broken off is given again.
  func act(
    _ action: QueueAction, on selection: QueueSelection, now: Timestamp, after: QueuePlace?
  ) async throws(StoreError) -> ActedOn

  /// Counts of waiting, held and claimed recipients, and of messages.
  func queueCounts() async throws(StoreError) -> QueueCounts

  /// What waits, by destination, in the next slice of the queue behind `after`; the slices of a whole walk are added up.
  ///
  /// Each reads at most 2,000 recipients, and no transaction spans two: what comes or goes meanwhile is in or not.
  func queueTallies(after: QueuePlace?) async throws(StoreError) -> QueueTallies

  // MARK: Mailboxes

  func mailboxes(of account: AccountID) async throws(StoreError) -> [Mailbox]
  func mailbox(_ name: String, of account: AccountID) async throws(StoreError) -> Mailbox
  /// Makes a mailbox and the levels above it; `exists` if it is there.
  func createMailbox(_ name: String, of account: AccountID, specialUse: String?) async throws(StoreError) -> Mailbox
  /// Renames a mailbox and those below it; renaming INBOX moves its messages (RFC 9051, 6.3.6).
  func renameMailbox(_ name: String, to newName: String, of account: AccountID) async throws(StoreError)
  /// Removes a mailbox with its messages; its name never gets the same UIDVALIDITY again.
  func deleteMailbox(_ name: String, of account: AccountID) async throws(StoreError)
  func setSubscribed(_ subscribed: Bool, mailbox name: String, of account: AccountID) async throws(StoreError)

  /// Appends a message (RFC 9051, 6.3.12).
  func append(_ message: AppendedMessage, body: SpooledBody, to mailbox: MailboxID) async throws(StoreError) -> UID

  /// Entries with a UID in `range`, in UID order, at most `limit` (1,000 at most).
  func entries(in mailbox: MailboxID, from first: UID, limit: Int) async throws(StoreError) -> [MailboxEntry]

  /// The UIDs in a mailbox in order, run-length: closed ranges.
  func uids(in mailbox: MailboxID) async throws(StoreError) -> [ClosedRange<UInt32>]

  /// Changes flags; messages whose modification sequence is above `unchangedSince` are left and named in the result (RFC 7162, 3.1.3).
  func setFlags(
    _ change: FlagChange, of uids: [UID], in mailbox: MailboxID, unchangedSince: ModSeq?
  ) async throws(StoreError) -> FlagResult

  /// Copies; pairs of old and new UIDs in order. All or nothing.
  func copy(_ uids: [UID], from source: MailboxID, to target: MailboxID) async throws(StoreError) -> CopyResult

  /// Moves (RFC 6851): as `copy`, and the old entries are closed in the same transaction.
  func move(_ uids: [UID], from source: MailboxID, to target: MailboxID) async throws(StoreError) -> CopyResult

  /// Removes messages; only those with `\Deleted` unless `force`. The UIDs that went.
  func expunge(_ uids: [UID]?, from mailbox: MailboxID, force: Bool) async throws(StoreError) -> [UID]

  /// What changed since `modSeq` (exclusive), in pages of at most 1,000. `stale` if the expunge log no longer reaches back that far.
  func changes(in mailbox: MailboxID, since modSeq: ModSeq) async throws(StoreError) -> MailboxChanges

  /// Every committed change from now on, in commit order. The handler is called on the writer, so it must only hand over.
  func observe(_ handler: @escaping @Sendable ([StoreChange]) -> Void)

  // MARK: Directory

  func directory() async throws(StoreError) -> DirectoryContents
  /// The account with this main address (local part compared without case).
  func account(_ address: EmailAddress) async throws(StoreError) -> Account
  func addDomain(_ domain: Domain) async throws(StoreError)
  func updateDomain(_ domain: Domain) async throws(StoreError)
  /// Refused with `notEmpty` while accounts or aliases live in it.
  func removeDomain(_ name: String) async throws(StoreError)
  /// Makes an account with its INBOX (and Drafts, Sent, Junk, Trash, Archive with their special uses).
  func addAccount(address: EmailAddress, passwordHash: String, quota: Int64, created: Timestamp) async throws(StoreError) -> Account
  func updateAccount(_ account: Account) async throws(StoreError)
  func removeAccount(_ id: AccountID) async throws(StoreError)
  /// Adds or replaces an alias.
  func setAlias(_ alias: Alias) async throws(StoreError)
  func removeAlias(_ address: EmailAddress) async throws(StoreError)
  /// Octets an account holds, and its domain.
  func usage(of account: AccountID) async throws(StoreError) -> Usage
  /// What accounts hold, in the order of their ids behind `account`, at most 1,000 a call; none: there are no more.
  func holdings(after account: AccountID?) async throws(StoreError) -> [Holding]

  // MARK: Trace

  /// Events of refused peers and the like, outside any acceptance; not waited for, durable within 50 ms, bounded: what is too much is
  /// dropped and counted (`droppedNotes`), and of one client's refusals within a minute those beyond a number are told together.
  ///
  /// Returns whether they are told by themselves.
  @discardableResult
  func note(_ id: QueueID, _ events: [TraceEvent]) -> Bool
  /// Calls of `note` that were dropped since the store was opened, since too many waited.
  var droppedNotes: UInt64 { get }
  func trace(of id: QueueID) async throws(StoreError) -> [TraceEvent]
  /// Ids of messages that an address (as sender or recipient) or a Message-ID stands in and that came since then (and before the
  /// message of that id), the newest first, at most `limit` (1,000 at most). Found through look-ups that are derived behind delivery; `unavailable` while these are being built.
  func traces(naming text: String, since: Timestamp?, before: QueueID?, limit: Int) async throws(StoreError) -> [QueueID]
  /// Messages that came since then with their histories, in order of ids, the next at most `limit` (1,000 at most) behind `after`; none:
  /// there are no more.
  func traces(since: Timestamp?, after: QueueID?, limit: Int) async throws(StoreError) -> [TracedMessage]
  /// Builds the trace's look-ups anew; how many entries they have.
  func rebuildLookups(progress: @escaping @Sendable (VerifyProgress) -> Void) async throws(StoreError) -> Int64

  // MARK: Care

  /// Checks everything that can be checked and reports as it goes. Ends early, as `closed`, when its task is cancelled.
  func verify(progress: @escaping @Sendable (VerifyProgress) -> Void) async throws(StoreError) -> VerifyReport

  /// Copies live bodies out of segments that are mostly dead and frees the space. Octets that became free.
  func compact(progress: @escaping @Sendable (VerifyProgress) -> Void) async throws(StoreError) -> Int64

  /// Commits what waits and closes. Later calls fail with `closed`.
  func close() async
}

/// Takes in one body. Confined to one session; calls follow each other.
public protocol BodySpool: AnyObject, Sendable {
  /// Octets taken so far.
  var size: Int { get }

  /// Takes bytes. Suspends when the disk is behind; throws `full` or `unavailable`, after which only `discard` may follow.
  func append(_ bytes: ByteBuffer) async throws(StoreError)

  /// The end. The body is not durable until it is accepted.
  func finish() async throws(StoreError) -> SpooledBody

  /// Gives up what was taken. Safe at any time, also after `finish` if it was never accepted.
  func discard()
}

/// A body taken in, not yet accepted.
public struct SpooledBody: Sendable {
  public enum Place: Sendable {
    /// All of it.
    case memory(ByteBuffer)
    /// In a segment, written but perhaps not yet synced: the accepting group syncs it first.
    case segment(SegmentLocation)
  }

  public var place: Place
  public var size: Int
  /// Keeps the segment from being recycled until the accepting transaction has committed: hold the body until then.
  package var pin: SegmentPin?

  public init(place: Place, size: Int) {
    self.place = place
    self.size = size
  }
}

/// The proof that an acceptance is on stable storage. Only the store makes one, after the sync.
public struct Receipt: Sendable {
  public let id: QueueID
  /// Where each local delivery went, in the order of the acceptance.
  public let deliveries: [(mailbox: MailboxID, uid: UID)]
  /// The queue entries, claimed if that was asked; nil without any, and when repeated (they have gone their way).
  public let queued: QueuedMessage?
  /// The same id had been accepted before: nothing was stored now.
  public let isRepeated: Bool

  init(id: QueueID, deliveries: [(mailbox: MailboxID, uid: UID)], queued: QueuedMessage?, isRepeated: Bool) {
    self.id = id
    self.deliveries = deliveries
    self.queued = queued
    self.isRepeated = isRepeated
  }
}

public enum RecordDurability: Hashable, Sendable { case lazily, durably }

public struct QueueCounts: Hashable, Sendable {
  public var messages: Int
  public var waiting: Int
  public var held: Int
  public var claimed: Int
  /// Of all these, recipients whose last failure was permanent and is kept (`QueueEntry.isKept`).
  public var kept: Int
  public init(messages: Int, waiting: Int, held: Int, claimed: Int, kept: Int = 0) {
    self.kept = kept
    self.messages = messages
    self.waiting = waiting
    self.held = held
    self.claimed = claimed
  }
}

public struct AppendedMessage: Sendable {
  public var flags: Flags
  public var internalDate: Timestamp
  public var summary: MessageSummary
  public init(flags: Flags, internalDate: Timestamp, summary: MessageSummary) {
    self.flags = flags
    self.internalDate = internalDate
    self.summary = summary
  }
}

public struct FlagResult: Hashable, Sendable {
  public var changed: [MailboxChanges.Change]
  /// Not changed, since they are newer than `unchangedSince`.
  public var modified: [UID]
  public init(changed: [MailboxChanges.Change], modified: [UID]) {
    self.changed = changed
    self.modified = modified
  }
}

public struct CopyResult: Hashable, Sendable {
  public var uidValidity: UIDValidity
  public var pairs: [Pair]
  public struct Pair: Hashable, Sendable {
    public var old: UID
    public var new: UID
    public init(old: UID, new: UID) {
      self.old = old
      self.new = new
    }
  }
  public init(uidValidity: UIDValidity, pairs: [Pair]) {
    self.uidValidity = uidValidity
    self.pairs = pairs
  }
}

public struct VerifyProgress: Hashable, Sendable {
  public var done: Int64
  public var total: Int64
  public var what: String
  public init(done: Int64, total: Int64, what: String) {
    self.done = done
    self.total = total
    self.what = what
  }
}

public struct VerifyReport: Hashable, Sendable {
  public struct Problem: Hashable, Sendable {
    public var what: String
    public var messages: [QueueID]
    public init(what: String, messages: [QueueID] = []) {
      self.what = what
      self.messages = messages
    }
  }
  public var bodies: Int64
  public var entries: Int64
  public var octets: Int64
  /// At most `mostProblems`.
  public var problems: [Problem]
  /// Problems beyond those.
  public var omitted: Int64 = 0
  /// Problems that are told one by one: 1,000; more are counted.
  public static let mostProblems = 1_000

  public init(bodies: Int64, entries: Int64, octets: Int64, problems: [Problem]) {
    self.bodies = bodies
    self.entries = entries
    self.octets = octets
    self.problems = problems
  }

  /// Tells more problems, or counts them.
  public mutating func add(_ more: [Problem]) {
    let taken = more.prefix(max(Self.mostProblems - problems.count, 0))
    problems += taken
    omitted = omitted.addedClamped(Int64(more.count - taken.count))
  }
}

/// What an action came to.
public struct ActedOn: Hashable, Sendable {
  /// Recipients that it changed anything for.
  public var count: Int
  /// Those of them that are leased.
  public var leased: [QueueRecipientID]
  /// Where it stopped; nil if there is nothing behind.
  public var next: QueuePlace?

  public init(count: Int = 0, leased: [QueueRecipientID] = []) {
    self.count = count
    self.leased = leased
  }
}

/// How far an order has come in the queue, which is in order of messages and their recipients.
public struct QueuePlace: Hashable, Sendable {
  public var message: QueueID
  /// Its recipients up to this one have been looked at; nil: all of them.
  public var recipient: QueueRecipientID?

  public init(message: QueueID, recipient: QueueRecipientID?) {
    self.message = message
    self.recipient = recipient
  }
}

/// Why the store refused or failed. Each maps to a wire code in one place a protocol.
public enum StoreError: Error, Hashable, Sendable {
  /// No such mailbox, message, account, domain, alias: 550 5.1.1, `[NONEXISTENT]`.
  case notFound(String)
  /// `[ALREADYEXISTS]`.
  case exists(String)
  case notEmpty(String)
  /// The value breaks a rule or a limit of the store.
  case invalid(String)
  /// 552 5.2.2 (or 452 4.2.2), `[OVERQUOTA]`: who is over.
  case overQuota(AccountID)
  /// The change log no longer reaches back that far.
  case stale
  /// The disk is full: 452 4.3.1.
  case full
  /// A failed sync or read: 451 4.3.0, `[UNAVAILABLE]`. Nothing of the call is acknowledged.
  case unavailable(String)
  /// A body failed its checksum and is quarantined.
  case damaged(BodyID)
  case closed
}

extension StoreError: CustomStringConvertible {
  /// In words, for logs and replies.
  public var description: String {
    switch self {
    case .notFound(let what): "\(what) is not there"
    case .exists(let what): "\(what) exists already"
    case .notEmpty(let what): what
    case .invalid(let what): what
    case .overQuota(let account): "account \(account.rawValue) or its domain is over its quota"
    case .stale: "the change log no longer reaches back that far"
    case .full: "the disk is full"
    case .unavailable(let reason): "the store is unavailable: \(reason)"
    case .damaged: "the stored message is damaged"
    case .closed: "the store is closed"
    }
  }
}
