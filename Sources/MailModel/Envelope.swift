import InternetMessage
import Outside

/// A message's SMTP envelope: who sends, and what was asked for the whole message. Recipients stand beside it.
public struct Envelope: Hashable, Sendable {
  /// What the body may hold (RFC 6152, RFC 3030).
  public enum BodyType: UInt8, Hashable, Sendable {
    case sevenBit = 0
    case eightBitMIME = 1
    case binaryMIME = 2
  }

  /// RFC 3461, 4.3.
  public enum Return: UInt8, Hashable, Sendable {
    case unspecified = 0
    case full = 1
    case headers = 2
  }

  /// Who is told of failures; nil is the null path `<>`.
  public var reversePath: EmailAddress?
  public var bodyType: BodyType
  /// SMTPUTF8 was given (RFC 6531, 3.4).
  public var isInternationalized: Bool
  /// REQUIRETLS was given (RFC 8689): only hosts with verified TLS and REQUIRETLS may have it.
  public var requiresTLS: Bool
  public var `return`: Return
  /// ENVID, decoded from xtext (RFC 3461, 4.4).
  public var envelopeID: String?

  public init(
    reversePath: EmailAddress?, bodyType: BodyType = .sevenBit, isInternationalized: Bool = false, requiresTLS: Bool = false,
    return: Return = .unspecified, envelopeID: String? = nil
  ) {
    self.reversePath = reversePath
    self.bodyType = bodyType
    self.isInternationalized = isInternationalized
    self.requiresTLS = requiresTLS
    self.return = `return`
    self.envelopeID = envelopeID
  }
}

/// What a recipient's sender asked about notifications (RFC 3461, 4.1 and 4.2).
public struct NotificationRequest: Hashable, Sendable {
  public struct Notify: OptionSet, Hashable, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    public static let success = Self(rawValue: 1)
    public static let failure = Self(rawValue: 2)
    public static let delay = Self(rawValue: 4)
    public static let never = Self(rawValue: 8)
  }

  /// Empty: NOTIFY was not given (failure and delay are reported).
  public var notify: Notify
  /// ORCPT, `type;decoded address` (RFC 3461, 4.2).
  public var originalRecipient: String?

  public init(notify: Notify = [], originalRecipient: String? = nil) {
    self.notify = notify
    self.originalRecipient = originalRecipient
  }
}
