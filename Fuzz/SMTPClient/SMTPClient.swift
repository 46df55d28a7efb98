import InternetMessage
import MailModel
import NIOCore
import SMTP

/// Whatever a host says: every transaction is completed once, with a result for each recipient, accepted only after its body; and what we
/// say has no CR or LF outside CRLF.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: start, count: count))
  guard bytes.count > 1 else { return 0 }
  var talk = Talk(bytes[0], bytes[1])
  talk.run(ByteBuffer(bytes: bytes.dropFirst(2)))
  return 0
}

private struct Talk {
  var client: SMTPClient
  var parser = SMTPReplyParser()
  var choices: UInt8
  var open: [UInt64: Int] = [:]
  var bodies: Set<UInt64> = []
  var started: UInt64 = 0
  var output = ByteBuffer()

  init(_ settings: UInt8, _ choices: UInt8) {
    self.choices = choices
    client = SMTPClient(
      SMTPClientSettings(
        hostname: "client.test", dialect: settings & 1 == 0 ? .smtp : .lmtp, tls: settings & 2 == 0 ? .opportunistic : .required,
        isImplicitTLS: settings & 4 != 0, credentials: settings & 8 != 0 ? .init(user: "u", password: "p") : nil,
        allowsClearAuthentication: settings & 16 != 0, usesChunking: settings & 32 == 0))
  }

  mutating func choose(_ bound: UInt8) -> UInt8 {
    choices = choices &* 167 &+ 13
    return (choices >> 3) % bound
  }

  mutating func run(_ said: ByteBuffer) {
    var input = said
    while true {
      if client.canStart, started < 20, choose(3) > 0 {
        begin()
        continue
      }
      switch client.step(into: &output) {
      case .receive: receive(&input)
      case .ready: started < 20 && client.canStart ? begin() : client.quit()
      case .startTLS: choose(4) == 0 ? client.tlsFailed("no") : client.tlsEstablished(isVerified: choose(2) == 0)
      case .sendBody(let id, _):
        bodies.insert(id)
        choose(10) == 0 ? client.bodyFailed("451 4.3.0 no", permanently: choose(2) == 0) : client.bodySent()
      case .completed(let result):
        guard open.removeValue(forKey: result.id) == result.recipients.count else { fatalError("completed twice, or not whole") }
        for case .accepted in result.recipients where !bodies.contains(result.id) { fatalError("accepted without a body") }
      case .end:
        guard open.isEmpty else { fatalError("ended with transactions open") }
        return check()
      }
    }
  }

  mutating func begin() {
    started += 1
    let count = Int(choose(4)) + 1
    open[started] = count
    var envelope = Envelope(reversePath: choose(3) == 0 ? nil : EmailAddress(localPart: "a b\r\n", domain: "client.test"))
    envelope.envelopeID = "id \(started)"
    client.start(
      SMTPClientTransaction(
        id: started, envelope: envelope,
        recipients: (0..<count).map {
          .init(
            address: EmailAddress(localPart: $0 == 3 ? "\u{FC}" : "r\($0)", domain: "d\($0).test"),
            notification: .init(notify: .success, originalRecipient: "utf-8;\u{FC}=\r\n"))
        }, size: choose(2) == 0 ? 100 : 1_000_000, census: BodyCensus(hasEightBitBody: choose(4) == 0)))
  }

  mutating func receive(_ input: inout ByteBuffer) {
    do throws(SMTPReplyError) {
      guard let reply = try parser.next(from: &input) else { return client.connectionLost("gone") }
      client.received(reply)
    } catch {
      client.connectionLost("rubbish")
    }
  }

  func check() {
    var previous: UInt8 = 0
    for byte in output.readableBytesView {
      guard (previous == 0x0D) == (byte == 0x0A) else { fatalError("a bare CR or LF was said") }
      previous = byte
    }
  }
}
