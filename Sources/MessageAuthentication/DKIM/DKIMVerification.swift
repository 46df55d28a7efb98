import Bytes
import DNSTypes
import Outside

/// The verification of a message's DKIM signatures (RFC 6376, 6): a value that says what it must know.
///
///     let verification = DKIMVerification(header: splitter.header)    // once the header is there
///     var hasher = BodyHasher(verification.bodyKinds)                 // fed with the body; meanwhile verification.questions are asked
///     let verdicts = verification.verdicts(body: hasher.finish(), time: now) { answers[$0] ?? .unavailable }
public struct DKIMVerification: Sendable {
  private enum Candidate: Sendable {
    case unread(DKIMVerdict)
    case signature(DKIMSignature, field: Int)
  }

  private let header: HeaderFields
  private let limits: DKIMLimits
  private var candidates: [Candidate] = []

  /// Signatures beyond the limit, which get no verdict.
  public private(set) var ignoredSignatures = 0

  /// Reads a header as it came, fields with their line ends, without what was put before it here.
  public init(header: [UInt8], limits: DKIMLimits = .init()) {
    self.header = HeaderFields(header)
    self.limits = limits
    let fields = self.header.positions(of: Array("dkim-signature".utf8))
    ignoredSignatures = max(fields.count - limits.signatures, 0)
    for index in fields.prefix(limits.signatures) { candidates.append(candidate(index)) }
  }

  private func candidate(_ index: Int) -> Candidate {
    // A signature over part of a header that was read says nothing of the rest.
    if header.isTruncated { return .unread(DKIMVerdict(.permerror, "the header has too many fields")) }
    let field = header.fields[index]
    do throws(DKIMSyntaxError) {
      let start = field.valueStart - field.range.lowerBound
      let signature = try DKIMSignature(parsing: Array(header.bytes[field.range]), valueAt: start, limits: limits)
      if let verdict = refusal(signature) { return .unread(verdict) }
      return .signature(signature, field: index)
    } catch {
      return .unread(DKIMVerdict(.neutral, "the signature has \(error)"))
    }
  }

  /// What no key can mend.
  private func refusal(_ signature: DKIMSignature) -> DKIMVerdict? {
    if signature.algorithm == .rsaSHA1 { return DKIMVerdict(.permerror, "SHA-1 is refused", signature) }  // RFC 8301, 3.1
    let from = Array("from".utf8)
    // RFC 6376, 6.1.1
    guard signature.signedFields.contains(from) else { return DKIMVerdict(.permerror, "From is not signed", signature) }
    // Which From a reader sees is not known: each must be signed (RFC 6376, 8.15).
    let signed = signature.signedFields.count { $0 == from }
    guard header.positions(of: from).count <= signed else {
      return DKIMVerdict(.policy, "there is a From field that is not signed", signature)
    }
    return nil
  }

  private var signatures: [DKIMSignature] {
    candidates.compactMap { if case .signature(let signature, _) = $0 { signature } else { nil } }
  }

  /// The hashes of the body that are needed; none if no signature can be verified.
  public var bodyKinds: Set<BodyHashKind> { Set(signatures.map(\.body)) }

  /// The names whose TXT records are to be asked for, each once, in the order of the signatures.
  public var questions: [DNSName] {
    var seen: Set<DNSName> = []
    return signatures.map(\.keyName).filter { seen.insert($0).inserted }
  }

  /// A verdict for each signature from the top, or the one verdict that there is none.
  ///
  /// `time` is when the message came. `key` answers `questions`. Computes some 50 microseconds a signature; neither waits nor keeps.
  public func verdicts(body: BodyHashes, time: Timestamp, key: (DNSName) -> DKIMKeyAnswer) -> [DKIMVerdict] {
    guard !candidates.isEmpty else { return [DKIMVerdict(.none, "the message is not signed")] }
    return candidates.map { candidate in
      switch candidate {
      case .unread(let verdict): verdict
      case .signature(let signature, let field):
        verdict(signature, field: field, body: body, time: time, answer: key(signature.keyName))
      }
    }
  }

