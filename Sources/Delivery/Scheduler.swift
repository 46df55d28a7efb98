import InternetMessage
import MailModel
import MailStore
import NIOCore
import Outside
import Routing

/// What the scheduler works with.
public struct DeliveryServices: Sendable {
  public var store: any MailStore
  public var router: Router
  public var dialer: any Dialer
  public var clock: any Clock
  public var random: any RandomSource
  public var sleeper: any Sleeper
  public var sink: any NotificationSink
  /// nil: no domain is delivered here.
  public var local: (any LocalDestination)?
  /// What STARTTLS and smtps use; nil: no TLS can be spoken.
  public var tls: (any TLSContext)?
  /// Starts a task on the executor of the one loop that delivery runs on. Called from any thread.
  public var spawn: @Sendable (@escaping @Sendable () async -> Void) -> Void

  public init(
    store: any MailStore, router: Router, dialer: any Dialer, clock: any Clock, random: any RandomSource, sleeper: any Sleeper,
    sink: any NotificationSink, local: (any LocalDestination)? = nil, tls: (any TLSContext)? = nil,
    spawn: @escaping @Sendable (@escaping @Sendable () async -> Void) -> Void
  ) {
    self.store = store
    self.router = router
    self.dialer = dialer
    self.clock = clock
    self.random = random
    self.sleeper = sleeper
    self.sink = sink
    self.local = local
    self.tls = tls
    self.spawn = spawn
  }
}

/// What delivery goes by; replaced as a whole when the configuration is read again.
public struct DeliverySettings: Sendable {
  /// This host's name, in EHLO and notifications.
  public var hostname: String
  public var limits: DeliveryLimits
  public var times: DeliveryTimes
  public var retry: RetryPolicy
  /// The local address that connections come from; nil lets the system choose.
  public var source: IPAddress?
  /// Whether BDAT is used where it is offered. Default true.
  public var usesChunking: Bool

  public init(
    hostname: String, limits: DeliveryLimits = DeliveryLimits(), times: DeliveryTimes = DeliveryTimes(),
    retry: RetryPolicy = RetryPolicy(),
    source: IPAddress? = nil, usesChunking: Bool = true
  ) {
    self.hostname = hostname
    self.limits = limits
    self.times = times
    self.retry = retry
    self.source = source
    self.usesChunking = usesChunking
  }
}
