import Configuration

extension NextHop {
  /// What a route of the configuration asks for.
  ///
  /// - Parameter password: what stands in the route's password file; nil without credentials.
  public init(_ route: Configuration.Route, password: String? = nil) {
    let target: Target
    let port: UInt16?
    switch route.nextHop.place {
    case .name(let name, let number): (target, port) = (.host(name), number)
    case .address(let address, let number): (target, port) = (.address(address), number)
    case .unix(let path): (target, port) = (.unix(path: path), nil)
    }
    self.init(
      dialect: route.nextHop.scheme == .lmtp ? .lmtp : .smtp, target: target, port: port,
      isImplicitTLS: route.nextHop.scheme == .smtps, tls: route.tls, usesMX: route.usesMX,
      credentials: route.credentials.map { Credentials(user: $0.user, password: password ?? "") },
      source: route.source.isDefault ? nil : ConnectionSource(route.source))
  }
}

extension ConnectionSource {
  /// What the configuration says; an empty name is none.
  public init(_ source: Configuration.Source) {
    self.init(addresses: source.addresses, helo: source.helo.isEmpty ? nil : source.helo)
  }
}

extension Configuration.Route.Pattern {
  /// As tables of patterns read it: `example.net`, `.example.net` or `*`.
  public var text: String {
    switch self {
    case .domain(let name): name
    case .suffix(let name): "." + name
    case .any: "*"
    }
  }
}

extension RouteTable {
  /// The routes of the configuration.
  ///
  /// - Parameter passwords: what stands in the password files, by their paths.
  public init(_ routes: [Configuration.Route], passwords: [String: String] = [:]) throws(PatternError) {
    try self.init(
      routes.map { route in
        Entry(
          pattern: route.pattern.text, nextHop: NextHop(route, password: route.credentials.flatMap { passwords[$0.passwordFile] }))
      })
  }
}
