import Outside

/// The whole of `martlet.toml` as typed values.
///
/// Promise: a text either becomes a `Configuration` in which every value is within its bounds, or a `ConfigurationError` that
/// names every problem at once with file, line, key and what was expected. An unknown key is a problem. Each key has a
/// documented default; only `hostname` has to be given.
///
/// This target is pure: it opens no file (`MartletServer`'s `ConfigurationFile` does). Relative paths in the file count from the
/// folder that the file stands in. Domains, accounts and aliases are not here: they live in the store.
///
/// `docs/configuration.md` describes every key; a test holds it against `Configuration.knownKeys`.
public struct Configuration: Hashable, Sendable {
  /// `hostname`: this host's own name, in the greeting, `EHLO`, `Received` and as the reporting host of notifications. A domain
  /// name of letters, digits and hyphens. Required.
  public var hostname: String

  /// `data`: the data folder (store, control socket). Default `/var/lib/martlet`.
  public var data: String

  /// `[[listener]]`: where mail comes in. Default none.
  public var listeners: [Listener]

  /// `[tls]`: nil if the section is missing; then no listener offers TLS.
  public var tls: TLS?

  /// `[dns]`
  public var dns: DNS

  /// `[[route]]`, in the order of the file.
  public var routes: [Route]

  /// `[[sender]]`, in the order of the file.
  public var senders: [Sender]

  /// `[[destination]]`, in the order of the file.
  public var destinations: [Destination]

  /// `[trust]`
  public var trust: Trust

  /// `[directory]`
  public var directory: Directory

  /// `[queue]`
  public var queue: Queue

  /// `[delivery]`
  public var delivery: Delivery

  /// `[limits]`
  public var limits: Limits

  /// `[store]`
  public var store: Store

  /// `[process]`
  public var process: Process

  /// `[log]`
  public var log: Log

  /// Everything at its default, for `hostname`.
  public init(hostname: String) {
    self.hostname = hostname
    self.data = "/var/lib/martlet"
    self.listeners = []
    self.tls = nil
    self.dns = DNS()
    self.routes = []
    self.senders = []
    self.destinations = []
    self.trust = Trust()
    self.directory = Directory()
    self.queue = Queue()
    self.delivery = Delivery()
    self.limits = Limits()
    self.store = Store()
    self.process = Process()
    self.log = Log()
  }

  /// The control socket, where the command line reaches the running server.
  public var controlSocket: String { data.hasSuffix("/") ? data + "control" : data + "/control" }
}
