import Bytes
import DNSTypes

/// What a domain publishes of a key, as text of a TXT record (RFC 6376, 3.6.1).
public struct DKIMKeyRecord: Hashable, Sendable {
  /// `k=`
  public enum KeyType: String, Hashable, Sendable {
    case rsa
    case ed25519
  }

  public var keyType: KeyType
  /// `p=`, decoded: SubjectPublicKeyInfo or RSAPublicKey in DER, or 32 octets of Ed25519. Empty: the key was revoked.
  public var publicKey: [UInt8]
  /// `h=`: whether SHA-256 may be used with it.
  public var allowsSHA256 = true
  /// `s=`: whether it is for mail.
  public var isForMail = true
  /// `t=y`: the domain only tries DKIM out.
  public var isTesting = false
  /// `t=s`: the domain of `i=` must be `d=` itself.
  public var isStrict = false
  /// `n=`, for people.
  public var notes: [UInt8] = []

  public init(keyType: KeyType, publicKey: [UInt8]) {
    self.keyType = keyType
    self.publicKey = publicKey
  }

  public var isRevoked: Bool { publicKey.isEmpty }

  /// Reads a record, its strings joined. Unknown tags are passed over; a key is not looked into.
  public init(parsing text: [UInt8], limits: DKIMLimits = .init()) throws(DKIMSyntaxError) {
    guard text.count <= limits.keyRecordOctets else { throw DKIMSyntaxError("more than \(limits.keyRecordOctets) octets") }
    let tags = try TagList(text, in: 0..<text.count, limit: limits.tags)
    if let version = tags.tag("v") {
      // Where it stands it stands first, so that records of others are told apart (RFC 6376, 3.6.1, tag `v=`).
      guard version == tags.tags.first, text[version.value].elementsEqual("DKIM1".utf8) else {
        throw DKIMSyntaxError("another version than DKIM1", at: version.value.lowerBound)
      }
    }
    guard let key = tags.compact("p") else { throw DKIMSyntaxError("no p=") }
    guard let bytes = Base64.decodeStrict(key) else { throw DKIMSyntaxError("p= is no base 64") }
    let type = tags["k"].map { KeyType(rawValue: String(decoding: $0, as: UTF8.self).asciiLowercased) } ?? .rsa
    guard let type else { throw DKIMSyntaxError("an unknown kind of key") }
    self.init(keyType: type, publicKey: bytes)
    allowsSHA256 = tags.items("h")?.contains { $0.equals(ignoringCase: "sha256") } ?? true
    isForMail = tags.items("s")?.contains { $0.equals(ignoringCase: "*") || $0.equals(ignoringCase: "email") } ?? true
    let flags = tags.items("t") ?? []
    isTesting = flags.contains { $0.equals(ignoringCase: "y") }
    isStrict = flags.contains { $0.equals(ignoringCase: "s") }
    notes = tags["n"].map { DKIMQuotedPrintable.decode($0) } ?? []
  }

  /// The text of the TXT record, in ASCII.
  public var text: String {
    var tags = ["v=DKIM1"]
    if !allowsSHA256 { tags.append("h=sha1") }
    tags.append("k=\(keyType.rawValue)")
    if !notes.isEmpty { tags.append("n=" + String(decoding: DKIMQuotedPrintable.encode(notes), as: UTF8.self)) }
    if !isForMail { tags.append("s=none") }
    let flags = (isTesting ? ["y"] : []) + (isStrict ? ["s"] : [])
    if !flags.isEmpty { tags.append("t=" + flags.joined(separator: ":")) }
    tags.append("p=" + String(decoding: Base64.encode(publicKey), as: UTF8.self))
    return tags.joined(separator: "; ")
  }

  /// The record as a line of a zone file, or several in parentheses: strings of at most 255 octets (RFC 1035, 5.1 and 3.3).
  public func zoneFile(selector: DNSName, domain: DNSName) -> String {
    let text = Array(text.utf8)
    let strings = stride(from: 0, to: text.count, by: 255).map { start in
      "\"" + String(decoding: text[start..<min(start + 255, text.count)], as: UTF8.self) + "\""
    }
    let owner = "\(selector)._domainkey.\(domain). IN TXT"
    guard strings.count > 1 else { return "\(owner) \(strings.joined())\n" }
    return "\(owner) (\n" + strings.map { "  \($0)\n" }.joined() + ")\n"
  }
}
