import InternetMessage
import MailModel
import NIOCore
import Testing

@testable import SMTP

@Suite struct CommandTests {
  static func parse(_ line: String) throws(SMTPCommandError) -> SMTPCommand { try SMTPCommand.parse(Array(line.utf8)) }

  @Test("commands are read without regard to case, with blanks at their end")
  func words() throws {
    #expect(try Self.parse("ehlo Client.Example") == .ehlo("Client.Example"))
    #expect(try Self.parse("HeLo [192.0.2.1]  ") == .helo("[192.0.2.1]"))
    #expect(try Self.parse("lhlo x") == .lhlo("x"))
    #expect(try Self.parse("data \t") == .data)
    #expect(try Self.parse("bdat 86 last") == .bdat(octets: 86, isLast: true))
    #expect(try Self.parse("BDAT 18446744073709551615") == .bdat(octets: .max, isLast: false))
    #expect(try Self.parse("noop whatever é") == .noop)
    #expect(try Self.parse("HELP MAIL") == .help)
    #expect(try Self.parse("VRFY Crispin") == .vrfy)
    #expect(try Self.parse("auth plain AGEAYg==") == .auth(mechanism: "PLAIN", initialResponse: Array("AGEAYg==".utf8)))
    #expect(try Self.parse("AUTH EXTERNAL =") == .auth(mechanism: "EXTERNAL", initialResponse: [0x3D]))
    for line in ["MAILX FROM:<a@x>", "M", "DATA1", "QUITQUIT", "STARTTLSX", "MAIL:"] {
      #expect(try Self.parse(line) == .unknown, "\(line)")
    }
    for line in ["", " ", "  QUIT", "<xml>", "123"] { #expect(throws: SMTPCommandError.noCommand) { try Self.parse(line) } }
  }

  @Test("MAIL is read with all its parameters (RFC 5321, 4.1.1.2; RFC 1870; RFC 3461; RFC 6531; RFC 8689; RFC 4954)")
  func mail() throws {
    let line =
      "MAIL FROM:<\"a b\"@Example.ORG> SIZE=1000 BODY=8BITMIME SMTPUTF8 RET=FULL ENVID=QQ+2B314 REQUIRETLS AUTH=e+3Dmc2@example.com"
    let envelope = Envelope(
      reversePath: EmailAddress(localPart: "a b", domain: "example.org"), bodyType: .eightBitMIME, isInternationalized: true,
      requiresTLS: true,
      return: .full, envelopeID: "QQ+314")
    #expect(try Self.parse(line) == .mail(SMTPSender(envelope: envelope, declaredSize: 1_000, submitter: "e=mc2@example.com")))
    #expect(try Self.parse("mail  from: <>") == .mail(SMTPSender(envelope: Envelope(reversePath: nil))))
    #expect(
      try Self.parse("MAIL FROM:<> body=7bit  ret=hdrs auth=<>")
        == .mail(SMTPSender(envelope: Envelope(reversePath: nil, return: .headers), submitter: "<>")))
    for line in [
      "SIZE", "SIZE=1 SIZE=1", "BODY=9BIT", "BODY", "SMTPUTF8=1", "RET=ALL", "ENVID=", "REQUIRETLS=1", "AUTH=", "AUTH=a=b",
    ] {
      #expect(throws: SMTPCommandError.badParameter, "\(line)") { try Self.parse("MAIL FROM:<a@x> " + line) }
    }
    #expect(throws: SMTPCommandError.badParameter) { try Self.parse("MAIL FROM:<a@x> ENVID=" + String(repeating: "x", count: 101)) }
  }

