import Bytes
import InternetMessage
import MailModel
import NIOCore
import Testing

@testable import SMTP

/// What a host holds and what we think it holds: no message may go out behind another's envelope.
@Suite struct ClientStateTests {
  @Test("nothing is sent behind BDAT before one recipient is accepted, and RSET comes first if none is")
  func refusedBehindChunk() {
    var talk = ClientTalk(offering: ["PIPELINING", "CHUNKING"])
    talk.client.start(.sample(1))
    #expect(talk.step() == .sendBody(id: 1, .chunk))
    talk.client.bodySent()
    #expect(!talk.client.canStart)
    talk.reply(250)
    talk.reply(550)
    #expect(!talk.client.canStart)
    talk.reply(503)
    #expect(talk.result()?.recipients.map(\.code) == [550])
    #expect(talk.client.canStart)
    _ = talk.taken()
    talk.client.start(.sample(2))
    #expect(talk.taken().hasPrefix("RSET\r\nMAIL FROM:"))
  }

  @Test("behind another chunk the body waits for its own envelope")
  func bodyWaits() {
    var talk = ClientTalk(offering: ["PIPELINING", "CHUNKING"])
    talk.client.start(.sample(1))
    _ = talk.step()
    talk.client.bodySent()
    talk.reply(250)
    talk.reply(250)
    #expect(talk.client.canStart)
    _ = talk.taken()
    talk.client.start(.sample(2))
    #expect(talk.taken() == "MAIL FROM:<a@client.test>\r\nRCPT TO:<b@server.test>\r\n")
    // RFC 3030, 2: after a failed chunk the state is unknown. This host keeps the first envelope open.
    for code in [451, 503, 250] as [UInt16] { talk.reply(code) }
    #expect(talk.result()?.recipients.map(\.isTransient) == [true])
    #expect(talk.result()?.recipients == [.notTried])
    #expect(talk.taken() == "")
    talk.client.start(.sample(2))
    #expect(talk.taken().hasPrefix("RSET\r\nMAIL FROM:"))
  }

  @Test("503 to MAIL is no verdict on the message: once more after RSET, then later")
  func outOfOrder() {
    var talk = ClientTalk(offering: ["PIPELINING"])
    talk.client.start(.sample(1))
    for code in [250, 250, 354] as [UInt16] { talk.reply(code) }
    _ = talk.step()
    talk.client.bodySent()
    talk.reply(250)
    _ = talk.result()
    talk.client.start(.sample(2))
    for code in [503, 503, 503] as [UInt16] { talk.reply(code) }
    #expect(talk.result()?.recipients == [.notTried])
    _ = talk.taken()
    talk.client.start(.sample(2))
    #expect(talk.taken().hasPrefix("RSET\r\n"))
    for code in [250, 503, 503, 503] as [UInt16] { talk.reply(code) }
    #expect(talk.result()?.recipients.map(\.isTransient) == [true])
  }

  @Test("a message for nobody is not sent to somebody the host has in hand")
  func emptyForSomebody() {
    var talk = ClientTalk(offering: ["PIPELINING"])
    talk.client.start(.sample(1))
    _ = talk.taken()
    for code in [550, 250, 354] as [UInt16] { talk.reply(code) }
    #expect(talk.taken() == "")
    #expect(talk.client.failure?.stage == .data)
  }

  @Test("behind an empty message for nobody the next waits")
  func emptyForNobody() {
    var talk = ClientTalk(offering: ["PIPELINING"])
    talk.client.start(.sample(1))
    for code in [250, 550, 354] as [UInt16] { talk.reply(code) }
    #expect(talk.taken().hasSuffix("\r\n.\r\n"))
    #expect(!talk.client.canStart)
  }

  @Test("a strict host gets each message once, under its own sender, whatever it refuses", arguments: 0..<4)
  func strictHost(_ kind: Int) {
    for seed in 0..<500 as Range<UInt64> {
      var run = StrictRun(seed: seed &* 4 &+ UInt64(kind), chunks: kind % 2 == 0, lmtp: kind >= 2)
      let problem = run.run()
      #expect(problem == nil, "seed \(seed) of kind \(kind)")
    }
  }
}

/// A host that keeps the rules to the letter, and where they leave it a choice does what is worst for us: a chunk for nobody, a
/// failed chunk and an empty message end no transaction, and RCPT is taken as long as one is open.
struct StrictHost {
  struct Taken { var sender: String, recipients: [String], body: String }

  var lmtp: Bool
  /// Chance decides whether a chunk fails.
  var fails: () -> Bool
  private(set) var replies: [UInt16] = []
  private(set) var taken: [Taken] = []
  private var sender: String?
  private var recipients: [String] = []
  private var input: [UInt8] = []
  private var isReadingData = false
  private var data = ""

  init(lmtp: Bool, fails: @escaping () -> Bool) {
    self.lmtp = lmtp
    self.fails = fails
  }

  mutating func nextReply() -> UInt16? { replies.isEmpty ? nil : replies.removeFirst() }

  mutating func take(_ bytes: ByteBuffer) {
    input += Array(bytes.readableBytesView)
    while let end = input.firstIndex(of: 0x0A) {
      let line = String(decoding: input[...end], as: UTF8.self)
      if !isReadingData, line.hasPrefix("BDAT ") {
        let size = Int(line.split(separator: " ")[1]) ?? 0
        guard input.count > end + size else { return }
        let body = String(decoding: input[(end + 1)...(end + size)], as: UTF8.self)
        input.removeFirst(end + 1 + size)
        finish(body, isChunk: true)
        continue
      }
      input.removeFirst(end + 1)
      isReadingData ? dataLine(line) : command(line)
    }
  }

