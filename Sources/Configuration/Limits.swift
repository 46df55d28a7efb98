extension Configuration {
  /// `[limits]`: what one client, one message and one session may ask for. 0 means unlimited for every key here.
  public struct Limits: Hashable, Sendable {
    /// `message-size`: octets of a message, announced by SIZE: `552 5.3.4`. Default 50 MB.
    public var messageSize = ByteCount(octets: 50_000_000)
    /// `recipients`: recipients of one transaction: `452 4.5.3`. Default 1,000.
    public var recipients = 1_000
    /// `connections`: connections at one time in all; beyond it the longest idle is shed: `421 4.3.2`. Default 10,000.
    public var connections = 10_000
    /// `connections-per-client`: connections at one time from one IPv4 address or IPv6 /64: `421 4.7.0`. Default 20.
    public var connectionsPerClient = 20
    /// `messages-per-client-per-minute`: messages of one client in a minute: `450 4.7.1`. Default 600.
    public var messagesPerClientPerMinute = 600
    /// `messages-per-connection`: transactions of one connection (RFC 9422 MAILMAX): `421 4.7.0`. Default 1,000.
    public var messagesPerConnection = 1_000
    /// `hops`: `Received` fields of a message, above which it is taken for a loop: `554 5.4.6`. Default 50.
    public var hops = 50
    /// `unknown-recipients`: refused recipients of one session before it is cut (address harvesting): `421 4.7.0`. Default 20.
    public var unknownRecipients = 20
    /// `errors`: syntax and sequence errors of one session before it is cut: `421 4.7.0`. Default 20.
    public var errors = 20
    /// `command-line`: octets of a command line with its CRLF: `500 5.5.2`. At least 512; default 2,048.
    public var commandLine = ByteCount(octets: 2_048)
    /// `discarded-input`: octets of an overlong line read on and thrown away before `421`. Default 64 KiB.
    public var discardedInput = ByteCount(octets: 65_536)
    /// `command-timeout`: how long to wait for a command: `421 4.4.2` (RFC 5321, 4.5.3.2.7: at least 5 minutes). Default 5 minutes.
    public var commandTimeout = Duration.seconds(300)
    /// `data-timeout`: how long a whole message may take to arrive: `421 4.4.2`. Default 1 hour.
    public var dataTimeout = Duration.seconds(3_600)
    /// `session-duration`: how long a session may last in all: `421 4.4.2`. Default 4 hours.
    public var sessionDuration = Duration.seconds(14_400)
    /// `minimum-rate`: octets a second that a message must come with after `minimum-rate-grace`: `421 4.4.2`. Default 500.
    public var minimumRate = ByteCount(octets: 500)
    /// `minimum-rate-grace`: seconds of a message before `minimum-rate` counts. Default 30 seconds.
    public var minimumRateGrace = Duration.seconds(30)
    /// `header-size`: octets of a message's header: `552 5.3.4`. Default 1 MiB.
    public var headerSize = ByteCount(octets: 1 << 20)
    /// `header-fields`: fields of a message's header: `552 5.3.4`. Default 10,000.
    public var headerFields = 10_000
    /// `header-field-size`: octets of one header field with its folding: `552 5.3.4`. Default 256 KiB.
    public var headerFieldSize = ByteCount(octets: 256 << 10)
    /// `mime-depth`: how deep parts are looked into; what lies deeper is one opaque part. Default 100.
    public var mimeDepth = 100
    /// `mime-parts`: how many parts are told apart; the rest is one opaque part. Default 10,000.
    public var mimeParts = 10_000

    public init() {}
  }
}
