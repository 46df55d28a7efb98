import Bytes
import InternetMessage
import MailModel

/// What a message is found by, in the one form that look-ups compare: ASCII letters in lower case, a domain in A-labels, no angle
/// brackets around it.
struct LookupName: Hashable {
  let text: String

  init(_ name: String) {
    var name = name
    if name.utf8.first == 0x3C, name.utf8.last == 0x3E { name = String(name.dropFirst().dropLast()) }
    let lower = name.asciiLowercased
    guard lower.utf8.contains(where: { $0 >= 0x80 }), let at = lower.lastIndex(of: "@") else {
      text = lower
      return
    }
    let address = EmailAddress(localPart: String(lower[..<at]), domain: String(lower[lower.index(after: at)...]))
    text = address.withASCIIDomain.map { "\($0.localPart)@\($0.domain)" } ?? lower
  }

  /// 63 bits that stand for it: who looks it up reads what is found, so that two names with the same bits harm nobody.
  var hash: Int64 { Writer.hash(text) }
}

extension TraceReading {
  /// What the rows of one message can be found by. Of an accepted message its acceptance alone, which names everybody.
  ///
  /// - Parameter rows: in order of `seq`.
  static func names(of rows: [(seq: Int64, events: [UInt8])]) -> Set<LookupName> {
    guard let first = rows.first else { return [] }
    if first.seq == 0 { return Set(AcceptanceRecord.names(in: first.events).map(LookupName.init)) }
    var names: Set<LookupName> = []
    for row in rows { for event in TraceRecord.unpacked(row.events) { names.formUnion(event.names) } }
    return names
  }

  /// The same, from the database.
  static func names(of id: Int64, in database: Database) throws -> Set<LookupName> {
    names(
      of: try database.all("SELECT seq, events FROM trace WHERE id = ? ORDER BY seq LIMIT 1000", [.int(id)]) {
        ($0.int(0), $0.blob(1))
      })
  }
}

extension TraceEvent {
  /// Whom and what it names.
  var names: Set<LookupName> {
    var names: Set<LookupName> = []
    if let recipient { names.insert(LookupName(recipient)) }
    for fact in detail {
      switch fact.key {
      case "sender", "recipient", "message-id": names.insert(LookupName(fact.value))
      case "from" where kind == .received || kind == .refused: names.insert(LookupName(fact.value))
      case "to" where kind == .received || kind == .refused:
        for address in fact.value.split(separator: " ") { names.insert(LookupName(String(address))) }
      default: break
      }
    }
    // The null path, which has no name.
    names.remove(LookupName(""))
    return names
  }
}
