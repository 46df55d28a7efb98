/// What bounds the store.
public struct StoreLimits: Hashable, Sendable {
  /// Octets of a body up to which it rides inside the transaction: 8 KiB; longer ones go into a segment.
  public var inlineBody: Int = 8_192

  /// Octets of the bodies of one group above which those that will stay go into a segment together: 64 KiB.
  public var inlineGroup: Int = 65_536

  /// Microseconds a group waits for company while another transaction is under way: 300.
  public var companyWait: Int = 300

  /// Milliseconds a lazy record waits for a group to ride in before it makes one: 40.
  public var lazyWait: Int = 40

  /// Calls in one group: 512.
  public var groupMembers: Int = 512

  /// Octets put in front of a body: 64 KiB; `invalid` beyond.
  public var prefix: Int = 65_536

  /// Local deliveries and queued recipients of one message together: 10,000; `invalid` beyond.
  public var recipients: Int = 10_000

  /// Octets of a destination: 255; `invalid` beyond.
  public var destination: Int = 255

  /// Mailboxes of one account: 10,000; `invalid` beyond.
  public var mailboxes: Int = 10_000

  /// Octets of one level of a mailbox name: 255; `invalid` beyond.
  public var mailboxLevel: Int = 255

  /// Levels of a mailbox name: 32; `invalid` beyond.
  public var mailboxLevels: Int = 32

  /// Octets of a whole mailbox name: 1,024; `invalid` beyond.
  public var mailboxName: Int = 1_024

  /// Keywords of one message: 128; `invalid` beyond.
  public var keywords: Int = 128

  /// Octets of one keyword: 100; `invalid` beyond.
  public var keyword: Int = 100

  /// Messages one flag, copy, move or expunge call may touch: 100,000; `invalid` beyond.
  public var messagesPerCall: Int = 100_000

  /// Targets of one alias: 1,000; `invalid` beyond.
  public var aliasTargets: Int = 1_000

  /// Rows a read gives: 1,000.
  public var page: Int = 1_000

  /// Recipients after which a page of the queue ends with its message: 10,000.
  public var pageRecipients: Int = 10_000

  /// Recipients that one transaction of a postmaster's order changes, and messages that it looks at: 1,000; the rest is done in
  /// further ones, so that others are served in between.
  public var actedOn: Int = 1_000

  /// Octets of a body a read gives: 1 MiB.
  public var readSize: Int = 1_048_576

  /// Octets of SQLite's page cache on the writer: 16 MiB; each reader has a quarter.
  public var cache: Int = 16_777_216

  /// Reader threads: 2.
  public var readers: Int = 2

  /// Accounts whose counters are kept in memory: 20,000; then all are read again.
  public var cachedAccounts: Int = 20_000

  /// Seconds a lease given by `accept` lasts: 3,600.
  public var acceptLease: Int = 3_600

  /// WAL pages after which they are copied into the database: 1,000.
  public var checkpointPages: Int = 1_000

  /// WAL pages after which the WAL begins anew while commits pause: 8,000.
  public var restartPages: Int = 8_000

  /// Seconds an expunged message can be brought back and keeps its space: 86,400. Given up at once when the disk is full.
  public var undelete: Int = 86_400

  /// Seconds the expunge log reaches back: 2,592,000 (30 days); older `changes` are `stale`.
  public var expungeLog: Int = 2_592_000

  /// Seconds trace is kept: 2,592,000 (30 days).
  public var traceAge: Int = 2_592_000

  /// Octets of trace kept: 1 GiB; the oldest go first.
  public var traceSize: Int64 = 1_073_741_824

  /// Rows of trace that the look-ups by address and Message-ID read at a time: 2,000.
  public var lookupBatch: Int = 2_000

  /// Milliseconds after a commit before they read: 1,000. Until then what is new is found by reading the trace itself.
  public var lookupWait: Int = 1_000

  /// Entries of one part of the look-ups: 500,000 (some 15 MB); the oldest part goes once its messages have gone from the trace.
  public var lookupPart: Int = 500_000

  /// Rows of trace, not in the look-ups yet, that are read for one question: 100,000; with more it is answered `unavailable`.
  public var lookupTail: Int = 100_000

  /// Noted events waiting to be written: 4,096; more are dropped and counted.
  public var waitingNotes: Int = 4_096

  /// Refusals of one client (an address, or a /64) written one by one within a minute: 20; more are counted and told together.
  public var notedRefusals: Int = 20

  /// Clients whose refusals are counted each for itself at one time: 1,024; more are counted together.
  public var notedClients: Int = 1_024

  /// Octets of the reserve that is freed when the disk is full: 256 MiB, a quarter of what is free at most; 0 keeps none.
  public var ballast: Int64 = 268_435_456

  public init() {}
}
