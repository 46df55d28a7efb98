import InternetMessage
import Testing

@testable import SMTP

@Suite("What a refused line still tells")
struct RefusedCommandTests {
  @Test(
    "the verb and whom it names, as far as they can be read",
    arguments: [
      ("RCPT TO:<a@x.test> FOO=1", RefusedCommand.Verb.rcpt, "a@x.test"), ("rcpt to: <a@x.test>", .rcpt, "a@x.test"),
      ("RCPT TO:<@>", .rcpt, nil), ("RCPT TO", .rcpt, nil), ("RCPT \u{0}", .rcpt, nil),
      ("MAIL FROM:<b@x.test> SIZE=x", .mail, "b@x.test"),
      ("MAIL FROM:<> FOO", .mail, nil), ("MAIL FROM:<b@x.test", .mail, nil), ("EHLO a b", nil, nil), ("", nil, nil),
      ("RCPT", nil, nil),
      ("RCPTX TO:<a@x.test>", nil, nil),
    ] as [(String, RefusedCommand.Verb?, String?)])
  func reads(line: String, verb: RefusedCommand.Verb?, address: String?) {
    let command = RefusedCommand(Array(line.utf8))
    #expect(command?.verb == verb)
    #expect(command?.address?.wire == address)
  }
}
