import NIOCore
import Outside

/// Clients with bad intentions. None of what they bring may arrive anywhere.
struct HostileSender {
  let world: World
  let host: NetworkHost

  func attack(_ attack: Scenario.Attack, _ server: SimulatedServer) async {
    world.counts.note(attack.kind)
    let deadline = world.now.advanced(by: .seconds(30))
    guard
      case .success(let connection) = await world.network.connect(
        from: host, life: 0, to: .ip(server.host.address, port: 25), until: deadline)
    else { return }
    let talk = Talk(connection: connection, clock: world.executor.clock)
    defer { connection.abort() }
    let victim = "u1@\(server.domain)"
    switch attack.kind {
    case .earlyTalker:
      talk.say("EHLO early.sim\r\nMAIL FROM:<>\r\nRCPT TO:<\(victim)>\r\nDATA")
      talk.say(evil(attack) + "\r\n.")
      connection.flush()
    case .openRelay:
      guard await greet(talk) else { return }
      for trick in ["u0@h0.sim", "\"u0@h0.sim\"@s1.sim", "u0%h0.sim@\(server.domain)", "@\(server.domain):u0@h0.sim"] {
        _ = await talk.ask("MAIL FROM:<>")
        if await talk.ask("RCPT TO:<\(trick)>")?.hasPrefix("250") == true { _ = await body(talk, attack, end: "\r\n.") }
        _ = await talk.ask("RSET")
      }
    case .smuggling: await smuggle(talk, attack, victim)
    case .oversized:
      guard await greet(talk), await begin(talk, victim) else { return }
      talk.say("X-Token: evil\(attack.number)\r\n")
      for _ in 0..<4_000 {
        talk.say(String(repeating: "x", count: 98))
        if connection.output.readableBytes > 30_000, !(await connection.drain(until: world.now.advanced(by: .seconds(60)))) {
          return
        }
      }
      _ = await talk.ask(".")
    case .endlessLine:
      guard await greet(talk), await begin(talk, victim) else { return }
      for _ in 0..<400 {
        connection.output.writeString(String(repeating: "y", count: 1_000))
        if connection.output.readableBytes > 30_000, !(await connection.drain(until: world.now.advanced(by: .seconds(60)))) {
          return
        }
      }
    default:
      guard await greet(talk), await begin(talk, victim) else { return }
      // Half a message, a long silence, and gone.
      talk.say(evil(attack))
      connection.flush()
      _ = await connection.receive(until: world.now.advanced(by: .seconds(4_000)))
    }
  }

  private func evil(_ attack: Scenario.Attack) -> String {
    "X-Token: evil\(attack.number)\r\nFrom: <x@evil.sim>\r\n\r\nevil"
  }

  private func greet(_ talk: Talk) async -> Bool {
    guard await talk.reply()?.hasPrefix("220") == true else { return false }
    return await talk.ask("EHLO evil.sim")?.hasPrefix("250") == true
  }

  private func begin(_ talk: Talk, _ victim: String) async -> Bool {
    guard await talk.ask("MAIL FROM:<x@evil.sim>")?.hasPrefix("250") == true,
      await talk.ask("RCPT TO:<\(victim)>")?.hasPrefix("250") == true
    else { return false }
    return await talk.ask("DATA")?.hasPrefix("354") == true
  }

  private func body(_ talk: Talk, _ attack: Scenario.Attack, end: String) async -> String? {
    guard await talk.ask("DATA")?.hasPrefix("354") == true else { return nil }
    return await talk.ask(evil(attack) + end)
  }

  /// Each end of a message that is none (HOSTILE 1), with a second message behind it.
  private func smuggle(_ talk: Talk, _ attack: Scenario.Attack, _ victim: String) async {
    let ends = ["\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r\n.\r"]
    guard await greet(talk), await begin(talk, victim) else { return }
    let second = "MAIL FROM:<x@evil.sim>\r\nRCPT TO:<\(victim)>\r\nDATA\r\nX-Token: evil\(attack.number)\r\n\r\nsmuggled"
    talk.connection.output.writeString("X-Token: evil\(attack.number)\r\n\r\nfirst" + ends[attack.number % ends.count] + second)
    // Never ended: a server that saw an end where there is none has taken the first by now.
    _ = await talk.connection.receive(until: world.now.advanced(by: .seconds(20)))
  }
}
