/// What an address may measure (RFC 5321, 4.5.3.1). Beyond: `501 5.1.3`.
public struct AddressLimits: Hashable, Sendable {
  /// Octets of a local part, quotes resolved (RFC 5321, 4.5.3.1.1).
  public var localPart = 64
  /// Octets of a domain or address literal (RFC 5321, 4.5.3.1.2).
  public var domain = 255
  /// Octets of one label of a domain as A-label (RFC 1035, 2.3.4).
  public var label = 63
  /// Octets of the mailbox in a path: 256 with its angle brackets (RFC 5321, 4.5.3.1.3).
  public var mailbox = 254
  /// Hosts in a source route, which is read and dropped (RFC 5321, 4.1.1.3).
  public var routeHosts = 20

  public init() {}
}

/// What is read of a message's header and structure. Over the first three: `552 5.3.4`; over the others the message is taken
/// and the excess left unread, which is counted as an ambiguity.
public struct MessageLimits: Hashable, Sendable {
  /// Fields of a header.
  public var fields = 10_000
  /// Octets of one field with its continuations: 256 KiB.
  public var fieldOctets = 262_144
  /// Octets of a header: 1 MiB.
  public var headerOctets = 1_048_576
  /// Levels of multiparts and messages in each other.
  public var depth = 100
  /// MIME parts in all.
  public var parts = 10_000
  /// Octets of a boundary (RFC 2046, 5.1.1 allows 70).
  public var boundaryOctets = 200
  /// Addresses of one field that are shown (ENVELOPE); the others are read over.
  public var addresses = 1_000
  /// Octets of part descriptions (BODYSTRUCTURE): 256 KiB. Parts beyond are described by size alone.
  public var structureOctets = 262_144
  /// Ids of `References` that are kept: the first and the last ones.
  public var references = 100
  /// Octets of the first text that are kept for the preview.
  public var previewOctets = 4_096

  public init() {}
}
