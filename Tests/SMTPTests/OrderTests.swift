import Testing

@testable import SMTP

/// Every command in every state, against a table (RFC 5321, 4.1.4).
@Suite struct OrderTests {
  static let commands = [
    "EHLO c", "HELO c", "LHLO c", "MAIL FROM:<a@x>", "RCPT TO:<b@x>", "DATA", "BDAT 0", "BDAT 0 LAST", "RSET", "VRFY a", "EXPN a",
    "HELP", "NOOP",
    "QUIT", "STARTTLS", "AUTH PLAIN", "XCLIENT ADDR=192.0.2.1", "FOO",
  ]

  struct Row: CustomTestStringConvertible {
    var state: String
    var dialect: SMTPDialect
    /// What leads to the state.
    var lines: [String]
    /// The code for each of `commands`; `-` is silence and a close.
    var codes: String
    var isWelcome = true

    var testDescription: String { state }
  }

  static let rows = [
    Row(
      state: "greeted", dialect: .smtp, lines: [],
      codes: "250 250 500 503 503 503 503 503 250 252 502 214 250 221 503 503 - 500"),
    Row(
      state: "after EHLO", dialect: .smtp, lines: ["EHLO c"],
      codes: "250 250 500 250 503 503 503 503 250 252 502 214 250 221 220 502 - 500"),
    Row(
      state: "after HELO", dialect: .smtp, lines: ["HELO c"],
      codes: "250 250 500 250 503 503 503 503 250 252 502 214 250 221 220 502 - 500"),
    Row(
      state: "after MAIL", dialect: .smtp, lines: ["EHLO c", "MAIL FROM:<a@x>"],
      codes: "250 250 500 503 250 554 554 554 250 252 502 214 250 221 503 503 - 500"),
    Row(
      state: "after a MAIL that was refused", dialect: .smtp, lines: ["EHLO c", "MAIL FROM:<later@x>"],
      codes: "250 250 500 250 503 503 503 503 250 252 502 214 250 221 220 502 - 500"),
    Row(
      state: "after RCPT", dialect: .smtp, lines: ["EHLO c", "MAIL FROM:<a@x>", "RCPT TO:<b@x>"],
      codes: "250 250 500 503 250 354 250 250 250 252 502 214 250 221 503 503 - 500"),
    Row(
      state: "after a RCPT that was refused", dialect: .smtp, lines: ["EHLO c", "MAIL FROM:<a@x>", "RCPT TO:<unknown@x>"],
      codes: "250 250 500 503 250 554 554 554 250 252 502 214 250 221 503 503 - 500"),
    Row(
      state: "after a chunk", dialect: .smtp, lines: ["EHLO c", "MAIL FROM:<a@x>", "RCPT TO:<b@x>", "BDAT 0"],
      codes: "250 250 500 503 503 503 250 250 250 252 502 214 250 221 503 503 - 500"),
    Row(
      state: "after a message", dialect: .smtp, lines: ["EHLO c", "MAIL FROM:<a@x>", "RCPT TO:<b@x>", "BDAT 0 LAST"],
      codes: "250 250 500 250 503 503 503 503 250 252 502 214 250 221 220 502 - 500"),
    Row(
      state: "after RSET", dialect: .smtp, lines: ["EHLO c", "MAIL FROM:<a@x>", "RCPT TO:<b@x>", "RSET"],
      codes: "250 250 500 250 503 503 503 503 250 252 502 214 250 221 220 502 - 500"),
    Row(
      state: "after EHLO in a transaction", dialect: .smtp, lines: ["EHLO c", "MAIL FROM:<a@x>", "RCPT TO:<b@x>", "EHLO c"],
      codes: "250 250 500 250 503 503 503 503 250 252 502 214 250 221 220 502 - 500"),
    Row(
      state: "after STARTTLS", dialect: .smtp, lines: ["EHLO c", "STARTTLS"],
      codes: "250 250 500 503 503 503 503 503 250 252 502 214 250 221 503 503 - 500"),
    Row(
      state: "after EHLO over TLS", dialect: .smtp, lines: ["EHLO c", "STARTTLS", "EHLO c"],
      codes: "250 250 500 250 503 503 503 503 250 252 502 214 250 221 503 502 - 500"),
    Row(
      state: "unwelcome", dialect: .smtp, lines: [],
      codes: "503 503 503 503 503 503 503 503 503 503 503 503 503 221 503 503 503 503", isWelcome: false),
    Row(
      state: "LMTP greeted", dialect: .lmtp, lines: [],
      codes: "500 500 250 503 503 503 503 503 250 252 502 214 250 221 503 503 - 500"),
    Row(
      state: "LMTP after LHLO", dialect: .lmtp, lines: ["LHLO c"],
      codes: "500 500 250 250 503 503 503 503 250 252 502 214 250 221 220 502 - 500"),
    Row(
      state: "LMTP after two RCPT", dialect: .lmtp, lines: ["LHLO c", "MAIL FROM:<a@x>", "RCPT TO:<b@x>", "RCPT TO:<c@x>"],
      codes: "500 500 250 503 250 354 250 250,250 250 252 502 214 250 221 503 503 - 500"),
  ]

  @Test("each command in each state gets the reply of the table", arguments: rows)
  func order(row: Row) {
    let wanted = row.codes.split(separator: " ").map { $0 == "-" ? "" : String($0) }
    #expect(wanted.count == Self.commands.count)
    for (command, code) in zip(Self.commands, wanted) {
      var talk = Talk(row.dialect, greeting: row.isWelcome ? .accept : .refuse(SMTPReply(554, nil, "No")))
      for line in row.lines { talk.send(line + "\r\n") }
      #expect(!talk.isClosed)
      #expect(talk.codes(command) == [code], "\(command)")
      let closes = command == "QUIT" || code.isEmpty || (!row.isWelcome && command.hasPrefix("BDAT"))
      #expect(talk.isClosed == closes, "\(command)")
    }
  }

  @Test(
    "a command with the wrong arguments is 501 and leaves the state as it was",
    arguments: [
      "EHLO", "HELO", "EHLO a b", "MAIL", "MAIL FROM", "MAIL FROM:", "MAIL TO:<a@x>", "RCPT", "RCPT FROM:<a@x>", "RCPT TO:",
      "DATA now", "RSET all",
      "QUIT now", "STARTTLS 1", "VRFY", "EXPN", "AUTH", "RCPT TO:<a@x>NOTIFY=NEVER", "RCPT TO:<a@x> NOTIFY=NEVER,SUCCESS",
      "RCPT TO:<a@x> NOTIFY=SUCCESS,", "RCPT TO:<a@x> NOTIFY", "RCPT TO:<a@x> NOTIFY=NEVER NOTIFY=NEVER", "RCPT TO:<a@x> =",
    ])
  func wrongArguments(line: String) {
    var talk = Talk()
    _ = talk.codes("EHLO c", "MAIL FROM:<a@x>", "RCPT TO:<b@x>")
    #expect(talk.codes(line) == ["501"])
    #expect(talk.codes("DATA", ".") == ["354", "250"])
  }

  @Test("a parameter that is unknown is 555 (RFC 5321, 4.1.1.11)")
  func unknownParameters() {
    var talk = Talk()
    #expect(talk.codes("EHLO c", "MAIL FROM:<a@x> FOO=1", "MAIL FROM:<a@x> MT-PRIORITY=3") == ["250", "555", "555"])
    #expect(talk.codes("MAIL FROM:<a@x>", "RCPT TO:<b@x> FOO", "RCPT TO:<b@x> SIZE=1") == ["250", "555", "555"])
  }
}
