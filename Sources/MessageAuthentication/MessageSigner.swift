import Outside

/// Whatever puts signatures on a message: the one seam for it. DKIM is the first (`DKIMSigner`).
///
/// Which signer a message gets may be decided when its header is known; only the hashes of its body have to be begun before, for
/// all signers that may come into question (`BodyHasher` takes the kinds of several).
public protocol MessageSigner: Sendable {
  /// The hashes of the body that `sign` needs.
  var bodyKinds: [BodyHashKind] { get }

  /// The header fields to put before the message, each with its CRLF, in their order.
  ///
  /// Computes (an RSA signature takes about a millisecond) and neither waits nor keeps anything: for a worker thread.
  func sign(_ message: SignableMessage) throws(SigningError) -> [UInt8]
}

/// What a signature is made of. A new kind of signature that needs more (the envelope, say) gets it here.
public struct SignableMessage: Sendable {
  /// The header as it will leave, fields with their CRLF. The empty line behind it, and what follows, is not looked at.
  public var header: [UInt8]
  /// The hashes of the body, at least those of the signer's `bodyKinds`.
  public var body: BodyHashes
  /// When it is signed.
  public var time: Timestamp

  public init(header: [UInt8], body: BodyHashes, time: Timestamp) {
    self.header = header
    self.body = body
    self.time = time
  }
}

/// Why a message was not signed.
public enum SigningError: Error, Hashable, Sendable, CustomStringConvertible {
  /// No `From` field, or several: no verifier would take the signature for what it says (RFC 6376, 5.4).
  case fromFields(count: Int)
  /// A CR or LF that is no line end stands in the header: it would not arrive as it was signed (RFC 6376, 5.3).
  case bareLineEnd
  /// A line is no field and continues none: put behind a signature, a first one like it would become part of it, and others end the
  /// header for some who read it (RFC 6376, 5.3).
  case notAField
  /// More fields than are read, or than one signature may name.
  case tooManyFields(limit: Int)
  /// No hash of the needed kind was given.
  case noBodyHash
  /// OpenSSL did not sign: no memory.
  case cannotSign(selector: String)

  public var description: String {
    switch self {
    case .fromFields(let count): count == 0 ? "there is no From field" : "there are \(count) From fields"
    case .bareLineEnd: "the header has a CR or LF that is no line end"
    case .notAField: "the header has a line that is no field"
    case .tooManyFields(let limit): "the header has more than \(limit) fields"
    case .noBodyHash: "the body was not hashed"
    case .cannotSign(let selector): "the key of the selector \(selector) does not sign"
    }
  }
}
