import MailModel
import Outside
import Routing

/// What would happen to a message, as scripts read it.
struct Explanation: Encodable {
  /// One thing that was looked at.
  struct Check: Encodable {
    var name: String
    /// `pass` or `fail`.
    var result: String
    var evidence: String
  }

  struct Recipient: Encodable {
    var address: String
    /// `accept` or `refuse`.
    var verdict: String
    /// Why: `account`, `alias`, `relay domain`, `trusted network`, `relaying denied` ...
    var because: String
    /// What the client would hear.
    var reply: String?
    /// Mailboxes here that get a copy.
    var mailboxes: [String]
    /// Addresses elsewhere that it is sent on to.
    var relays: [String]
    /// Mailboxes here that are full: their copies would wait in the queue.
    var waiting: [String]
    /// Addresses here that it stands for and that can't take mail: their sender would be told.
    var undeliverable: [String]
  }

  struct Route: Encodable {
    struct Host: Encodable {
      var name: String
      var preference: UInt16
      var addresses: [String]
    }

    var destination: String
    var recipients: [String]
    /// `send`, `wait` (look-ups fail at the moment), `return`, or with soft bounces `keep` instead.
    var decision: String
    /// What decided: `mx`, `implicit mx`, `route smtp://...`, `address literal`.
    var source: String
    var hosts: [Host]
    var tls: String?
    /// The DNS answers that it was decided by.
    var dns: [String]
    /// Whether they were validated: `secure`, `insecure`, `bogus`; nil if none was asked for.
    var dnssec: String?
    var reason: String?
  }

  var client: String
  var helo: String
  /// Empty for the null path.
  var sender: String
  /// `accept`, `refuse`, or `partly` if some recipients are refused.
  var verdict: String
  /// What the client would hear instead of `250`, if the whole message is refused.
  var reply: String?
  var checks: [Check]
  var recipients: [Recipient]
  var routes: [Route]
  /// Permanent failures are kept, and replies are `4xx` instead of `5xx` (`[queue] soft-bounce`).
  var softBounce: Bool
}

extension Explanation.Route {
  init(_ destination: String, _ recipients: [String], _ decision: RouteDecision, softBounces: Bool) {
    switch decision {
    case .route(let route):
      self.init(destination, recipients, "send", route.evidence)
      hosts = route.hosts.map { host in
        Host(name: host.name, preference: host.preference, addresses: host.endpoints.map(\.description))
      }
      tls = route.isImplicitTLS ? "implicit, \(route.tls.rawValue)" : route.tls.rawValue
    case .transient(let reason, let evidence):
      self.init(destination, recipients, "wait", evidence)
      self.reason = reason
    case .permanent(let reason, let evidence):
      self.init(destination, recipients, softBounces ? "keep" : "return", evidence)
      self.reason = reason
    }
  }

  private init(_ destination: String, _ recipients: [String], _ decision: String, _ evidence: RouteEvidence) {
    self.init(
      destination: destination, recipients: recipients, decision: decision, source: evidence.source, hosts: [], tls: nil,
      dns: evidence.records, dnssec: evidence.records.isEmpty ? nil : "\(evidence.security)", reason: nil)
  }
}

extension Explanation {
  /// For people: what would happen first, then why.
  var lines: [String] {
    var lines: [String] = []
    for recipient in recipients { lines += sentences(recipient) }
    if recipients.isEmpty, let reply { lines.append("The sender would be refused: \(reply)") }
    if softBounce { lines.append("soft-bounce mode: refusals are for a while only, and what fails for ever is kept in the queue") }
    lines.append("")
    lines.append("client     \(client), helo \(helo.isEmpty ? "none" : helo)")
    lines.append("sender     <\(sender)>")
    for check in checks {
      let name = check.name + String(repeating: " ", count: max(1, 11 - check.name.count))
      lines.append("\(name)\(check.result == "pass" ? "" : "FAILS: ")\(check.evidence)")
    }
    for route in routes { lines += Self.lines(of: route) }
    return lines
  }

  private func sentences(_ recipient: Recipient) -> [String] {
    if recipient.verdict == "refuse" {
      return ["\(recipient.address) would be refused: \(recipient.reply ?? "") (\(recipient.because))"]
    }
    if let reply { return ["\(recipient.address) would be taken (\(recipient.because)), but the message refused: \(reply)"] }
    var lines: [String] = []
    for mailbox in recipient.mailboxes {
      lines.append("\(recipient.address) would be delivered into INBOX of \(mailbox) (\(recipient.because))")
    }
    for address in recipient.relays {
      let route = routes.first { $0.recipients.contains(address) }
      let course = route.map(Self.words) ?? "be queued"
      lines.append("\(recipient.address) would be taken (\(recipient.because)); \(address) would \(course)")
    }
    for mailbox in recipient.waiting {
      lines.append(
        "\(recipient.address) would be taken (\(recipient.because)); the copy for \(mailbox) would wait: the mailbox is full")
    }
    for address in recipient.undeliverable {
      let end = softBounce ? "its copy would be kept" : "the sender would be told"
      lines.append("\(recipient.address) stands for \(address), which can't take mail: \(end)")
    }
    return lines
  }

  private static func words(_ route: Route) -> String {
    switch route.decision {
    case "send": "be sent to \(route.hosts.first?.name ?? route.destination), by \(route.source)"
    case "wait": "wait: \(route.reason ?? "")"
    case "keep": "be kept in the queue (soft-bounce): \(route.reason ?? "")"
    default: "be returned to its sender: \(route.reason ?? "")"
    }
  }

  private static func lines(of route: Route) -> [String] {
    var lines = ["route      \(route.destination): \(route.decision) by \(route.source)\(route.tls.map { ", TLS \($0)" } ?? "")"]
    for host in route.hosts {
      lines.append("           \(host.preference) \(host.name) \(host.addresses.joined(separator: " "))")
    }
    if let reason = route.reason { lines.append("           \(reason)") }
    for record in route.dns { lines.append("           DNS: \(record)") }
    if let dnssec = route.dnssec {
      lines.append("           DNSSEC: \(dnssec)")
    }
    return lines
  }
}
