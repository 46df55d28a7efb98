import Configuration

extension Settings {
  /// The keys that differ between two configurations and that a reload can't apply: they take effect at the next start.
  static func needingStart(from old: Configuration, to new: Configuration) -> [String] {
    var keys: [String] = []
    func compare<Value: Equatable>(_ key: String, _ value: (Configuration) -> Value) {
      if value(old) != value(new) { keys.append(key) }
    }
    compare("data") { $0.data }
    compare("listener") { $0.listeners.map { [$0.service.rawValue, "\($0.address)"] } }
    compare("dns.trust-anchors") { $0.dns.trustAnchors }
    compare("store.reserve") { $0.store.reserve }
    compare("store.trace-retention") { $0.store.traceRetention }
    compare("store.trace-size") { $0.store.traceSize }
    compare("process.user") { $0.process.user }
    compare("process.event-loops") { $0.process.eventLoops }
    compare("log.format") { $0.log.format }
    compare("log.file") { $0.log.file }
    // The sockets stop a little above the limit they were opened with.
    if serverLimits(new).connections > serverLimits(old).connections { keys.append("limits.connections") }
    return keys
  }

  /// `new` with `old` in the place of all that a reload can't apply: what the server goes by after it.
  static func applicable(_ new: Configuration, after old: Configuration) -> Configuration {
    var result = new
    result.data = old.data
    result.store = old.store
    result.process = old.process
    result.log.format = old.log.format
    result.log.file = old.log.file
    result.dns.trustAnchors = old.dns.trustAnchors
    // What is said of a listener that is open counts at once; one more or less needs a socket.
    result.listeners = old.listeners.map { listener in
      new.listeners.first { $0.address == listener.address && $0.service == listener.service } ?? listener
    }
    result.limits.connections =
      serverLimits(new).connections > serverLimits(old).connections
      ? old.limits.connections : new.limits.connections
    return result
  }
}
