import Bytes
import DNSTypes
import InternetMessage

/// A `DKIM-Signature` field as it was read (RFC 6376, 3.5).
public struct DKIMSignature: Hashable, Sendable {
  /// How it was signed (RFC 6376, 3.3; RFC 8463, 3).
  public enum Algorithm: String, Hashable, Sendable {
    case rsaSHA256 = "rsa-sha256"
    case ed25519SHA256 = "ed25519-sha256"
    /// Known so that it can be refused by name (RFC 8301, 3.1).
    case rsaSHA1 = "rsa-sha1"
  }

  /// `a=`
  public var algorithm: Algorithm
  /// `b=`, decoded.
  public var signature: [UInt8]
  /// `bh=`, decoded.
  public var bodyHash: [UInt8]
  /// `c=` of the header.
  public var headerCanonicalization: Canonicalization
  /// `c=` and `l=` of the body.
  public var body: BodyHashKind
  /// `d=` as A-labels, at least two.
  public var domain: DNSName
  /// `h=` in lower case.
  public var signedFields: [[UInt8]]
  /// `i=`, its local part decoded; `@` and the domain if there is none. For people and for comparisons, not for mail.
  public var identity: String
  /// Whether the domain of `i=` is `d=` itself and no subdomain.
  public var isIdentityExact: Bool
  /// `s=`
  public var selector: DNSName
  /// `t=`, seconds since 1970.
  public var time: Int64?
  /// `x=`, seconds since 1970.
  public var expiry: Int64?
  /// Where the key is (RFC 6376, 3.6.2.1).
  public var keyName: DNSName
  /// What of the field's octets is no part of what was signed (RFC 6376, 3.7).
  var signaturePlace: Range<Int>

  /// Reads a field, its name up to its line end.
  public init(parsing field: [UInt8], limits: DKIMLimits = .init()) throws(DKIMSyntaxError) {
    guard let colon = field.firstIndex(of: 0x3A) else { throw DKIMSyntaxError("no colon behind the name") }
    try self.init(parsing: field, valueAt: colon + 1, limits: limits)
  }

  init(parsing field: [UInt8], valueAt start: Int, limits: DKIMLimits) throws(DKIMSyntaxError) {
    guard field.count <= limits.signatureOctets else {
      throw DKIMSyntaxError("more than \(limits.signatureOctets) octets")
    }
    let tags = try TagList(field, in: start..<field.count, limit: limits.tags)
    guard let version = tags["v"] else { throw DKIMSyntaxError("no v=") }
    guard version.elementsEqual([0x31]) else { throw DKIMSyntaxError("another version than 1") }
    algorithm = try Self.algorithm(tags)
    signature = try Self.base64(tags, "b")
    bodyHash = try Self.base64(tags, "bh")
    guard let place = tags.tag("b")?.place else { throw DKIMSyntaxError("no b=") }
    signaturePlace = place
    var bodyCanonicalization: Canonicalization
    (headerCanonicalization, bodyCanonicalization) = try Self.canonicalizations(tags)
    body = BodyHashKind(bodyCanonicalization, length: try Self.length(tags))
    domain = try Self.name(tags, "d", labels: 2)
    selector = try Self.name(tags, "s", labels: 1)
    guard let keyName = DNSName("\(selector)._domainkey.\(domain)") else { throw DKIMSyntaxError("s= and d= are too long") }
    self.keyName = keyName
    signedFields = try Self.signedFields(tags, limit: limits.signedFields)
    (identity, isIdentityExact) = try Self.identity(tags, domain: domain)
    time = try Self.seconds(tags, "t")
    expiry = try Self.seconds(tags, "x")
    if let time, let expiry, expiry <= time { throw DKIMSyntaxError("x= is not later than t=") }
    // Whoever wants the key got otherwise is not understood (RFC 6376, 3.5, tag `q=`).
    if let methods = tags.items("q"), !methods.contains(where: { $0.equals(ignoringCase: "dns/txt") }) {
      throw DKIMSyntaxError("no q= that is known")
    }
  }
}

extension DKIMSignature {
  private static func algorithm(_ tags: TagList) throws(DKIMSyntaxError) -> Algorithm {
    guard let text = tags["a"] else { throw DKIMSyntaxError("no a=") }
    guard let found = Algorithm(rawValue: String(decoding: text, as: UTF8.self).asciiLowercased) else {
      throw DKIMSyntaxError("an unknown algorithm")
    }
    return found
  }

  private static func base64(_ tags: TagList, _ name: StaticString) throws(DKIMSyntaxError) -> [UInt8] {
    guard let text = tags.compact(name) else { throw DKIMSyntaxError("no \(name)=") }
    guard let bytes = Base64.decodeStrict(text), !bytes.isEmpty else { throw DKIMSyntaxError("\(name)= is no base 64") }
    return bytes
  }

