import Bytes
import DNSTypes
import Outside

/// Signs messages for a domain, with one key or several at once (RFC 6376, 5; RFC 8463, 5 for two algorithms side by side).
///
/// The header is read and hashed once for all keys; each adds its own field. `l=` and `z=` are never made.
public struct DKIMSigner: MessageSigner {
  /// A key and the selector under which it is published.
  public struct Key: Sendable {
    public var selector: DNSName
    public var key: DKIMPrivateKey

    public init(selector: DNSName, key: DKIMPrivateKey) {
      self.selector = selector
      self.key = key
    }
  }

  /// `d=`, as A-labels.
  public let domain: DNSName
  /// A field each, in this order from the top.
  public let keys: [Key]
  public var headerCanonicalization: Canonicalization = .relaxed
  public var bodyCanonicalization: Canonicalization = .relaxed
  public var fields: DKIMFieldSelection = .standard
  /// How long a signature is to be good (`x=`); nil for ever. Held to at least a second.
  public var lifetime: Duration?
  /// `i=`: the local part of an identity in `domain`; empty for `@domain`, nil for no `i=`. At most 64 octets of it are told.
  public var identity: String?
  public var limits = DKIMLimits()

  /// Nil unless the domain is a host's name of two labels at least and the selectors are names like it: others no verifier takes.
  public init?(domain: DNSName, keys: [Key]) {
    guard domain.isHostName, domain.labels.count >= 2, keys.allSatisfy(\.selector.isHostName) else { return nil }
    self.domain = domain
    self.keys = keys
  }

  public var bodyKinds: [BodyHashKind] { [BodyHashKind(bodyCanonicalization)] }

  public func sign(_ message: SignableMessage) throws(SigningError) -> [UInt8] {
    let header = HeaderFields(message.header)
    if header.isTruncated { throw .tooManyFields(limit: header.fields.count) }
    if header.hasBareLineEnd { throw .bareLineEnd }
    guard header.fields.allSatisfy(\.isNamed) else { throw .notAField }
    let senders = header.positions(of: Array("from".utf8)).count
    guard senders == 1 else { throw .fromFields(count: senders) }
    guard let body = message.body[BodyHashKind(bodyCanonicalization)] else { throw .noBodyHash }
    let names = fields.names(for: header)
    guard names.count <= limits.signedFields else { throw .tooManyFields(limit: limits.signedFields) }
    let hashed = header.hash(names.map(\.key), headerCanonicalization)
    var result: [UInt8] = []
    for key in keys {
      result += try field(key, names: names, bodyHash: body.sha256, hashed: hashed, time: message.time)
    }
    return result
  }

  /// One `DKIM-Signature` field with its line end.
  private func field(
    _ key: Key, names: [DKIMFieldSelection.Name], bodyHash: [UInt8], hashed: SHA256, time: Timestamp
  ) throws(SigningError) -> [UInt8] {
    var field = SignatureField(name: "DKIM-Signature")
    field.add("v=1;")
    field.add("a=\(key.key.algorithm.rawValue);")
    field.add("c=\(headerCanonicalization.rawValue)/\(bodyCanonicalization.rawValue);")
    field.add("d=\(domain);")
    field.add("s=\(key.selector);")
    if let identity {
      let local = String(decoding: DKIMQuotedPrintable.encode(identity.utf8.prefix(64)), as: UTF8.self)
      field.add("i=\(local)@\(domain);")
    }
    let seconds = min(max(time.seconds, 0), 999_999_999_998)
    field.add("t=\(seconds);")
    if let lifetime { field.add("x=\(min(seconds.addedClamped(max(lifetime.components.seconds, 1)), 999_999_999_999));") }
    field.add("h=")
    for (index, name) in names.enumerated() { field.continue(name.spelled + [index == names.count - 1 ? 0x3B : 0x3A]) }
    field.add("bh=\(String(decoding: Base64.encode(bodyHash), as: UTF8.self));")
    field.add("b=")
    var hash = hashed
    hash.update(headerCanonicalization.unsigned(field.bytes))
    guard let digest = hash.hash(), let signature = key.key.sign(hash: digest) else {
      throw .cannotSign(selector: key.selector.description)
    }
    field.fill(Base64.encode(signature))
    return field.bytes + [0x0D, 0x0A]
  }
}

extension HeaderFields {
  /// The hash of the fields that `names` stand for (RFC 6376, 3.7), to which the signature's own field is still to be added.
  func hash(_ names: [[UInt8]], _ canonicalization: Canonicalization, except excluded: Int? = nil) -> SHA256 {
    var hash = SHA256()
    var canonical: [UInt8] = []
    for index in selected(by: names, except: excluded) {
      canonical.removeAll(keepingCapacity: true)
      canonicalize(index, canonicalization, into: &canonical)
      hash.update(canonical)
    }
    return hash
  }
}

extension Canonicalization {
  /// The canonical form of a signature's own field, which `b=` was taken out of: without a line end (RFC 6376, 3.7).
  func unsigned(_ field: [UInt8]) -> [UInt8] {
    var result: [UInt8] = []
    let colon = field.firstIndex(of: 0x3A) ?? field.endIndex
    let nameEnd = field[..<colon].lastIndex { !$0.isASCIIBlank }.map { $0 + 1 } ?? 0
    append(field[...], valueAt: min(colon + 1, field.count), nameEnd: nameEnd, to: &result)
    if result.last == 0x0A { result.removeLast() }
    if result.last == 0x0D { result.removeLast() }
    return result
  }
}
