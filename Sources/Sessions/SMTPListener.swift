import Identity
import Logging
import MailModel
import MailStore
import NIOCore
import Outside
import Overload
import Reception
import SMTP

/// What all SMTP or LMTP sessions of one listener share.
public struct SMTPListener: Sendable {
  public var service: SMTPService
  public var reception: Reception
  public var store: any MailStore
  public var overload: Overload
  public var clock: any Clock
  public var sleeper: any Sleeper
  /// Certificate and rules; nil offers no TLS.
  public var tls: (any TLSContext)?
  /// TLS begins with the connection (RFC 8314, 3).
  public var isImplicitTLS: Bool
  public var limits: SessionLimits
  /// Whether a request to end is for draining: then a message that has begun to come is taken first.
  public var isDraining: @Sendable () -> Bool = { false }
  /// Who knows the passwords; nil where the service offers no AUTH.
  public var authenticator: Authenticator?
  public var outbound: any Outbound
  /// Shared by all listeners.
  public var fullMailboxes: FullMailboxes
  /// Shared by all listeners.
  public var contentMemory: ContentMemory
  /// Shared with the supervisor.
  public var notes: any ParsingNotes
  public var log: Logger

  public init(
    service: SMTPService, reception: Reception, store: any MailStore, overload: Overload, clock: any Clock,
    sleeper: any Sleeper, tls: (any TLSContext)?, isImplicitTLS: Bool, limits: SessionLimits = SessionLimits(),
    outbound: any Outbound,
    fullMailboxes: FullMailboxes, contentMemory: ContentMemory = ContentMemory(), notes: any ParsingNotes = NoParsingNotes(),
    log: Logger
  ) {
    self.service = service
    self.reception = reception
    self.store = store
    self.overload = overload
    self.clock = clock
    self.sleeper = sleeper
    self.tls = tls
    self.isImplicitTLS = isImplicitTLS
    self.limits = limits
    self.outbound = outbound
    self.fullMailboxes = fullMailboxes
    self.contentMemory = contentMemory
    self.notes = notes
    self.log = log
  }
}

/// Who takes a message that is stored and claimed to its next hops. Called on a loop's thread; must not wait.
public protocol Outbound: Sendable {
  /// - Parameter bytes: the whole message (prefix and body) if it is still in memory, so that it need not be read again.
  func submit(_ message: QueuedMessage, bytes: ByteBuffer?)
}
