import Outside

extension Configuration {
  /// `[[route]]`: where mail for a domain goes instead of its MX hosts. A route never permits relaying.
  public struct Route: Hashable, Sendable {
    /// What a route is for, from the most to the least exact; the most exact match wins, whatever the order in the file.
    public enum Pattern: Hashable, Sendable {
      /// `example.net`: that domain.
      case domain(String)
      /// `.example.net`: everything below it; longer suffixes win.
      case suffix(String)
      /// `*`: everything else.
      case any
    }

    /// `user` and `password-file`: how to log in at the next hop.
    public struct Credentials: Hashable, Sendable {
      public var user: String
      /// `password-file`: a file that holds the password in its first line.
      public var passwordFile: String
      public init(user: String, passwordFile: String) {
        self.user = user
        self.passwordFile = passwordFile
      }
    }

    /// `domain`: `example.net`, `.example.net` or `*`. Required.
    public var pattern: Pattern
    /// `next-hop`: `smtp://host:port`, `smtps://host:port`, `lmtp://host:port` or `lmtp+unix:///path`. Required.
    public var nextHop: NextHop
    /// `mx`: whether the next hop's host is a domain whose MX hosts are meant. Default false.
    public var usesMX: Bool
    /// `tls`: `none`, `opportunistic`, `required` or `verified`. Default `opportunistic`;
    /// `verified` for `smtps`, which is encrypted always.
    public var tls: TLSPolicy
    /// `user`, `password-file`: default none.
    public var credentials: Credentials?
    /// `source-addresses` and `helo`: default nothing, so that the sender's domain or `[delivery]` decides.
    public var source: Source
    /// The line of the file where it stands; 0 if it does not come from a file.
    public var line: Int

    public init(
      pattern: Pattern, nextHop: NextHop, usesMX: Bool = false, tls: TLSPolicy = .opportunistic,
      credentials: Credentials? = nil, source: Source = Source(), line: Int = 0
    ) {
      self.pattern = pattern
      self.nextHop = nextHop
      self.usesMX = usesMX
      self.tls = tls
      self.credentials = credentials
      self.source = source
      self.line = line
    }
  }
}