  private func verdict(
    _ signature: DKIMSignature, field: Int, body: BodyHashes, time: Timestamp, answer: DKIMKeyAnswer
  ) -> DKIMVerdict {
    let now = time.seconds.subtractedClamped(limits.clockSkew.components.seconds)
    if let expiry = signature.expiry, expiry < now { return DKIMVerdict(.fail, "the signature has expired", signature) }
    let records: [[UInt8]]
    switch answer {
    case .unavailable: return DKIMVerdict(.temperror, "the key could not be got", signature)
    case .absent: return DKIMVerdict(.permerror, "there is no key", signature)
    case .records(let found): records = found
    }
    // Several records are wrong, yet a wildcard's stand beside a key's: the first that is this key's counts.
    var first: DKIMVerdict?
    for record in records.prefix(limits.keyRecords) {
      switch key(record, for: signature) {
      case .failure(let refused): first = first ?? refused.verdict
      case .success(let (key, record)):
        var result = verdict(signature, field: field, body: body, key: key)
        result.isTesting = record.isTesting
        result.keyBits = key.bits
        return result
      }
    }
    return first ?? DKIMVerdict(.permerror, "there is no key", signature)
  }

  private struct Refused: Error { var verdict: DKIMVerdict }

  /// The key of a record, if the signature may use it (RFC 6376, 6.1.2).
  private func key(_ text: [UInt8], for signature: DKIMSignature) -> Result<(DKIMPublicKey, DKIMKeyRecord), Refused> {
    func refuse(_ result: DKIMResult, _ reason: String, testing: Bool = false) -> Result<(DKIMPublicKey, DKIMKeyRecord), Refused> {
      var verdict = DKIMVerdict(result, reason, signature)
      verdict.isTesting = testing
      return .failure(Refused(verdict: verdict))
    }
    let record: DKIMKeyRecord
    do throws(DKIMSyntaxError) { record = try DKIMKeyRecord(parsing: text, limits: limits) } catch {
      return refuse(.permerror, "the key record has \(error)")
    }
    let testing = record.isTesting
    if record.isRevoked { return refuse(.permerror, "the key was revoked", testing: testing) }
    let type: DKIMKeyRecord.KeyType = signature.algorithm == .ed25519SHA256 ? .ed25519 : .rsa
    guard record.keyType == type else { return refuse(.permerror, "the key is of another kind", testing: testing) }
    guard record.allowsSHA256 else { return refuse(.permerror, "the key is not for SHA-256", testing: testing) }
    guard record.isForMail else { return refuse(.permerror, "the key is not for mail", testing: testing) }
    guard !record.isStrict || signature.isIdentityExact else {
      return refuse(.permerror, "the key is not for subdomains", testing: testing)
    }
    guard let key = DKIMPublicKey(record) else { return refuse(.permerror, "the key can't be read", testing: testing) }
    if let weakness = key.weakness(limits) { return refuse(.policy, weakness, testing: testing) }
    return .success((key, record))
  }

  /// RFC 6376, 6.1.3
  private func verdict(_ signature: DKIMSignature, field: Int, body: BodyHashes, key: DKIMPublicKey) -> DKIMVerdict {
    guard let hash = body[signature.body] else { return DKIMVerdict(.temperror, "the body was not hashed", signature) }
    let length = signature.body.length ?? hash.octets
    guard length <= hash.octets else { return DKIMVerdict(.fail, "the body is shorter than l= says", signature) }
    guard hash.sha256 == signature.bodyHash else { return DKIMVerdict(.fail, "the body was changed", signature) }
    guard let digest = headerHash(signature, field: field) else {
      return DKIMVerdict(.temperror, "there is no memory for a hash", signature)
    }
    guard key.verify(signature.signature, hash: digest) else {
      return DKIMVerdict(.fail, "the signature is not right for the header", signature)
    }
    var verdict = DKIMVerdict(.pass, "", signature)
    verdict.unsignedOctets = hash.octets - length
    if verdict.unsignedOctets > 0 {
      verdict.result = .policy
      verdict.reason = "l= leaves \(verdict.unsignedOctets) octets of the body unsigned"
    }
    return verdict
  }

  /// The hash that was signed (RFC 6376, 3.7). Nil without memory.
  func headerHash(_ signature: DKIMSignature, field index: Int) -> [UInt8]? {
    let canonicalization = signature.headerCanonicalization
    var hash = header.hash(signature.signedFields, canonicalization, except: index)
    var field = Array(header.bytes[header.fields[index].range])
    field.removeSubrange(signature.signaturePlace.clamped(to: 0..<field.count))
    hash.update(canonicalization.unsigned(field))
    return hash.hash()
  }
}
