/// Scenarios without servers that nothing happens at.
extension Scenario {
  /// The same with those servers only that something names, numbered anew from 0.
  func gathered() -> Scenario {
    var used = Set(messages.map(\.server)).union(attacks.map(\.server))
    for message in messages {
      for address in message.recipients + [message.sender].compactMap({ $0 }) {
        if let server = Self.server(in: address) { used.insert(server) }
      }
    }
    for fault in faults { used.formUnion(fault.action.servers) }
    let order = used.filter { $0 < servers }.sorted()
    let numbers = Dictionary(zip(order, order.indices), uniquingKeysWith: { first, _ in first })
    func renamed(_ text: String) -> String {
      guard let server = Self.server(in: text), let number = numbers[server] else { return text }
      return text.replacing("s\(server)", with: "s\(number)")
    }
    var result = self
    result.servers = max(order.count, 1)
    for index in result.messages.indices {
      result.messages[index].server = numbers[messages[index].server] ?? 0
      result.messages[index].sender = messages[index].sender.map(renamed)
      result.messages[index].recipients = messages[index].recipients.map(renamed)
    }
    for index in result.attacks.indices { result.attacks[index].server = numbers[attacks[index].server] ?? 0 }
    for index in result.faults.indices { result.faults[index].action = faults[index].action.renumbered(numbers, renamed) }
    return result
  }

  /// The server that an address (`u1@s3.sim`) or a name (`s3`, `s3.sim`) belongs to.
  static func server(in text: String) -> Int? {
    let host = text.split(separator: "@").last?.split(separator: ".").first ?? ""
    return host.hasPrefix("s") ? Int(host.dropFirst()) : nil
  }
}

extension Scenario.Fault.Action {
  /// The servers that it names.
  var servers: [Int] {
    switch self {
    case .part(let one, let other): [one, other].compactMap(Scenario.server)
    case .isolate(let name), .slow(let name), .breaking(let name), .losing(let name), .brokenTLS(let name), .failingNames(let name),
      .silentNames(let name):
      [name].compactMap(Scenario.server)
    case .crash(let server), .crashInWrite(let server, _), .powerCut(let server, _), .fullDisk(let server), .failedSync(let server),
      .clock(let server, _):
      [server]
    case .host: []
    }
  }

  func renumbered(_ numbers: [Int: Int], _ renamed: (String) -> String) -> Self {
    switch self {
    case .part(let one, let other): .part(renamed(one), renamed(other))
    case .isolate(let name): .isolate(renamed(name))
    case .slow(let name): .slow(renamed(name))
    case .breaking(let name): .breaking(renamed(name))
    case .losing(let name): .losing(renamed(name))
    case .brokenTLS(let name): .brokenTLS(renamed(name))
    case .failingNames(let name): .failingNames(renamed(name))
    case .silentNames(let name): .silentNames(renamed(name))
    case .crash(let server): .crash(server: numbers[server] ?? 0)
    case .crashInWrite(let server, let after): .crashInWrite(server: numbers[server] ?? 0, after: after)
    case .powerCut(let server, let survival): .powerCut(server: numbers[server] ?? 0, survival)
    case .fullDisk(let server): .fullDisk(server: numbers[server] ?? 0)
    case .failedSync(let server): .failedSync(server: numbers[server] ?? 0)
    case .clock(let server, let by): .clock(server: numbers[server] ?? 0, by: by)
    case .host: self
    }
  }
}
