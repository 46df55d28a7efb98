/// One hash of a body that somebody asks for: SHA-256 of its canonical form.
public struct BodyHashKind: Hashable, Sendable {
  public var canonicalization: Canonicalization
  /// Octets of the canonical form that are hashed (RFC 6376, 3.5, tag `l=`); nil for all of it.
  public var length: UInt64?

  public init(_ canonicalization: Canonicalization, length: UInt64? = nil) {
    self.canonicalization = canonicalization
    self.length = length
  }
}

/// The hashes of one body.
public struct BodyHashes: Hashable, Sendable {
  /// The hash of one kind.
  public struct Hash: Hashable, Sendable {
    /// 32 octets of SHA-256.
    public var sha256: [UInt8]
    /// Octets of the whole canonical form, also of what `length` leaves out. Fewer than `length`: `sha256` is of all there is.
    public var octets: UInt64
  }

  var hashes: [BodyHashKind: Hash] = [:]

  /// Nil if it was not asked for.
  public subscript(kind: BodyHashKind) -> Hash? { hashes[kind] }
}

/// Hashes a body while it passes by, once for each canonicalisation, however many signatures want it and whatever their `l=` is.
///
/// Bytes are hashed where they lie; held are some dozen octets of state. How the body is cut changes nothing.
public struct BodyHasher: Sendable {
  private var streams: [BodyStream]

  /// Hashes of each of `kinds`.
  public init(_ kinds: some Sequence<BodyHashKind>) {
    let wanted = Set(kinds)
    streams = Canonicalization.allCases.compactMap { canonicalization in
      let lengths = wanted.filter { $0.canonicalization == canonicalization }.map(\.length)
      return lengths.isEmpty ? nil : BodyStream(canonicalization, lengths: lengths)
    }
  }

  /// Takes the next piece of the body: what comes behind the empty line that ends the header, dots of SMTP taken out.
  public mutating func update(_ bytes: UnsafeRawBufferPointer) {
    for index in streams.indices { streams[index].take(bytes) }
  }

  /// Takes the next piece of the body.
  public mutating func update(_ bytes: some Sequence<UInt8>) {
    if bytes.withContiguousStorageIfAvailable({ update(UnsafeRawBufferPointer($0)) }) == nil { update(Array(bytes)) }
  }

  /// The end of the body.
  public mutating func finish() -> BodyHashes {
    var result = BodyHashes()
    for index in streams.indices { streams[index].finish(into: &result) }
    return result
  }
}
