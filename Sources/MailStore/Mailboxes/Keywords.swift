import Bytes
import MailModel

/// Keywords as they are kept: sorted without case, each once, the first spelling staying (RFC 9051, 2.3.2).
enum Keywords {
  static func checked(_ keywords: [String], _ limits: StoreLimits) throws(StoreError) -> [String] {
    var seen: Set<String> = []
    var kept: [(key: String, keyword: String)] = []
    for keyword in keywords {
      guard isValid(keyword, limits) else { throw .invalid("a keyword must be an atom of 1 to \(limits.keyword) octets") }
      let key = keyword.asciiLowercased
      if seen.insert(key).inserted { kept.append((key, keyword)) }
    }
    guard kept.count <= limits.keywords else { throw .invalid("a message has at most \(limits.keywords) keywords") }
    return kept.sorted { $0.key < $1.key }.map(\.keyword)
  }

  /// `flag-keyword`: an atom, or `$` and an atom (RFC 9051, 9).
  private static func isValid(_ keyword: String, _ limits: StoreLimits) -> Bool {
    let bytes = keyword.utf8
    guard !bytes.isEmpty, bytes.count <= limits.keyword else { return false }
    return bytes.allSatisfy { byte in
      switch byte {
      case 0x22, 0x25, 0x28, 0x29, 0x2A, 0x5C, 0x5D, 0x7B: false
      default: byte > 0x20 && byte < 0x7F
      }
    }
  }

  static func applied(_ change: FlagChange, to old: Flags, _ limits: StoreLimits) throws(StoreError) -> Flags {
    switch change {
    case .replace(let new): return Flags(new.system, keywords: try checked(new.keywords, limits))
    case .add(let more):
      guard !more.keywords.isEmpty else { return Flags(old.system.union(more.system), keywords: old.keywords) }
      return Flags(old.system.union(more.system), keywords: try checked(old.keywords + more.keywords, limits))
    case .remove(let less):
      let gone = Set(less.keywords.map(\.asciiLowercased))
      return Flags(old.system.subtracting(less.system), keywords: old.keywords.filter { !gone.contains($0.asciiLowercased) })
    }
  }

  static func flags(system: Int64, keywords: String?) -> Flags {
    Flags(
      .init(rawValue: UInt8(truncatingIfNeeded: system)),
      keywords: keywords.map { $0.split(separator: " ").map(String.init) } ?? [])
  }
}
