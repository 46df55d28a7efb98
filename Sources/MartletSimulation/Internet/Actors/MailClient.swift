import NIOCore
import Outside

/// An honest client: hands messages over to its server, and tries again what was not taken.
struct MailClient {
  let world: World
  let host: NetworkHost
  let server: SimulatedServer

  /// The message as it is sent.
  static func text(_ message: Scenario.Message) -> String {
    let random = SeededRandom(seed: UInt64(message.number) &* 977 &+ 5)
    var body = ""
    while body.utf8.count < message.octets {
      let width = 20 + Int(clamping: random.next(below: 50))
      // Lines that begin with a dot are stuffed on their way.
      if random.chance(in: 10) { body += "." }
      for _ in 0..<width { body.unicodeScalars.append(Unicode.Scalar(UInt8(97 + random.next(below: 26)))) }
      body += "\r\n"
    }
    let from = message.sender ?? "MAILER-DAEMON"
    return """
      From: <\(from)>\r\nTo: <\(message.recipients.first ?? "")>\r\nSubject: simulated\r\nX-Token: \(message.token)\r\n\
      Message-ID: <\(message.token)@client.sim>\r\nDate: Thu, 01 Jan 2026 00:00:00 +0000\r\n\r\n\(body)
      """
  }

  /// Sends it, for as long as it takes or the world has patience.
  func send(_ message: Scenario.Message) async {
    let text = Self.text(message)
    world.history.add(
      .init(
        token: message.token, sender: message.sender, recipients: message.recipients, notify: message.notify, server: server.name,
        octets: text.utf8.count, fingerprint: Fingerprint.of(text.utf8)))
    var left = message.recipients
    var pause = 120
    while !left.isEmpty, !world.isOver {
      left = await attempt(message, text, to: left)
      guard !left.isEmpty else { return }
      await world.executor.sleep(until: world.now.advanced(by: .seconds(pause + Int(clamping: world.random.next(below: 60)))))
      pause = min(pause * 2, 7_200)
    }
  }

  /// One try; recipients that are still to be served.
  private func attempt(_ message: Scenario.Message, _ text: String, to recipients: [String]) async -> [String] {
    let deadline = world.now.advanced(by: .seconds(30))
    let endpoint = Endpoint.ip(server.host.address, port: 25)
    guard case .success(let connection) = await world.network.connect(from: host, life: 0, to: endpoint, until: deadline) else {
      return recipients
    }
    let talk = Talk(connection: connection, clock: world.executor.clock)
    defer { connection.close() }
    guard await talk.reply()?.hasPrefix("220") == true, await talk.ask("EHLO client.sim")?.hasPrefix("250") == true else {
      return recipients
    }
    if message.number % 3 == 0 {
      guard await talk.ask("STARTTLS")?.hasPrefix("220") == true else { return recipients }
      let request = TLSRequest(role: .client(serverName: "mx.\(server.domain)", verifyName: nil), context: SimulatedTLS.shared)
      guard case .established = await connection.startTLS(request, until: world.now.advanced(by: .seconds(30))),
        await talk.ask("EHLO client.sim")?.hasPrefix("250") == true
      else { return recipients }
    }
    return await transaction(talk, message, text, recipients)
  }

  private func transaction(_ talk: Talk, _ message: Scenario.Message, _ text: String, _ recipients: [String]) async -> [String] {
    guard let reply = await talk.ask("MAIL FROM:<\(message.sender ?? "")>") else { return recipients }
    guard reply.hasPrefix("250") else {
      refused(message, .mail, [], reply)
      return recipients
    }
    let notify = message.notify.map { " NOTIFY=\($0.rawValue)" } ?? ""
    var accepted: [String] = []
    var later: [String] = []
    for recipient in recipients {
      guard let reply = await talk.ask("RCPT TO:<\(recipient)>\(notify)") else { return recipients }
      if reply.hasPrefix("250") {
        accepted.append(recipient)
        continue
      }
      refused(message, .recipient, [recipient], reply)
      if reply.hasPrefix("5") {
        if reply.contains("full") { world.counts.note(.fullMailbox) }
        world.history.sent[message.token]?.refused.insert(recipient)
      } else {
        later.append(recipient)
      }
    }
    guard !accepted.isEmpty else { return later }
    guard await talk.ask("DATA")?.hasPrefix("354") == true else { return accepted + later }
    for line in text.split(separator: "\r\n", omittingEmptySubsequences: false).dropLast() {
      talk.say(line.hasPrefix(".") ? "." + line : String(line))
      if talk.connection.output.readableBytes > 16_384, !(await talk.connection.drain(until: world.now.advanced(by: .seconds(600))))
      {
        return accepted + later
      }
    }
    guard let reply = await talk.ask(".") else { return accepted + later }
    if reply.hasPrefix("250") {
      let id = String(reply.split(separator: " ").last ?? "")
      world.history.sent[message.token]?.taken.append((id, accepted, world.now))
      world.history.digest.add("sent \(message.token) \(id)")
      _ = await talk.ask("QUIT")
      return later
    }
    refused(message, .message, accepted, reply)
    if reply.contains("full") { world.counts.note(.fullMailbox) }
    guard reply.hasPrefix("5") else { return accepted + later }
    world.history.sent[message.token]?.refused.formUnion(accepted)
    return later
  }

  private func refused(_ message: Scenario.Message, _ stage: History.Refused.Stage, _ recipients: [String], _ reply: String) {
    world.history.add(
      History.Refused(
        server: server.name, client: "\(host.address)", sender: message.sender, recipients: recipients, stage: stage, reply: reply,
        at: world.now))
  }
}
