import Outside

/// A mailbox of an account, with its counters.
public struct Mailbox: Hashable, Sendable {
  public var id: MailboxID
  public var account: AccountID
  /// Unicode, levels separated by `/`; `INBOX` in capitals.
  public var name: String
  public var uidValidity: UIDValidity
  public var uidNext: UID
  public var highestModSeq: ModSeq
  public var messages: Int
  public var unseen: Int
  public var deleted: Int
  /// Octets of all messages.
  public var size: Int64
  public var isSubscribed: Bool
  /// RFC 6154 attribute without backslash (`Sent`), nil if none.
  public var specialUse: String?

  public init(
    id: MailboxID, account: AccountID, name: String, uidValidity: UIDValidity, uidNext: UID, highestModSeq: ModSeq, messages: Int,
    unseen: Int, deleted: Int, size: Int64, isSubscribed: Bool = false, specialUse: String? = nil
  ) {
    self.id = id
    self.account = account
    self.name = name
    self.uidValidity = uidValidity
    self.uidNext = uidNext
    self.highestModSeq = highestModSeq
    self.messages = messages
    self.unseen = unseen
    self.deleted = deleted
    self.size = size
    self.isSubscribed = isSubscribed
    self.specialUse = specialUse
  }
}

/// A message in a mailbox.
public struct MailboxEntry: Hashable, Sendable {
  public var mailbox: MailboxID
  public var uid: UID
  public var modSeq: ModSeq
  public var flags: Flags
  public var internalDate: Timestamp
  /// When it came into this mailbox (RFC 8514).
  public var savedDate: Timestamp
  /// Octets as FETCH and RETR give them (Return-Path, prefix and body).
  public var size: Int
  /// Same for every copy of the same bytes (RFC 8474 EMAILID).
  public var emailID: Int64
  /// RFC 8474 THREADID.
  public var threadID: Int64
  public var body: BodyID
  /// What delivery puts in front of the stored bytes (`Return-Path`, `Delivered-To`), each field ending in CRLF; empty for APPEND.
  public var deliveryPrefix: [UInt8]
  public var summary: MessageSummary

  public init(
    mailbox: MailboxID, uid: UID, modSeq: ModSeq, flags: Flags, internalDate: Timestamp, savedDate: Timestamp, size: Int,
    emailID: Int64,
    threadID: Int64, body: BodyID, deliveryPrefix: [UInt8], summary: MessageSummary
  ) {
    self.mailbox = mailbox
    self.uid = uid
    self.modSeq = modSeq
    self.flags = flags
    self.internalDate = internalDate
    self.savedDate = savedDate
    self.size = size
    self.emailID = emailID
    self.threadID = threadID
    self.body = body
    self.deliveryPrefix = deliveryPrefix
    self.summary = summary
  }
}

/// How a message's flags are to change.
public enum FlagChange: Hashable, Sendable {
  case replace(Flags)
  case add(Flags)
  case remove(Flags)
}

/// What changed in a mailbox since a modification sequence (RFC 7162; JMAP changes).
public struct MailboxChanges: Hashable, Sendable {
  public var highestModSeq: ModSeq
  public var uidNext: UID
  /// Added or with changed flags: uid, modSeq, flags, in UID order.
  public var changed: [Change]
  /// Gone, in UID order. After a partial page there may be some among them that were never told as changed.
  public var vanished: [UID]
  /// More than the page holds: ask again since `highestModSeq`.
  public var isPartial: Bool

  public struct Change: Hashable, Sendable {
    public var uid: UID
    public var modSeq: ModSeq
    public var flags: Flags
    public init(uid: UID, modSeq: ModSeq, flags: Flags) {
      self.uid = uid
      self.modSeq = modSeq
      self.flags = flags
    }
  }

  public init(highestModSeq: ModSeq, uidNext: UID, changed: [Change], vanished: [UID], isPartial: Bool) {
    self.highestModSeq = highestModSeq
    self.uidNext = uidNext
    self.changed = changed
    self.vanished = vanished
    self.isPartial = isPartial
  }
}

/// One thing that a committed group changed: the one feed that sessions, directory and push read.
public enum StoreChange: Hashable, Sendable {
  case mailbox(account: AccountID, mailbox: MailboxID, highestModSeq: ModSeq)
  /// Mailboxes were made, renamed, removed or (un)subscribed.
  case mailboxList(account: AccountID)
  /// Domains, accounts or aliases changed.
  case directory
  /// Queue entries became due or changed outside the scheduler.
  case queue
}
