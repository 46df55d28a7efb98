import Bytes

/// Which fields a signature names in `h=`, and which once more than they are there, so that nobody can add one (RFC 6376, 5.4 and
/// 8.15).
public struct DKIMFieldSelection: Hashable, Sendable {
  /// Signed, and one more of each in any case.
  public let always: [String]
  /// Signed, and one more of each, if there is one: mailing lists may add theirs to a message that has none.
  public let ifPresent: [String]
  /// Signed as often as they are there.
  public let asFound: [String]
  /// All of them, and their names as a header is asked for them.
  private let names: [Name]

  struct Name: Hashable, Sendable {
    var spelled: [UInt8]
    var key: [UInt8]
    /// How often it is named more than it is there.
    var extra: Int
    var isOptional: Bool
  }

  /// Names that are none (RFC 5322, 3.6.8) or have a semicolon are left out; `From` is always signed.
  public init(always: [String], ifPresent: [String] = [], asFound: [String] = []) {
    let named = always.contains { $0.asciiLowercased == "from" } ? always : ["From"] + always
    self.always = named.filter(Self.isFieldName)
    self.ifPresent = ifPresent.filter(Self.isFieldName)
    self.asFound = asFound.filter(Self.isFieldName)
    func name(_ text: String, extra: Int, isOptional: Bool) -> Name {
      Name(spelled: Array(text.utf8), key: text.utf8.map(\.asciiLowercased), extra: extra, isOptional: isOptional)
    }
    names =
      self.always.map { name($0, extra: 1, isOptional: false) } + self.ifPresent.map { name($0, extra: 1, isOptional: true) }
      + self.asFound.map { name($0, extra: 0, isOptional: true) }
  }

  private static func isFieldName(_ text: String) -> Bool {
    (1...100).contains(text.utf8.count) && text.utf8.allSatisfy { $0.isASCIIVisible && $0 != 0x3A && $0 != 0x3B }
  }

  /// What people and programs go by is covered and sealed (RFC 6376, 5.4.1); of `List-Unsubscribe` RFC 8058, 4 demands it.
  public static let standard = Self(
    always: [
      "From", "Sender", "Reply-To", "To", "Cc", "Subject", "Date", "Message-ID", "In-Reply-To", "References", "MIME-Version",
      "Content-Type", "Content-Transfer-Encoding",
    ],
    ifPresent: [
      "List-Id", "List-Help", "List-Unsubscribe", "List-Unsubscribe-Post", "List-Subscribe", "List-Post", "List-Owner",
      "List-Archive", "Content-ID", "Content-Description", "Content-Disposition", "Content-Language", "Auto-Submitted", "Autocrypt",
    ],
    asFound: [
      "Resent-Date", "Resent-From", "Resent-Sender", "Resent-To", "Resent-Cc", "Resent-Message-ID",
    ])

  /// `h=` for a header.
  func names(for header: HeaderFields) -> [Name] {
    var result: [Name] = []
    for name in names {
      let times = header.positions(of: name.key).count
      if times > 0 || !name.isOptional { result += repeatElement(name, count: times + name.extra) }
    }
    return result
  }
}
