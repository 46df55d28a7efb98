/// Bounds of delivery. Counts unless said otherwise.
public struct DeliveryLimits: Hashable, Sendable {
  /// Connections to other hosts in all, those that are being made too. More wait. Default 2,000.
  public var connections = 2_000

  /// Of the three quarters that destinations may have which have not shown that they take mail, how much may belong to those that
  /// failed last, in percent. Default 50.
  public var suspectShare = 50

  /// Connections to one host, whatever domains and routes lead there: counted by its name and by its address. Also to one group of hosts.
  /// Default 20.
  public var connectionsPerDestination = 20

  /// Connections to one host before it has taken a message. Default 4.
  public var firstConnections = 4

  /// Messages over one connection, then it is closed. Default 100.
  public var messagesPerConnection = 100

  /// Recipients in one transaction; more go into the next (RFC 5321, 4.5.3.1.8 lets every host take 100). Default 100.
  public var recipientsPerTransaction = 100

  /// Jobs held in memory for one destination; more go back to the queue for a minute. Default 2,000.
  public var jobsPerDestination = 2_000

  /// Jobs held in memory for one destination that takes mail; more go back to the queue for a second. Default 10,000.
  public var jobsPerFlowingDestination = 10_000

  /// Pools (domains with MX sets of their own, mostly) whose jobs wait in memory for a connection to one host; those of more go back to the
  /// queue for a minute, so that a slow provider of many does not fill the memory. Default 500.
  public var poolsWaitingPerHost = 500

  /// Jobs held in memory in all. Default 20,000.
  public var jobs = 20_000

  /// Octets of message bodies kept in memory for fresh messages; beyond, they are read from the store. Default 64 MiB.
  public var bodyMemory = 64 * 1_048_576

  /// Octets of a message that is re-encoded for a host that takes 7-bit only; larger ones are returned: 554 5.6.3. Default 16 MiB.
  public var convertedMessage = 16 * 1_048_576

  /// Octets of all messages that are re-encoded at one time, each of which is in memory up to four times meanwhile; others wait.
  /// Default 32 MiB.
  public var conversionMemory = 32 * 1_048_576

  /// Recipients leased by one claim. Default 500.
  public var claim = 500

  /// Octets of a body read from the store at a time. Default 256 KiB.
  public var page = 262_144

  /// Hosts of one route that are tried in one attempt. Default 5.
  public var hostsPerAttempt = 5

  /// Addresses of all hosts together that are tried in one attempt. Default 10.
  public var addressesPerAttempt = 10

  /// Failures in a row of a host's address before its circuit opens, if no other connection to it works. Default 2.
  public var circuitFailures = 2

  /// Destinations, hosts and addresses remembered (windows, circuits, TLS failures). Default 10,000 of each; the longest unused go first.
  public var destinations = 10_000

  /// Notifications to one domain an hour; more are held back to leave later. Default 200.
  public var notificationsPerHour = 200

  /// Octets of the original message in a notification; a longer one is cut to its header. Default 64 KiB.
  public var returnedMessage = 65_536

  /// Octets of the original header in a notification. Default 32 KiB.
  public var returnedHeader = 32_768

  /// Recipients told of in one notification. Default 1,000.
  public var recipientsPerNotification = 1_000

  public init() {}
}

/// How long delivery waits for what.
public struct DeliveryTimes: Hashable, Sendable {
  /// For a connection. Default 30 s.
  public var connect = Duration.seconds(30)
  /// For a TLS handshake. Default 30 s.
  public var handshake = Duration.seconds(30)
  /// For the greeting (RFC 5321, 4.5.3.2.1). Default 5 min.
  public var greeting = Duration.seconds(300)
  /// For the reply to EHLO, HELO, LHLO, STARTTLS, AUTH, RSET. Default 5 min.
  public var hello = Duration.seconds(300)
  /// For the reply to MAIL (RFC 5321, 4.5.3.2.2). Default 5 min.
  public var mail = Duration.seconds(300)
  /// For the reply to RCPT (RFC 5321, 4.5.3.2.3). Default 5 min.
  public var recipient = Duration.seconds(300)
  /// For the reply to DATA (RFC 5321, 4.5.3.2.4). Default 2 min.
  public var dataStart = Duration.seconds(120)
  /// For a block of the body to leave (RFC 5321, 4.5.3.2.5). Default 3 min.
  public var dataBlock = Duration.seconds(180)
  /// For the reply after the final dot (RFC 5321, 4.5.3.2.6). Default 10 min.
  public var dataEnd = Duration.seconds(600)
  /// For QUIT's reply. Default 5 s.
  public var quit = Duration.seconds(5)
  /// For one transaction in all, a tarpit's bound; a minute more for each MiB. Default 30 min.
  public var transaction = Duration.seconds(1_800)
  /// An unused connection is kept so long. Default 5 s.
  public var idle = Duration.seconds(5)
  /// A lease of claimed recipients. Default 30 min; renewed while they are in memory.
  public var lease = Duration.seconds(1_800)
  /// A failed TLS handshake is remembered so long; meanwhile the host gets mail in clear. Default 1 h.
  public var tlsFailure = Duration.seconds(3_600)
  /// The first pause of an open circuit; doubled up to `longestCircuit`. Default 30 s.
  public var circuit = Duration.seconds(30)
  /// The longest pause of an open circuit. Default 15 min.
  public var longestCircuit = Duration.seconds(900)
  /// A host that wanted fewer connections gets no more than it has for so long. Default 30 s.
  public var growthPause = Duration.seconds(30)
  /// An address that failed is tried after the others of its route for so long. Default 60 s.
  public var doubt = Duration.seconds(60)
  /// The longest sleep between two looks at the queue: a clock that jumps, or a store that changes behind delivery's back, is noticed then.
  /// Default 60 s.
  public var look = Duration.seconds(60)
  /// Failures of one message are gathered at most so long for one notification. Default 30 s.
  public var gathering = Duration.seconds(30)

  public init() {}
}

/// When failed recipients are tried again, and when no more.
public struct RetryPolicy: Hashable, Sendable {
  /// After the first failure. Default 5 min.
  public var firstRetry = Duration.seconds(300)
  /// The longest pause. Default 4 h.
  public var maximumRetry = Duration.seconds(14_400)
  /// Then the message is returned. Default 5 days (RFC 5321, 4.5.4.1).
  public var lifetime = Duration.seconds(432_000)
  /// Then the sender is told that it is late, once. Default 4 h; zero: never.
  public var delayNotice = Duration.seconds(14_400)

  public init() {}
}
