import Outside

extension Configuration {
  /// Where connections to next hops come from, as `[delivery]`, `[[route]]` and `[[sender]]` say it.
  public struct Source: Hashable, Sendable {
    /// `source-addresses`: local addresses to connect from, at most one IPv4 and one IPv6. Default empty: the system chooses.
    public var addresses: [IPAddress]
    /// `helo`: this host's name in EHLO, as the DNS has it for those addresses. Default empty: `hostname`.
    public var helo: String

    public init(addresses: [IPAddress] = [], helo: String = "") {
      self.addresses = addresses
      self.helo = helo
    }

    /// Nothing is said.
    public var isDefault: Bool { addresses.isEmpty && helo.isEmpty }
  }

  /// `[[sender]]`: where mail of a sender's domain comes from. A route's own source goes before it; notifications come from where
  /// `[delivery]` says.
  public struct Sender: Hashable, Sendable {
    /// `domain`: the domain of MAIL FROM: `example.org`, `.example.org` or `*`, as in a route. Required.
    public var pattern: Route.Pattern
    /// `source-addresses` and `helo`: one of them at least.
    public var source: Source
    /// The line of the file where it stands; 0 if it does not come from a file.
    public var line: Int

    public init(pattern: Route.Pattern, source: Source, line: Int = 0) {
      self.pattern = pattern
      self.source = source
      self.line = line
    }
  }

  /// `[[destination]]`: what one destination is allowed, a provider mostly. All that a section matches shares its bounds.
  public struct Destination: Hashable, Sendable {
    /// `domains`: recipients' domains, for mail that goes by MX records: `example.net`, `.example.net` or `*`.
    public var domains: [String]
    /// `hosts`: mail hosts or next hops, by name or address: `mx.example.net`, `.example.net`, `192.0.2.1` or `*`.
    public var hosts: [String]
    /// `concurrency`: connections at one time. 1 to 1,000. Default 0: `delivery.connections-per-destination` alone.
    public var concurrency: Int
    /// `connections-per-minute`: 1 to 1,000,000. Default 0: any number.
    public var connectionsPerMinute: Int
    /// `messages-per-minute`: messages (transactions) begun in a minute. 1 to 1,000,000. Default 0: any number.
    public var messagesPerMinute: Int
    /// `messages-per-hour`: messages (transactions) begun in an hour. 1 to 1,000,000. Default 0: any number.
    public var messagesPerHour: Int
    /// `messages-per-connection`: 1 to 100,000. Default 0: `delivery.messages-per-connection`.
    public var messagesPerConnection: Int
    /// The line of the file where it stands; 0 if it does not come from a file.
    public var line: Int

    public init(
      domains: [String] = [], hosts: [String] = [], concurrency: Int = 0, connectionsPerMinute: Int = 0, messagesPerMinute: Int = 0,
      messagesPerHour: Int = 0, messagesPerConnection: Int = 0, line: Int = 0
    ) {
      self.domains = domains
      self.hosts = hosts
      self.concurrency = concurrency
      self.connectionsPerMinute = connectionsPerMinute
      self.messagesPerMinute = messagesPerMinute
      self.messagesPerHour = messagesPerHour
      self.messagesPerConnection = messagesPerConnection
      self.line = line
    }
  }
}