  /// `c=`: simple for what it does not say.
  private static func canonicalizations(_ tags: TagList) throws(DKIMSyntaxError) -> (Canonicalization, Canonicalization) {
    guard let text = tags["c"] else { return (.simple, .simple) }
    let found = text.split(separator: 0x2F, omittingEmptySubsequences: false).map {
      Canonicalization(rawValue: String(decoding: $0, as: UTF8.self).asciiLowercased)
    }
    guard found.count <= 2, let first = found.first, let header = first else {
      throw DKIMSyntaxError("an unknown canonicalization")
    }
    guard found.count == 2 else { return (header, .simple) }
    guard let body = found[1] else { throw DKIMSyntaxError("an unknown canonicalization") }
    return (header, body)
  }

  /// Up to 76 digits (RFC 6376, 3.5); what no body can have is held at the largest number.
  private static func number(
    _ tags: TagList, _ name: StaticString, digits: Int, maximum: UInt64
  ) throws(DKIMSyntaxError) -> UInt64? {
    guard let text = tags[name] else { return nil }
    guard !text.isEmpty, text.count <= digits, text.allSatisfy(\.isASCIIDigit) else {
      throw DKIMSyntaxError("\(name)= is no number")
    }
    return text.reduce(0) { min(($0.multipliedChecked(by: 10)?.addedChecked(UInt64($1 &- 0x30))) ?? maximum, maximum) }
  }

  private static func length(_ tags: TagList) throws(DKIMSyntaxError) -> UInt64? {
    try number(tags, "l", digits: 76, maximum: .max)
  }

  /// Held at 10^12, which RFC 6376, 3.5 (tag `x=`) takes for ever.
  private static func seconds(_ tags: TagList, _ name: StaticString) throws(DKIMSyntaxError) -> Int64? {
    try number(tags, name, digits: 76, maximum: 1_000_000_000_000).map { Int64(clamping: $0) }
  }

  /// `d=` or `s=`, U-labels turned to A-labels (RFC 8616, 4).
  private static func name(_ tags: TagList, _ tag: StaticString, labels: Int) throws(DKIMSyntaxError) -> DNSName {
    guard let text = tags[tag] else { throw DKIMSyntaxError("no \(tag)=") }
    guard let name = DNSName(dkim: text), name.labels.count >= labels else { throw DKIMSyntaxError("\(tag)= is no domain name") }
    return name
  }

  private static func signedFields(_ tags: TagList, limit: Int) throws(DKIMSyntaxError) -> [[UInt8]] {
    guard let items = tags.items("h") else { throw DKIMSyntaxError("no h=") }
    guard items.count <= limit else { throw DKIMSyntaxError("h= has more than \(limit) names") }
    guard items.allSatisfy({ !$0.isEmpty && $0.allSatisfy { $0.isASCIIVisible && $0 != 0x3B } }) else {
      throw DKIMSyntaxError("h= has what is no name of a field")
    }
    return items.map { $0.map(\.asciiLowercased) }
  }

  /// `i=`: an address in `d=` or a subdomain, its local part in "DKIM quoted-printable" and optional (RFC 6376, 3.5).
  private static func identity(_ tags: TagList, domain: DNSName) throws(DKIMSyntaxError) -> (String, Bool) {
    guard let text = tags.compact("i") else { return ("@\(domain)", true) }
    guard let at = text.lastIndex(of: 0x40), let name = DNSName(dkim: text[(at + 1)...]) else {
      throw DKIMSyntaxError("i= is no address")
    }
    guard name.labels.suffix(domain.labels.count).elementsEqual(domain.labels) else {
      throw DKIMSyntaxError("i= is not in the domain of d=")
    }
    let local = String(decoding: DKIMQuotedPrintable.decode(text[..<at]), as: UTF8.self)
    return ("\(local)@\(name)", name.labels.count == domain.labels.count)
  }
}

extension DNSName {
  /// A domain of a tag: host name or U-labels, no dot at its end; nil if it is neither.
  init?(dkim text: ArraySlice<UInt8>) {
    guard text.last != 0x2E, let unicode = String(validating: text, as: UTF8.self) else { return nil }
    guard let ascii = InternationalDomain.ascii(unicode), let name = DNSName(ascii), name.isHostName else { return nil }
    self = name
  }
}

/// Local parts of `i=` and their like (RFC 6376, 2.11).
enum DKIMQuotedPrintable {
  /// Everything but `=XX` stays as it is.
  static func decode(_ text: ArraySlice<UInt8>) -> [UInt8] {
    var cursor = ByteCursor(Array(text))
    var result: [UInt8] = []
    while let byte = cursor.next() {
      if byte == 0x3D, let high = cursor.peek, let low = cursor.peek(at: 1), high.isASCIIHexDigit, low.isASCIIHexDigit {
        cursor.skip(2)
        result.append(high.hexDigitValue << 4 | low.hexDigitValue)
      } else {
        result.append(byte)
      }
    }
    return result
  }

  private static let digits = Array("0123456789ABCDEF".utf8)

  /// Letters, digits and what is plain in every tag stay; all else becomes `=XX`.
  static func encode(_ text: some Sequence<UInt8>) -> [UInt8] {
    text.flatMap { byte -> [UInt8] in
      let isPlain = byte.isASCIIVisible && byte != 0x3B && byte != 0x3D && byte != 0x7C && byte != 0x40
      return isPlain ? [byte] : [0x3D, digits[Int(byte >> 4)], digits[Int(byte & 15)]]
    }
  }
}
