import Outside

extension Configuration {
  /// `[tls]`: the certificate that listeners show.
  public struct TLS: Hashable, Sendable {
    public enum Version: String, Hashable, Sendable, CaseIterable {
      case tls12 = "1.2"
      case tls13 = "1.3"
    }

    /// `certificate`: PEM file with the certificate first, then its chain. Required in this section.
    public var certificate: String
    /// `key`: PEM file with the private key. Required in this section.
    public var key: String
    /// `minimum-version`: `1.2` or `1.3`. Default `1.2` (RFC 8996 forbids less).
    public var minimumVersion: Version

    public init(certificate: String, key: String, minimumVersion: Version = .tls12) {
      self.certificate = certificate
      self.key = key
      self.minimumVersion = minimumVersion
    }
  }

  /// `[dns]`: whom to ask.
  public struct DNS: Hashable, Sendable {
    /// A server to ask.
    public struct Server: Hashable, Sendable {
      public var address: IPAddress
      public var port: UInt16
      public init(address: IPAddress, port: UInt16 = 53) {
        self.address = address
        self.port = port
      }
    }

    /// `servers`: `address` or `address:port`, all of them recursive. Default empty: the system's (`/etc/resolv.conf`).
    public var servers: [Server]
    /// `trust-anchors`: files with DNSKEY or DS records in zone format. Default empty: the system's root anchor, where there is one.
    public var trustAnchors: [String]

    public init(servers: [Server] = [], trustAnchors: [String] = []) {
      self.servers = servers
      self.trustAnchors = trustAnchors
    }
  }

  /// `[trust]`: what networks may do. Nothing is trusted by default, loopback neither.
  public struct Trust: Hashable, Sendable {
    /// `networks`: may relay to any domain.
    public var networks: [NetworkPrefix]
    /// `proxy`: may speak the PROXY protocol (version 1 and 2) before anything else.
    public var proxy: [NetworkPrefix]
    /// `xclient`: may use XCLIENT.
    public var xclient: [NetworkPrefix]

    public init(networks: [NetworkPrefix] = [], proxy: [NetworkPrefix] = [], xclient: [NetworkPrefix] = []) {
      self.networks = networks
      self.proxy = proxy
      self.xclient = xclient
    }
  }

  /// `[directory]`: how recipients are looked up.
  public struct Directory: Hashable, Sendable {
    /// `subaddress-separator`: what stands between `user` and `tag` in `user+tag@domain`; one character, or empty for none.
    /// Default `+` (RFC 5233).
    public var subaddressSeparator: String
    /// `postmaster`: who gets mail for `postmaster` where no account or alias has that name. Default empty: the account made first.
    public var postmaster: String
    /// `alias-depth`: how many aliases may lead to one another. 1 to 100, default 10.
    public var aliasDepth: Int
    /// `alias-targets`: how many recipients one address may expand to. 1 to 10,000 (as many as one message may have), default 1,000.
    public var aliasTargets: Int

    public init(subaddressSeparator: String = "+", postmaster: String = "", aliasDepth: Int = 10, aliasTargets: Int = 1_000) {
      self.subaddressSeparator = subaddressSeparator
      self.postmaster = postmaster
      self.aliasDepth = aliasDepth
      self.aliasTargets = aliasTargets
    }
  }

  /// `[queue]`: when to try again, and when to give up.
  public struct Queue: Hashable, Sendable {
    /// `first-retry`: the wait after the first failed attempt; later waits double, with jitter. Default 5 minutes.
    public var firstRetry: Duration
    /// `maximum-retry`: the longest wait between two attempts. Default 4 hours.
    public var maximumRetry: Duration
    /// `lifetime`: how long to try before the sender is told that it failed (RFC 5321, 4.5.4.1: 4 to 5 days). Default 5 days.
    public var lifetime: Duration
    /// `delay-notice`: how long a message may wait before its sender is told so once; `0s` never tells. Default 4 hours.
    public var delayNotice: Duration
    /// `soft-bounce`: whether permanent failures are kept instead of returned, and what is refused here is refused for a while only: for
    /// migrations. Default false.
    public var softBounces: Bool

    public init(
      firstRetry: Duration = .seconds(300), maximumRetry: Duration = .seconds(14_400), lifetime: Duration = .seconds(432_000),
      delayNotice: Duration = .seconds(14_400), softBounces: Bool = false
    ) {
      self.firstRetry = firstRetry
      self.maximumRetry = maximumRetry
      self.lifetime = lifetime
      self.delayNotice = delayNotice
      self.softBounces = softBounces
    }
  }

