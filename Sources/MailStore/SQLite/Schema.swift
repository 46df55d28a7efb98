import CSQLite

/// The tables, as numbered steps: `user_version` says how many were taken. A step once released is never changed.
///
/// - `messages`: one row an accepted or appended message, `id` being its queue id; its bytes inline or in a segment. A row lives while
///   `recipients`, `entries` or `closed` point to it.
/// - `recipients`: the queue. `state` 0 waits, 1 is held, 2 is leased (only waiting ones are in the index).
/// - `entries`: messages in mailboxes. `created` is the modification sequence it came with; both grow with the UID, so only entries changed
///   later need an index by `modseq`.
/// - `closed`: entries that were removed, with the sequence that removed them: the expunge log.
/// - `threads`: one row an answer in a mailbox, by the hash of its own id; gone after the last answers of its thread.
/// - `trace`: one row a stage; `seq` 0 is the acceptance itself; an id with a row is never accepted for another message.
enum Schema {
  /// "MRTL".
  static let applicationID: Int64 = 0x4D52_544C

  static let steps: [String] = [
    """
    CREATE TABLE meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE domains(
      name TEXT PRIMARY KEY, kind INTEGER NOT NULL, quota INTEGER NOT NULL, catch_local TEXT, catch_domain TEXT) STRICT, WITHOUT ROWID;
    CREATE TABLE accounts(
      id INTEGER PRIMARY KEY, domain TEXT NOT NULL, local TEXT NOT NULL, password TEXT NOT NULL, quota INTEGER NOT NULL,
      enabled INTEGER NOT NULL, created INTEGER NOT NULL, modseq INTEGER NOT NULL) STRICT;
    CREATE UNIQUE INDEX accounts_address ON accounts(domain, local);
    CREATE TABLE aliases(
      domain TEXT NOT NULL, local TEXT NOT NULL, targets BLOB NOT NULL, PRIMARY KEY(domain, local)) STRICT, WITHOUT ROWID;
    CREATE TABLE mailboxes(
      id INTEGER PRIMARY KEY, account INTEGER NOT NULL, uidvalidity INTEGER NOT NULL, uidnext INTEGER NOT NULL, modseq INTEGER NOT NULL,
      messages INTEGER NOT NULL, unseen INTEGER NOT NULL, deleted INTEGER NOT NULL, size INTEGER NOT NULL, purged INTEGER NOT NULL,
      subscribed INTEGER NOT NULL, special_use TEXT, name TEXT) STRICT;
    CREATE UNIQUE INDEX mailboxes_name ON mailboxes(account, name) WHERE name IS NOT NULL;
    CREATE INDEX mailboxes_dropped ON mailboxes(id) WHERE name IS NULL;
    CREATE TABLE messages(
      id INTEGER PRIMARY KEY, received INTEGER NOT NULL, size INTEGER NOT NULL, thread INTEGER NOT NULL, damaged INTEGER NOT NULL,
      checksum INTEGER NOT NULL, segment INTEGER, extents BLOB, prefix_size INTEGER NOT NULL, envelope BLOB, prefix BLOB, summary BLOB,
      body BLOB) STRICT;
    CREATE INDEX messages_segment ON messages(segment) WHERE segment IS NOT NULL;
    CREATE TABLE recipients(
      message INTEGER NOT NULL, id INTEGER NOT NULL, state INTEGER NOT NULL, due INTEGER NOT NULL, attempts INTEGER NOT NULL,
      pending INTEGER NOT NULL, delay_notified INTEGER, domain TEXT NOT NULL, local TEXT NOT NULL, destination TEXT NOT NULL,
      reroute TEXT, notify INTEGER NOT NULL, original TEXT, last_reply TEXT,
      PRIMARY KEY(message, id)) STRICT, WITHOUT ROWID;
    CREATE INDEX recipients_due ON recipients(due) WHERE state = 0;
    CREATE INDEX recipients_leased ON recipients(message) WHERE state = 2 AND pending <> 0;
    CREATE TABLE entries(
      mailbox INTEGER NOT NULL, uid INTEGER NOT NULL, message INTEGER NOT NULL, modseq INTEGER NOT NULL, created INTEGER NOT NULL,
      flags INTEGER NOT NULL, keywords TEXT, internal_date INTEGER NOT NULL, saved_date INTEGER NOT NULL, size INTEGER NOT NULL,
      prefix BLOB, PRIMARY KEY(mailbox, uid)) STRICT, WITHOUT ROWID;
    CREATE INDEX entries_message ON entries(message);
    CREATE INDEX entries_changed ON entries(mailbox, modseq) WHERE modseq > created;
    CREATE TABLE closed(
      mailbox INTEGER NOT NULL, modseq INTEGER NOT NULL, uid INTEGER NOT NULL, created INTEGER NOT NULL, closed_at INTEGER NOT NULL,
      message INTEGER, flags INTEGER NOT NULL, keywords TEXT, internal_date INTEGER NOT NULL, saved_date INTEGER NOT NULL,
      size INTEGER NOT NULL, prefix BLOB, PRIMARY KEY(mailbox, modseq)) STRICT, WITHOUT ROWID;
    CREATE INDEX closed_message ON closed(message) WHERE message IS NOT NULL;
    CREATE INDEX closed_time ON closed(closed_at);
    CREATE INDEX closed_kept ON closed(closed_at) WHERE message IS NOT NULL;
    CREATE TABLE trace(
      id INTEGER NOT NULL, seq INTEGER NOT NULL, events BLOB NOT NULL, PRIMARY KEY(id, seq)) STRICT, WITHOUT ROWID;
    CREATE TABLE threads(hash INTEGER PRIMARY KEY, thread INTEGER NOT NULL) STRICT;
    """,
    """
    ALTER TABLE threads ADD COLUMN message INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX threads_thread ON threads(thread, message);
    """,
  ]

  /// Brings a database to the newest step, each in a transaction of its own; refuses one that is newer or not ours.
  ///
  /// - Parameter isReadOnly: it must be there already.
  static func prepare(_ database: Database, isReadOnly: Bool = false) throws {
    let version = try database.first("PRAGMA user_version", []) { $0.int(0) } ?? 0
    let application = try database.first("PRAGMA application_id", []) { $0.int(0) } ?? 0
    let isEmpty = try database.first("SELECT count(*) FROM sqlite_schema", []) { $0.int(0) == 0 } ?? false
    guard application == applicationID || (isEmpty && version == 0) else {
      throw StoreError.invalid("the database is not a Martlet store (application id \(application))")
    }
    guard version <= Int64(steps.count) else {
      throw StoreError.invalid("the store has format \(version), this program knows up to \(steps.count): use a newer Martlet")
    }
    guard version < Int64(steps.count) else { return }
    guard !isReadOnly else {
      throw StoreError.invalid(
        "the store has format \(version), not yet \(steps.count): the next start of the server brings it there")
    }
    for number in Int(version)..<steps.count {
      try database.execute("BEGIN IMMEDIATE")
      do {
        try database.execute(steps[number])
        try database.execute("PRAGMA application_id = \(applicationID)")
        try database.execute("PRAGMA user_version = \(number + 1)")
        try database.execute("COMMIT")
      } catch {
        try? database.execute("ROLLBACK")
        throw error
      }
    }
  }
}
