import InternetMessage
import MailModel

/// Which conversation a message belongs to (RFC 8474, THREADID).
///
/// A thread's number is the hash of its first message's id. `References` names that first (RFC 5322, 3.6.4), so a message that begins a
/// thread costs no look-up and no row; one that answers looks up what it names, newest first, and leaves a row for its own id, so that
/// answers which name it alone find the thread.
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
      try database.run("INSERT OR IGNORE INTO threads(hash, thread) VALUES(?, ?)", .int(own), .int(thread))
    }
    return thread
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
