import Foundation
import MailModel
import MartletServer

/// Sends three messages through the hosts and tells where each went.
struct DemoStory {
  let hosts: DemoHosts

  func tell() async throws {
    let stage = hosts.stage
    Console.say("mx.example.test listens on 127.0.0.1:\(stage.port), mx.example.net on 127.0.0.1:\(stage.otherPort).")
    Console.say("")

    Console.say("1. bob writes to alice: both live here, so the message goes into her mailbox before the reply to DATA.")
    let first = try send(from: "bob@example.test", to: "alice@example.test", subject: "Lunch?", text: "Are you free at noon?")
    try await show(first, on: hosts.here, "delivered")
    try await showMailbox("alice@example.test", on: hosts.here)

    Console.say("2. alice writes to carol@example.net: relayed over SMTP with TLS to the host that the route names.")
    let second = try send(
      from: "alice@example.test", to: "carol@example.net", subject: "Hello over there", text: "Did this reach you?")
    try await wait(for: "carol@example.net", on: hosts.there)
    try await waitForEmptyQueue()
    try await show(second, on: hosts.here, "relayed")
    try await showMailbox("carol@example.net", on: hosts.there)

    Console.say("3. alice mistypes an address: refused while the client is still there to be told, so no bounce is ever needed.")
    _ = try send(from: "alice@example.test", to: "nobody@example.test", subject: "Lost", text: "Is anybody there?")
    Console.say("   Nothing was stored.")
    Console.say("")
  }

  /// Sends a message and shows the dialogue; its queue id, if it was taken.
  private func send(from sender: String, to recipient: String, subject: String, text: String) throws(AdminFailure) -> QueueID? {
    let client = try DemoClient(port: hosts.stage.port) { Console.say("   \($0)") }
    let reply = try client.send(from: sender, to: recipient, subject: subject, text: text)
    Console.say("")
    return reply.split(whereSeparator: { !$0.isLetter && !$0.isNumber }).lazy.compactMap { QueueID($0) }.first
  }

  private func show(_ id: QueueID?, on host: DemoHosts.Host, _ what: String) async throws {
    guard let id else { throw AdminFailure("the message was not \(what): it got no queue id") }
    Console.say("   Where it went (martlet trace \(id)):")
    let output = CapturedOutput()
    try await host.server.run(ShowTrace(subject: id.description, isJSON: false), output: output)
    for line in output.text.split(separator: "\n").dropFirst() { Console.say("   \(line)") }
    Console.say("")
  }

  private func showMailbox(_ account: String, on host: DemoHosts.Host) async throws {
    Console.say("   The mailbox of \(account) (martlet mailbox show \(account) INBOX):")
    let output = CapturedOutput()
    try await host.server.run(ShowMailbox(account: account, mailbox: "INBOX", uid: nil, isJSON: false), output: output)
    for line in output.text.split(separator: "\n") { Console.say("     \(line)") }
    Console.say("")
  }

  private func wait(for account: String, on host: DemoHosts.Host) async throws {
    try await wait("\(account) got nothing") {
      let output = CapturedOutput()
      try await host.server.run(ShowMailbox(account: account, mailbox: "INBOX", uid: nil, isJSON: true), output: output)
      return output.text.contains("\"uid\"")
    }
  }

  private func waitForEmptyQueue() async throws {
    try await wait("the queue does not empty") {
      let output = CapturedOutput()
      try await hosts.here.server.run(ListQueue(words: QueueWords(), isJSON: false), output: output)
      return output.text.contains("empty")
    }
  }

  /// Looks every 50 ms, for 30 s.
  private func wait(_ complaint: String, until isSo: () async throws -> Bool) async throws {
    for _ in 0..<600 {
      if try await isSo() { return }
      try await Task.sleep(for: .milliseconds(50))
    }
    throw AdminFailure("\(complaint) after 30 s; see the logs in \(hosts.stage.folder)")
  }
}