  private mutating func dataLine(_ line: String) {
    guard line == ".\r\n" else { return data += line }
    isReadingData = false
    finish(data, isChunk: false)
    data = ""
  }

  private mutating func finish(_ body: String, isChunk: Bool) {
    guard let from = sender, !recipients.isEmpty else { return replies.append(isChunk ? 503 : 554) }
    let isGood = !(isChunk && fails())
    if isGood {
      taken.append(Taken(sender: from, recipients: recipients, body: body))
      sender = nil
    }
    for _ in recipients.prefix(lmtp ? .max : 1) { replies.append(isGood ? 250 : 452) }
    if isGood { recipients = [] }
  }

  private mutating func command(_ line: String) {
    if line.hasPrefix("RSET") {
      (sender, recipients) = (nil, [])
      replies.append(250)
    } else if line.hasPrefix("MAIL") {
      guard sender == nil else { return replies.append(503) }
      sender = Self.address(line)
      replies.append(250)
    } else if line.hasPrefix("RCPT") {
      guard sender != nil else { return replies.append(503) }
      let address = Self.address(line)
      if address.hasPrefix("no") { return replies.append(550) }
      recipients.append(address)
      replies.append(250)
    } else if line.hasPrefix("DATA") {
      guard sender != nil else { return replies.append(503) }
      // RFC 2920, 3.1: it may ask for the message though there is nobody to get it.
      isReadingData = true
      replies.append(354)
    }
  }

  private static func address(_ line: String) -> String {
    String(line.drop { $0 != "<" }.dropFirst().prefix { $0 != ">" })
  }
}

/// A hundred steps of a client against such a host, in an order by chance.
private struct StrictRun {
  private var state: UInt64
  private var client: SMTPClient
  private var host: StrictHost
  private var waiting: [SMTPClientTransaction] = []
  private var results: [UInt64: [SMTPRecipientResult]] = [:]

  init(seed: UInt64, chunks: Bool, lmtp: Bool) {
    state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 1
    var failing = seed
    host = StrictHost(lmtp: lmtp) {
      failing = failing &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return failing >> 61 == 0
    }
    client =
      ClientTalk(
        offering: ["PIPELINING"] + (chunks ? ["CHUNKING"] : []),
        settings: SMTPClientSettings(hostname: "client.test", dialect: lmtp ? .lmtp : .smtp, tls: .none)
      ).client
    for id in 1...12 as ClosedRange<UInt64> {
      let names = (0...choose(3)).map { "\(choose(2) == 0 ? "no" : "yes")\(id)-\($0)@s.test" }
      waiting.append(
        .sample(
          id, to: names, size: choose(4) == 0 ? 70_000 : 100,
          envelope: Envelope(reversePath: EmailAddress(localPart: "s\(id)", domain: "client.test"))))
    }
  }

  private mutating func choose(_ bound: UInt64) -> UInt64 {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return (state >> 33) % bound
  }

  mutating func run() -> String? {
    let all = waiting
    for _ in 0..<2_000 {
      if client.canStart, !waiting.isEmpty, choose(3) > 0 {
        client.start(waiting.removeFirst())
        continue
      }
      if client.canStart, !client.isBusy, waiting.isEmpty { break }
      if let problem = step(all) { return problem }
    }
    return verdict(all)
  }

  private mutating func step(_ all: [SMTPClientTransaction]) -> String? {
    var output = ByteBuffer()
    let step = client.step(into: &output)
    host.take(output)
    switch step {
    case .receive:
      guard let code = host.nextReply() else { return "waits for a reply that does not come" }
      client.received(SMTPReply(code, nil, "text"))
    case .sendBody(let id, let framing):
      let size = all.first { $0.id == id }?.size ?? 0
      let text = "\(id)\r\n"
      let body = text + String(repeating: "x", count: size - text.utf8.count - 2) + "\r\n"
      host.take(ByteBuffer(string: framing == .chunk ? body : body + ".\r\n"))
      client.bodySent()
    case .completed(let result): return completed(result, all)
    case .ready: break
    case .startTLS: return "TLS was not offered"
    case .end(let failure): return "ended: \(failure?.description ?? "")"
    }
    return nil
  }

  private mutating func completed(_ result: SMTPTransactionResult, _ all: [SMTPClientTransaction]) -> String? {
    if result.recipients.allSatisfy({ $0 == .notTried }) {
      guard let again = all.first(where: { $0.id == result.id }) else { return "unknown transaction" }
      waiting.insert(again, at: 0)
      return nil
    }
    return results.updateValue(result.recipients, forKey: result.id) == nil ? nil : "completed twice"
  }

  private func verdict(_ all: [SMTPClientTransaction]) -> String? {
    for transaction in all {
      guard let results = results[transaction.id] else { return "\(transaction.id) was never completed" }
      let copies = host.taken.filter { $0.body.hasPrefix("\(transaction.id)\r\n") }
      for (recipient, result) in zip(transaction.recipients, results) {
        let address = recipient.address.wire
        if result.isPermanent != address.hasPrefix("no") { return "\(address): \(result)" }
        let count = copies.reduce(0) { $0 + $1.recipients.count { $0 == address } }
        if count != (result.isAccepted ? 1 : 0) { return "\(address) has \(count) copies after \(result)" }
      }
      if copies.contains(where: { $0.sender != "s\(transaction.id)@client.test" }) {
        return "\(transaction.id) under another's name"
      }
    }
    return nil
  }
}