  @Test("RCPT is read with its parameters (RFC 3461, 4.1 and 4.2; RFC 6533, 3)")
  func rcpt() throws {
    let plain = SMTPRecipient(address: EmailAddress(localPart: "a", domain: "x"))
    #expect(try Self.parse("RCPT TO:<a@X>") == .rcpt(plain))
    var wanted = plain
    wanted.notification = NotificationRequest(notify: .never, originalRecipient: "rfc822;Bob@Example.com")
    #expect(try Self.parse("RCPT TO:<a@x> notify=never orcpt=rfc822;Bob@Example.com") == .rcpt(wanted))
    wanted.notification = NotificationRequest(notify: [.success, .failure, .delay], originalRecipient: "utf-8;jürgen@x")
    #expect(try Self.parse("RCPT TO:<a@x> NOTIFY=DELAY,FAILURE,SUCCESS ORCPT=utf-8;jürgen@x") == .rcpt(wanted))
    #expect(throws: SMTPCommandError.badParameter) {
      try Self.parse("RCPT TO:<a@x> ORCPT=rfc822;" + String(repeating: "x", count: 494))
    }
  }

  @Test("xtext goes there and back (RFC 3461, 4)")
  func xtext() {
    #expect(XText.encode("a+b=c d@é") == "a+2Bb+3Dc+20d@+C3+A9")
    for text in ["a+b=c d@é", "plain", "++==", "\u{1F600}"] { #expect(XText.decode(XText.encode(text).utf8, limit: 100) == text) }
    for text in ["", "a=b", "+", "+4", "+GG", "a b", "é", "+00", "+0A", "+7F", "+FF"] {
      #expect(XText.decode(text.utf8, limit: 100) == nil, "\(text)")
    }
    #expect(XText.decode("abc".utf8, limit: 2) == nil)
  }

  @Test("XCLIENT is read with its attributes, unknown ones refused")
  func xclient() throws {
    guard
      case .xclient(let found) = try Self.parse(
        "xclient name=[TEMPUNAVAIL] addr=IPV6:2001:db8::1 destport=25 proto=SMTP destaddr=192.0.2.9")
    else {
      Issue.record("not read")
      return
    }
    #expect(found.name == nil && found.destinationPort == 25 && found.isExtended == false)
    #expect(found.address?.description == "2001:db8::1" && found.destinationAddress?.description == "192.0.2.9")
    for text in ["ADDR=x", "PORT=65536", "PORT=+1", "PROTO=HTTP", "HELO=a+0D+0Ab", "ADDR=192.0.2.1 addr=192.0.2.2"] {
      #expect(throws: SMTPCommandError.badParameter, "\(text)") { try Self.parse("XCLIENT " + text) }
    }
    for text in ["FOO=1", "LOGIN=bob"] {
      #expect(throws: SMTPCommandError.unknownParameter, "\(text)") { try Self.parse("XCLIENT " + text) }
    }
    #expect(throws: SMTPCommandError.badArgument) { try Self.parse("XCLIENT ADDR") }
    #expect(throws: SMTPCommandError.badArgument) { try Self.parse("XCLIENT") }
    #expect(throws: SMTPCommandError.badArgument) { try Self.parse("XCLIENT  ") }
  }

  @Test("no bytes make the command parser trap, and it always comes to an end")
  func random() {
    var random = Randomness(seed: 1)
    for _ in 0..<20_000 {
      let line = random.line()
      if let command = try? SMTPCommand.parse(line), case .rcpt(let recipient) = command {
        #expect(!recipient.address.localPart.utf8.contains { $0 < 0x20 || $0 == 0x7F })
      }
    }
  }

  @Test("the parser gives the same however the bytes are cut")
  func segmented() {
    var random = Randomness(seed: 2)
    for _ in 0..<500 {
      var bytes: [UInt8] = []
      for _ in 0..<5 { bytes += random.line() + [0x0D, 0x0A] }
      #expect(Self.inputs(bytes, cut: [bytes.count]) == Self.inputs(bytes, cut: (0..<40).map { _ in random.next(below: 200) }))
    }
  }

  static func inputs(_ bytes: [UInt8], cut: [Int]) -> [SMTPInput] {
    var limits = SMTPLimits()
    limits.commandLine = 100
    limits.discardedLine = 300
    var parser = SMTPCommandParser(dialect: .smtp, limits: limits)
    var found: [SMTPInput] = []
    var input = ByteBuffer()
    var rest = bytes[...]
    for length in cut + [bytes.count] {
      input.writeBytes(rest.prefix(length))
      rest = rest.dropFirst(length)
      while let next = parser.next(from: &input) {
        if case .command(let command, _) = next { found.append(.command(command, isLast: false)) } else { found.append(next) }
        if next == .flooded { return found }
        if case .foreign = next { return found }
      }
    }
    return found
  }
}