  /// `[delivery]`: how mail leaves.
  public struct Delivery: Hashable, Sendable {
    /// `concurrency`: connections to other hosts at one time, in all, those that are being made too. 1 to 10,000, default 2,000. A
    /// quarter is kept for hosts that take mail, and a quarter for those that have not shown it yet.
    public var concurrency: Int
    /// `connections-per-destination`: connections to one destination at one time. 1 to 1,000, default 20.
    public var connectionsPerDestination: Int
    /// `recipients-per-transaction`: recipients of one destination that share a transaction. 1 to 1,000, default 100 (what every
    /// server must take: RFC 5321, 4.5.3.1.8).
    public var recipientsPerTransaction: Int
    /// `messages-per-connection`: messages that one connection carries before it is closed. 1 to 100,000, default 100.
    public var messagesPerConnection: Int
    /// `connect-timeout`: for one address of the next hop. Default 30 seconds.
    public var connectTimeout: Duration
    /// `idle-timeout`: how long a connection is kept for the next message. Default 5 seconds.
    public var idleTimeout: Duration
    /// `tls-failure-memory`: how long a host whose TLS handshake failed is spoken to in clear, where that is allowed. Default 1 hour.
    public var tlsFailureMemory: Duration
    /// `source-addresses` and `helo`: where mail comes from that neither a route nor its sender's domain says more of.
    public var source: Source
    /// `internal-addresses`: whether the DNS may lead to addresses that are not of the public internet (loopback, private, link-local).
    /// Routes always may. Default false.
    public var allowsInternalAddresses: Bool

    public init(
      concurrency: Int = 2_000, connectionsPerDestination: Int = 20, recipientsPerTransaction: Int = 100,
      messagesPerConnection: Int = 100, connectTimeout: Duration = .seconds(30), idleTimeout: Duration = .seconds(5),
      tlsFailureMemory: Duration = .seconds(3_600), source: Source = Source(),
      allowsInternalAddresses: Bool = false
    ) {
      self.concurrency = concurrency
      self.connectionsPerDestination = connectionsPerDestination
      self.recipientsPerTransaction = recipientsPerTransaction
      self.messagesPerConnection = messagesPerConnection
      self.connectTimeout = connectTimeout
      self.idleTimeout = idleTimeout
      self.tlsFailureMemory = tlsFailureMemory
      self.source = source
      self.allowsInternalAddresses = allowsInternalAddresses
    }
  }

  /// `[store]`: the data on disk.
  public struct Store: Hashable, Sendable {
    /// `reserve`: disk space kept as ballast, freed when the disk is full so that deliveries and deletions go on; 0 keeps none.
    /// Default 256 MiB.
    public var reserve: ByteCount
    /// `trace-retention`: how long a message's history is kept after its last event. Default 30 days.
    public var traceRetention: Duration
    /// `trace-size`: octets of history kept at most; the oldest goes first. 0 is unlimited. Default 1 GiB.
    public var traceSize: ByteCount

    public init(
      reserve: ByteCount = ByteCount(octets: 256 << 20), traceRetention: Duration = .seconds(2_592_000),
      traceSize: ByteCount = ByteCount(octets: 1 << 30)
    ) {
      self.reserve = reserve
      self.traceRetention = traceRetention
      self.traceSize = traceSize
    }
  }

  /// `[process]`: the running program.
  public struct Process: Hashable, Sendable {
    /// `user`: whom to become after binding the listeners when started as root. Default `martlet`.
    public var user: String
    /// `event-loops`: threads that carry the connections. 1 to 64, default 1.
    public var eventLoops: Int

    public init(user: String = "martlet", eventLoops: Int = 1) {
      self.user = user
      self.eventLoops = eventLoops
    }
  }

  /// `[log]`: one line a decision, on standard error unless a file is named.
  public struct Log: Hashable, Sendable {
    public enum Level: String, Hashable, Sendable, CaseIterable {
      case trace, debug, info, notice, warning, error, critical
    }
    public enum Format: String, Hashable, Sendable, CaseIterable {
      /// For people: time, level, message, `key=value`.
      case text
      /// One JSON object a line.
      case json
    }

    /// `level`: the least that is logged. Default `info`.
    public var level: Level
    /// `format`: `text` or `json`. Default `text`.
    public var format: Format
    /// `file`: where to append; reopened on SIGHUP. Default empty: standard error.
    public var file: String

    public init(level: Level = .info, format: Format = .text, file: String = "") {
      self.level = level
      self.format = format
      self.file = file
    }
  }
}
