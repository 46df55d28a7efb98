import MailModel
import NIOCore
import Testing

@testable import SMTP

@Suite struct ClientPropertyTests {
  /// The oracle of the fuzz target: whatever comes, every transaction ends once, and what is accepted had its reply after its end.
  @Test("whatever a host replies, every transaction is completed once, with a result for each recipient")
  func anyReplies() {
    var state: UInt64 = 0x9E37_79B9_7F4A_7C15
    func random(_ bound: UInt64) -> UInt64 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return (state >> 33) % bound
    }
    for _ in 0..<20_000 { #expect(ClientOracle.run { random($0) } == nil) }
  }
}

/// Runs a conversation against choices from outside; the text of a broken promise, or nil.
enum ClientOracle {
  static let codes: [UInt16] = [
    220, 250, 250, 250, 250, 250, 250, 354, 354, 334, 235, 421, 450, 452, 500, 502, 503, 550, 552, 554, 221,
  ]

  static func run(_ choose: (UInt64) -> UInt64) -> String? {
    let keywords = [
      "PIPELINING", "CHUNKING", "DSN", "SIZE 1000", "STARTTLS", "AUTH PLAIN", "LIMITS RCPTMAX=2", "8BITMIME", "BINARYMIME",
    ]
    let settings = SMTPClientSettings(
      hostname: "client.test", dialect: choose(3) == 0 ? .lmtp : .smtp, tls: choose(2) == 0 ? .none : .opportunistic,
      isImplicitTLS: choose(8) == 0, credentials: choose(4) == 0 ? .init(user: "u", password: "p") : nil,
      allowsClearAuthentication: true)
    var client = SMTPClient(settings)
    var started: [UInt64: Int] = [:]
    var bodies: Set<UInt64> = []
    var next: UInt64 = 0
    for _ in 0..<200 {
      if client.canStart, next < 5, choose(4) > 0 {
        next += 1
        let count = Int(choose(4)) + 1
        started[next] = count
        client.start(
          .sample(
            next, to: (0..<count).map { "r\($0)@s.test" }, size: choose(2) == 0 ? 100 : 900,
            census: BodyCensus(hasEightBitBody: choose(5) == 0)))
        continue
      }
      var output = ByteBuffer()
      switch client.step(into: &output) {
      case .receive, .ready:
        switch choose(40) {
        case 0: client.connectionLost("gone")
        case 1: client.quit()
        default:
          let code = codes[Int(choose(UInt64(codes.count)))]
          client.received(SMTPReply(code, lines: ["text"] + keywords.filter { _ in choose(2) == 0 }))
        }
      case .startTLS: choose(4) == 0 ? client.tlsFailed("no") : client.tlsEstablished(isVerified: choose(2) == 0)
      case .sendBody(let id, _):
        bodies.insert(id)
        choose(20) == 0 ? client.bodyFailed("451 4.3.0 x", permanently: false) : client.bodySent()
      case .completed(let result):
        guard started.removeValue(forKey: result.id) == result.recipients.count else { return "completed twice or wrong count" }
        if result.recipients.contains(where: \.isAccepted), !bodies.contains(result.id) { return "accepted without a body" }
      case .end:
        return started.isEmpty ? nil : "ended with \(started.count) open"
      }
    }
    client.connectionLost("end of run")
    while case .completed(let result) = stepOf(&client) { started[result.id] = nil }
    return started.isEmpty ? nil : "\(started.count) never completed"
  }

  private static func stepOf(_ client: inout SMTPClient) -> SMTPClientStep {
    var output = ByteBuffer()
    return client.step(into: &output)
  }
}
