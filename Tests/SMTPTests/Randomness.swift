/// Seeded randomness (xorshift) and hostile lines made of it.
struct Randomness {
  private var state: UInt64

  init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }

  mutating func next() -> UInt64 {
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    return state
  }

  mutating func next(below bound: Int) -> Int { bound > 0 ? Int(next() >> 1) % bound : 0 }

  mutating func pick<T>(_ values: [T]) -> T { values[next(below: values.count)] }

  static let pieces = [
    "EHLO ", "HELO", "LHLO c", "MAIL FROM:", "RCPT TO:", "DATA", "BDAT ", "5", " LAST", "RSET", "NOOP", "QUIT", "STARTTLS",
    "VRFY a", "AUTH PLAIN ", "XCLIENT ADDR=",
    "<a@x>", "<>", "<\"a b\"@x>", "<@a,@b:c@d>", "<unknown@x>", "<later@x>", "<ü@x>", " SIZE=", "99999999999999999999",
    " BODY=8BITMIME", " SMTPUTF8", " NOTIFY=NEVER",
    " ORCPT=rfc822;", "a+2Bb", " ", "\0", "\r", "\n", "\t", "é", "=", "<", ">", "@", ".", "GET / HTTP/1.1", "PROXY ", "A", "\u{16}",
  ]

  /// A line of pieces of commands, mostly right at its beginning, sometimes bent.
  mutating func line() -> [UInt8] {
    var bytes: [UInt8] = []
    for _ in 0...next(below: 6) { bytes += Array(pick(Self.pieces).utf8) }
    if next(below: 10) == 0 { bytes += [UInt8](repeating: UInt8(next(below: 256)), count: next(below: 400)) }
    if next(below: 5) == 0, !bytes.isEmpty { bytes[next(below: bytes.count)] = UInt8(next(below: 256)) }
    return bytes
  }

  static let script = [
    "EHLO c", "MAIL FROM:<a@x>", "RCPT TO:<b@x>", "RCPT TO:<unknown@x>", "RCPT TO:<full@x>", "DATA", "BDAT 3", "BDAT 4 LAST",
    "BDAT 0 LAST", "RSET", "NOOP", "STARTTLS",
    ".", "Subject: x", "..", "", "MAIL FROM:<a@x> BODY=BINARYMIME", "LHLO c", "a\nb", "a\rb", "\0", "QUIT",
  ]

  /// A likely line of a conversation.
  mutating func likely() -> [UInt8] { next(below: 12) == 0 ? line() : Array(pick(Self.script).utf8) }
}
