import Outside

/// What `XCLIENT` says about the real client (Postfix, XCLIENT_README). Attributes not given are nil; `[UNAVAILABLE]` and
/// `[TEMPUNAVAIL]` too.
public struct XCLIENTAttributes: Hashable, Sendable {
  public var name: String?
  public var address: IPAddress?
  public var port: UInt16?
  public var helo: String?
  public var destinationAddress: IPAddress?
  public var destinationPort: UInt16?
  /// `SMTP` or `ESMTP`.
  public var isExtended: Bool?

  public init() {}
}
