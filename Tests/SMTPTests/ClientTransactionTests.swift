import InternetMessage
import MailModel
import Testing

@testable import SMTP

@Suite struct ClientTransactionTests {
  @Test("with PIPELINING the whole envelope goes out at once, and the next behind the final dot")
  func pipelined() {
    var talk = ClientTalk(offering: ["PIPELINING"])
    talk.client.start(.sample(1))
    #expect(!talk.client.canStart)
    #expect(talk.taken() == "MAIL FROM:<a@client.test>\r\nRCPT TO:<b@server.test>\r\nDATA\r\n")
    for code in [250, 250, 354] as [UInt16] { talk.reply(code) }
    #expect(talk.step() == .sendBody(id: 1, .dotted))
    talk.client.bodySent()
    #expect(talk.client.canStart)
    talk.client.start(.sample(2, to: ["c@server.test"]))
    #expect(talk.taken() == "MAIL FROM:<a@client.test>\r\nRCPT TO:<c@server.test>\r\nDATA\r\n")
    #expect(!talk.client.canStart)
    talk.reply(250, nil, "queued as 1")
    #expect(talk.result()?.recipients == [.accepted(SMTPReply(250, nil, "queued as 1"))])
    for code in [250, 250, 354] as [UInt16] { talk.reply(code) }
    #expect(talk.step() == .sendBody(id: 2, .dotted))
    talk.client.bodySent()
    talk.reply(250)
    #expect(talk.result()?.id == 2)
    #expect(talk.step() == .ready)
  }

  @Test("without PIPELINING each command waits for its reply")
  func stepwise() {
    var talk = ClientTalk(offering: [])
    talk.client.start(.sample(1, to: ["b@server.test", "c@server.test"]))
    #expect(talk.taken() == "MAIL FROM:<a@client.test>\r\n")
    talk.reply(250)
    #expect(talk.taken() == "RCPT TO:<b@server.test>\r\n")
    talk.reply(550)
    #expect(talk.taken() == "RCPT TO:<c@server.test>\r\n")
    talk.reply(250)
    #expect(talk.taken() == "DATA\r\n")
    talk.reply(354)
    #expect(talk.step() == .sendBody(id: 1, .dotted))
    talk.client.bodySent()
    #expect(!talk.client.canStart)
    talk.reply(250)
    let result = talk.result()
    #expect(result?.recipients.map(\.code) == [550, 250])
    #expect(result?.recipients.map(\.isPermanent) == [true, false])
  }

  @Test("each recipient has its own outcome")
  func outcomes() {
    var talk = ClientTalk(offering: ["PIPELINING"])
    talk.client.start(.sample(1, to: ["b@s.test", "c@s.test", "d@s.test"]))
    talk.reply(250)
    talk.reply(450)
    talk.reply(550)
    talk.reply(251)
    talk.reply(354)
    _ = talk.step()
    talk.client.bodySent()
    talk.reply(451)
    let result = talk.result()
    #expect(result?.recipients.map(\.code) == [450, 550, 451])
    #expect(result?.recipients.map(\.isTransient) == [true, false, true])
  }

  @Test("a host that wants a message for nobody gets an empty one, and RSET before the next")
  func nobody() {
    var talk = ClientTalk(offering: ["PIPELINING"])
    talk.client.start(.sample(1))
    _ = talk.taken()
    talk.reply(250)
    talk.reply(550)
    talk.reply(354)
    #expect(talk.taken() == ".\r\n")
    talk.reply(554)
    #expect(talk.result()?.recipients.map(\.code) == [550])
    talk.client.start(.sample(2))
    #expect(talk.taken().hasPrefix("RSET\r\nMAIL FROM"))
    for code in [250, 250, 250, 354] as [UInt16] { talk.reply(code) }
    #expect(talk.step() == .sendBody(id: 2, .dotted))
  }

