import InternetMessage
import MailModel

/// Which conversation a message belongs to (RFC 8474, THREADID).
///
/// A thread's number is the hash of its first message's id. `References` names that first (RFC 5322, 3.6.4), so a message that begins a
/// thread costs no look-up and no row; one that answers looks up what it names, newest first, and leaves a row for its own id, so that
/// answers which name it alone find the thread. The rows of a thread go, a while after its answers went, in steps (`pruneThreads`).
extension Writer {
  /// Messages named that are looked up: 20, newest first.
  private static let lookups = 20

  func threadID(of summary: MessageSummary, message: Int64) throws -> Int64 {
    let own = summary.messageID.map(Self.hash)
    guard let root = summary.references.first else { return own ?? Self.mixed(UInt64(bitPattern: message)) }
    var thread = Self.hash(root)
    for reference in summary.references.suffix(Self.lookups).reversed() {
      let known = try database.first("SELECT thread FROM threads WHERE hash = ?", [.int(Self.hash(reference))]) { $0.int(0) }
      if let known {
        thread = known
        break
      }
    }
    if let own, own != thread {
      try database.run(
        """
        INSERT INTO threads(hash, thread, message) VALUES(?, ?, ?)
        ON CONFLICT(hash) DO UPDATE SET message = max(message, excluded.message)
        """, .int(own), .int(thread), .int(message))
    }
    return thread
  }

  /// Rows one step looks at.
  private static let step = 1_000
  /// Answers of a thread that are looked for, the newest: if all of them are gone, so is the thread.
  private static let answersLookedFor: Int64 = 64

  /// Looks at the next rows and takes away those of threads whose answers are gone; whether there are many, so that it should go on.
  func pruneThreads() throws -> Bool {
    let rows = try database.all(
      """
      SELECT hash, thread, EXISTS(SELECT 1 FROM messages WHERE id = threads.message) FROM threads WHERE hash > ? ORDER BY hash LIMIT ?
      """, [.int(threadsLookedAt), .int(Int64(Self.step))]
    ) { (hash: $0.int(0), thread: $0.int(1), isAlive: $0.int(2) != 0) }
    threadsLookedAt = rows.count == Self.step ? rows.last?.hash ?? .min : .min
    var known: [Int64: Bool] = [:]
    var removed = 0
    for row in rows where !row.isAlive {
      let isAlive = try known[row.thread] ?? hasAnswers(row.thread)
      known[row.thread] = isAlive
      guard !isAlive else { continue }
      try database.run("DELETE FROM threads WHERE hash = ?", .int(row.hash))
      removed += 1
    }
    return removed >= Self.step / 10
  }

  private func hasAnswers(_ thread: Int64) throws -> Bool {
    try database.first(
      """
      SELECT 1 FROM (SELECT message FROM threads WHERE thread = ? ORDER BY message DESC LIMIT ?) newest
      JOIN messages ON messages.id = newest.message LIMIT 1
      """, [.int(thread), .int(Self.answersLookedFor)]
    ) { _ in true } ?? false
  }

  /// 63 bits of a text: FNV-1a, then mixed.
  static func hash(_ text: String) -> Int64 {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    return mixed(hash)
  }

  static func mixed(_ value: UInt64) -> Int64 {
    var bits = value
    bits = (bits ^ (bits >> 33)) &* 0xFF51_AFD7_ED55_8CCD
    bits = (bits ^ (bits >> 33)) &* 0xC4CE_B9FE_1A85_EC53
    return Int64(bitPattern: (bits ^ (bits >> 33)) >> 1)
  }
}
