import NIOCore
import Testing

@testable import SMTP

@Suite struct ConversationPropertyTests {
  static let service = [SMTPDialect.smtp, .lmtp].map { dialect in
    var limits = SMTPLimits()
    limits.commandLine = 120
    limits.discardedLine = 400
    limits.messageSize = 200
    limits.overrun = 100
    limits.recipients = 3
    return SMTPService(dialect: dialect, hostname: "mx.example.test", extensions: [.standard, .startTLS], limits: limits)
  }

  static func bytes(_ random: inout Randomness, dialect: SMTPDialect) -> [UInt8] {
    var bytes = Array((dialect == .lmtp ? "LHLO c\r\n" : "EHLO c\r\n").utf8)
    for _ in 0..<random.next(below: 30) { bytes += random.likely() + [0x0D, 0x0A] }
    return bytes
  }

  /// Whether `text` is a sequence of replies, each line whole; how many.
  static func replies(_ output: ByteBuffer) throws -> Int {
    var parser = SMTPReplyParser()
    var input = output
    var count = 0
    while try parser.next(from: &input) != nil { count += 1 }
    #expect(input.readableBytes == 0 && !parser.isInReply)
    return count
  }

  @Test("replies are always well formed, and there is one for each command")
  func oneReplyACommand() throws {
    var random = Randomness(seed: 7)
    for round in 0..<4_000 {
      let service = Self.service[round % 2]
      var talk = Talk(service)
      #expect(try Self.replies(talk.output) == 1)
      for _ in 0..<30 where !talk.isClosed {
        let before = talk.inputs
        let wasBody: Bool = if case .body = talk.state { true } else { false }
        _ = talk.said()
        talk.push(random.likely() + [0x0D, 0x0A])
        let isBody: Bool = if case .body = talk.state { true } else { false }
        let count = try Self.replies(talk.output)
        // In LMTP the end of a body is answered for each recipient.
        let mostAnswers = service.dialect == .lmtp ? 3 : 1
        if talk.isClosed {
          #expect(count <= talk.inputs - before + mostAnswers)
        } else if !wasBody, !isBody, service.dialect == .smtp {
          #expect(count == talk.inputs - before)
        }
      }
      #expect(talk.steps < 1_000)
    }
  }

  @Test("what is said and stored does not depend on how the input is cut")
  func segmentation() {
    var random = Randomness(seed: 8)
    for round in 0..<4_000 {
      let service = Self.service[round % 2]
      let bytes = Self.bytes(&random, dialect: service.dialect)
      let whole = Self.run(service, bytes, cut: [bytes.count])
      let cut = Self.run(service, bytes, cut: (0..<50).map { _ in random.next(below: 60) + 1 })
      #expect(whole.output == cut.output, "\(String(decoding: bytes, as: UTF8.self).debugDescription)")
      #expect(whole.messages.map(\.content) == cut.messages.map(\.content))
      #expect(whole.isClosed == cut.isClosed)
    }
  }

  /// Commands are told that nothing follows them, so that groups go on behind EHLO and DATA too.
  static func run(_ service: SMTPService, _ bytes: [UInt8], cut: [Int]) -> Talk {
    var talk = Talk(service)
    talk.everythingIsLast = true
    var rest = bytes[...]
    for length in cut + [bytes.count] {
      talk.push(Array(rest.prefix(length)))
      rest = rest.dropFirst(length)
    }
    return talk
  }
}