  @Test("without PIPELINING, RSET is answered before MAIL")
  func reset() {
    var talk = ClientTalk(offering: [])
    talk.client.start(.sample(1))
    talk.reply(250)
    talk.reply(550)
    #expect(talk.result()?.recipients.map(\.code) == [550])
    _ = talk.taken()
    talk.client.start(.sample(2))
    #expect(talk.taken() == "RSET\r\n")
    talk.reply(250)
    #expect(talk.taken() == "MAIL FROM:<a@client.test>\r\n")
  }

  @Test("a refused MAIL refuses every recipient")
  func refusedMail() {
    var talk = ClientTalk(offering: ["PIPELINING"])
    talk.client.start(.sample(1, to: ["b@s.test", "c@s.test"]))
    for code in [552, 503, 503, 503] as [UInt16] { talk.reply(code) }
    #expect(talk.result()?.recipients.map(\.code) == [552, 552])
  }

  @Test("too many recipients: the rest is not tried, and nobody is deferred")
  func tooMany() {
    var talk = ClientTalk(offering: ["PIPELINING"])
    talk.client.start(.sample(1, to: ["b@s.test", "c@s.test", "d@s.test", "e@s.test"]))
    talk.reply(250)
    talk.reply(250)
    talk.reply(452, EnhancedStatusCode(.transient, 5, 3))
    talk.reply(452)
    talk.reply(452, EnhancedStatusCode(.transient, 2, 2))
    talk.reply(354)
    _ = talk.step()
    talk.client.bodySent()
    talk.reply(250)
    let results = talk.result()?.recipients
    #expect(results?.map(\.code) == [250, nil, nil, 452])
    #expect(results?[1] == .notTried)
    #expect(results?[3].isTransient == true)
  }

  @Test("LIMITS are kept: recipients, domains, messages")
  func limits() {
    var talk = ClientTalk(offering: ["PIPELINING", "LIMITS RCPTMAX=2 MAILMAX=1 RCPTDOMAINMAX=1"])
    talk.client.start(.sample(1, to: ["b@s.test", "c@t.test", "d@t.test"]))
    #expect(talk.taken() == "MAIL FROM:<a@client.test>\r\nRCPT TO:<b@s.test>\r\nDATA\r\n")
    for code in [250, 250, 354] as [UInt16] { talk.reply(code) }
    _ = talk.step()
    talk.client.bodySent()
    #expect(!talk.client.canStart)
    talk.reply(250)
    #expect(talk.result()?.recipients.map(\.isAccepted) == [true, false, false])
    #expect(talk.client.isExhausted && !talk.client.canStart)
  }

  @Test("LMTP answers for each accepted recipient")
  func lmtp() {
    var talk = ClientTalk(
      offering: ["PIPELINING"], settings: SMTPClientSettings(hostname: "client.test", dialect: .lmtp, tls: .none))
    talk.client.start(.sample(1, to: ["b@s.test", "c@s.test", "d@s.test"]))
    for code in [250, 250, 550, 250, 354] as [UInt16] { talk.reply(code) }
    _ = talk.step()
    talk.client.bodySent()
    talk.reply(250)
    #expect(talk.step() == .receive(.end))
    talk.reply(452)
    #expect(talk.result()?.recipients.map(\.code) == [250, 550, 452])
    #expect(talk.step() == .ready)
  }

  @Test("BDAT goes out with the envelope when it is small, behind it when it is large")
  func chunks() {
    var talk = ClientTalk(offering: ["PIPELINING", "CHUNKING"])
    talk.client.start(.sample(1, size: 100))
    #expect(talk.step() == .sendBody(id: 1, .chunk))
    #expect(talk.said.hasSuffix("RCPT TO:<b@server.test>\r\nBDAT 100 LAST\r\n"))
    talk.client.bodySent()
    #expect(!talk.client.canStart)
    for _ in 0..<2 { talk.reply(250) }
    #expect(talk.client.canStart)
    talk.reply(250)
    #expect(talk.result()?.recipients.map(\.isAccepted) == [true])
    _ = talk.taken()

    talk.client.start(.sample(2, size: 1_000_000))
    #expect(talk.step() == .receive(.mail))
    talk.reply(250)
    talk.reply(250)
    #expect(talk.step() == .sendBody(id: 2, .chunk))
    #expect(talk.said.hasSuffix("BDAT 1000000 LAST\r\n"))
  }

  @Test("BDAT for nobody is answered once, and forgotten")
  func chunkForNobody() {
    var talk = ClientTalk(offering: ["PIPELINING", "CHUNKING"])
    talk.client.start(.sample(1))
    _ = talk.step()
    talk.client.bodySent()
    for code in [250, 550, 503] as [UInt16] { talk.reply(code) }
    #expect(talk.result()?.recipients.map(\.code) == [550])
    talk.client.start(.sample(2))
    _ = talk.step()
    #expect(talk.said.contains("RSET\r\nMAIL FROM"))
  }

  @Test("a host that offers CHUNKING and does not know BDAT is tried again with DATA")
  func noChunks() {
    var talk = ClientTalk(offering: ["PIPELINING", "CHUNKING"])
    talk.client.start(.sample(1))
    _ = talk.step()
    talk.client.bodySent()
    for code in [250, 250, 502] as [UInt16] { talk.reply(code) }
    #expect(talk.result()?.recipients.map(\.isTransient) == [true])
    #expect(talk.client.chunkingRefused)
    talk.client.start(.sample(2))
    #expect(talk.taken().hasSuffix("DATA\r\n"))
  }

  @Test("a connection lost behind the dot leaves the outcome open: again later; what rode behind was not tried")
  func lostBehindDot() {
    var talk = ClientTalk(offering: ["PIPELINING"])
    talk.client.start(.sample(1, to: ["b@s.test", "c@s.test"]))
    for code in [250, 250, 550, 354] as [UInt16] { talk.reply(code) }
    _ = talk.step()
    talk.client.bodySent()
    talk.client.start(.sample(2))
    talk.client.connectionLost("connection closed by the host")
    let first = talk.result()
    #expect(first?.recipients.map(\.isTransient) == [true, false])
    #expect(first?.recipients.map(\.code) == [nil, 550])
    #expect(talk.result()?.recipients == [.notTried])
    guard case .end(_?) = talk.step() else { return #expect(Bool(false)) }
  }

  @Test("a connection lost before any reply leaves everything untried")
  func lostAtOnce() {
    var talk = ClientTalk(offering: ["PIPELINING"])
    talk.client.start(.sample(1))
    talk.client.connectionLost("connection closed by the host")
    #expect(talk.result()?.recipients == [.notTried])
  }

  @Test("421 to RCPT defers every recipient and ends the conversation")
  func closing() {
    var talk = ClientTalk(offering: ["PIPELINING"])
    talk.client.start(.sample(1, to: ["b@s.test", "c@s.test"]))
    talk.reply(250)
    talk.reply(421)
    #expect(talk.result()?.recipients.map(\.isTransient) == [true, true])
    guard case .end(let failure?) = talk.step() else { return #expect(Bool(false)) }
    #expect(failure.reply?.code == 421)
  }

  @Test("421 after an accepted message takes nothing back")
  func closingBehind() {
    var talk = ClientTalk(offering: ["PIPELINING"])
    talk.client.start(.sample(1))
    for code in [250, 250, 354] as [UInt16] { talk.reply(code) }
    _ = talk.step()
    talk.client.bodySent()
    talk.client.start(.sample(2))
    talk.reply(250)
    talk.reply(421)
    #expect(talk.result()?.recipients.map(\.isAccepted) == [true])
    #expect(talk.result()?.recipients.map(\.isTransient) == [true])
  }

  @Test("a body that can't be read is never ended")
  func brokenBody() {
    var talk = ClientTalk(offering: ["PIPELINING"])
    talk.client.start(.sample(1))
    for code in [250, 250, 354] as [UInt16] { talk.reply(code) }
    _ = talk.step()
    _ = talk.taken()
    talk.client.bodyFailed("451 4.3.0 unreadable", permanently: false)
    #expect(talk.result()?.recipients.map(\.isTransient) == [true])
    #expect(talk.taken() == "")
  }
}
