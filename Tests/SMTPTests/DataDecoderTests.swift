import NIOCore
import Testing

@testable import SMTP

/// The decoder against one that looks at a byte at a time.
struct NaiveDecoder {
  var content: [UInt8] = []
  var defects: DataOutcome.Defects = []
  var longest = 0
  /// Octets read, up to and with the end.
  var length = 0
  var hasEnded = false

  /// A dot-stuffed body.
  init(dots bytes: [UInt8], maximumLine: Int) {
    var index = 0
    var isAtLineStart = true
    while index < bytes.count {
      if isAtLineStart, bytes[index] == 0x2E {
        if bytes[index...].starts(with: [0x2E, 0x0D, 0x0A]) {
          hasEnded = true
          length = index + 3
          break
        }
        if bytes.count - index < 3, [0x2E, 0x0D, 0x0A].starts(with: bytes[index...]) { break }
        isAtLineStart = false
        index += 1
        continue
      }
      content.append(bytes[index])
      isAtLineStart = bytes[index] == 0x0A && index > 0 && bytes[index - 1] == 0x0D
      index += 1
    }
    if !hasEnded { length = index }
    judge(maximumLine)
  }

  /// A chunk.
  init(chunk bytes: [UInt8], maximumLine: Int) {
    content = bytes
    length = bytes.count
    hasEnded = true
    judge(maximumLine)
  }

  private mutating func judge(_ maximumLine: Int) {
    var line = 0
    for (index, byte) in content.enumerated() {
      if byte == 0 { defects.insert(.nul) }
      if byte == 0x0D, index + 1 < content.count, content[index + 1] != 0x0A { defects.insert(.bareCarriageReturn) }
      if byte == 0x0A, index == 0 || content[index - 1] != 0x0D { defects.insert(.bareLineFeed) }
      line += 1
      if byte == 0x0A, index > 0, content[index - 1] == 0x0D {
        longest = max(longest, line - 2)
        line = 0
      }
    }
    longest = max(longest, line - (content.last == 0x0D ? 1 : 0))
    if longest > maximumLine { defects.insert(.longLine) }
  }
}

@Suite struct DataDecoderTests {
  /// Runs a decoder over bytes cut at random.
  static func run(
    _ decoder: DataDecoder, _ bytes: [UInt8], _ random: inout Randomness, pieces: Int
  ) -> (content: [UInt8], outcome: DataOutcome?, left: Int) {
    var decoder = decoder
    var content: [UInt8] = []
    var input = ByteBuffer()
    var rest = bytes[...]
    while true {
      let length = random.next(below: pieces) + 1
      input.writeBytes(rest.prefix(length))
      rest = rest.dropFirst(length)
      inner: while true {
        switch decoder.next(from: &input) {
        case .bytes(let bytes):
          #expect(bytes.readableBytes > 0)
          content += Array(buffer: bytes)
        case .needsInput: break inner
        case .ended(let outcome): return (content, outcome, input.readableBytes + rest.count)
        }
      }
      if rest.isEmpty { return (content, nil, input.readableBytes) }
    }
  }

  static func body(_ random: inout Randomness, hostile: Bool) -> [UInt8] {
    var pieces = ["\r\n", "\r\n", "\r\n.", ".", "..", "a", "bc", "x\r\n..y\r\n", "longer text of a line", "\r\n.\r"]
    if hostile { pieces += ["\r", "\n", "\0", "\n.\r\n", "\r\n.\n", ".\r\n"] }
    var bytes: [UInt8] = []
    for _ in 0..<random.next(below: 60) { bytes += Array(random.pick(pieces).utf8) }
    return bytes + Array("\r\n.\r\nNOOP\r\n".utf8)
  }

  @Test("dot-stuffed bodies come out as from a naive decoder, however they are cut")
  func dots() {
    var random = Randomness(seed: 3)
    var limits = SMTPLimits()
    limits.bodyLine = 40
    for round in 0..<4_000 {
      let bytes = Self.body(&random, hostile: round % 2 == 0)
      let wanted = NaiveDecoder(dots: bytes, maximumLine: limits.bodyLine)
      for pieces in [1, 3, 20, 10_000] {
        let found = Self.run(.dotStuffed(limits: limits), bytes, &random, pieces: pieces)
        #expect(found.outcome?.defects == wanted.defects)
        #expect(found.left == bytes.count - wanted.length)
        #expect(found.outcome?.octets == UInt64(wanted.content.count))
        if wanted.defects.isDisjoint(with: [.bareLineFeed, .bareCarriageReturn]) {
          #expect(found.outcome?.longestLine == wanted.longest)
        }
        if wanted.defects.isEmpty {
          #expect(found.content == wanted.content)
        } else {
          #expect(wanted.content.starts(with: found.content))
        }
      }
    }
  }

  @Test("chunks are exactly their octets, checked like one body, however they are cut")
  func chunks() {
    var random = Randomness(seed: 4)
    let limits = SMTPLimits()
    for round in 0..<2_000 {
      let bytes = Self.body(&random, hostile: round % 2 == 0)
      let wanted = NaiveDecoder(chunk: bytes, maximumLine: limits.bodyLine)
      var outcome = DataOutcome()
      var content: [UInt8] = []
      var rest = bytes[...]
      while !rest.isEmpty {
        let length = random.next(below: rest.count) + 1
        let found = Self.run(
          .chunk(octets: UInt64(length), isBinary: false, after: outcome, limits: limits), Array(rest), &random, pieces: 30)
        #expect(found.left == rest.count - length)
        rest = rest.dropFirst(length)
        content += found.content
        outcome = found.outcome ?? DataOutcome()
      }
      #expect(outcome.defects == wanted.defects)
      #expect(outcome.octets == UInt64(bytes.count))
      if wanted.defects.isEmpty { #expect(content == bytes) }
    }
  }

  @Test("a body without stuffed dots is given as slices of the input, not copied")
  func slices() {
    let bytes = Array(
      repeating: Array("A line of an ordinary message, about seventy octets long, more or less\r\n".utf8), count: 100
    ).flatMap { $0 }
    var input = ByteBuffer(bytes: bytes + Array(".\r\n".utf8))
    let address = input.withUnsafeReadableBytes { $0.baseAddress }
    var decoder = DataDecoder.dotStuffed(limits: .init())
    guard case .bytes(let slice) = decoder.next(from: &input), case .ended(let outcome) = decoder.next(from: &input) else {
      Issue.record("not one slice")
      return
    }
    #expect(slice.withUnsafeReadableBytes { $0.baseAddress } == address)
    #expect(Array(buffer: slice) == bytes)
    #expect(outcome.longestLine == 70 && outcome.defects.isEmpty && input.readableBytes == 0)
  }

  @Test("an empty message, and one of a single dot, are what they are")
  func edges() {
    var random = Randomness(seed: 5)
    for (text, content) in [
      (".\r\n", ""), ("..\r\n.\r\n", ".\r\n"), ("\r\n.\r\n", "\r\n"), ("...\r\n..\r\n.\r\n", "..\r\n.\r\n"),
      (".x\r\n.\r\n", "x\r\n"),
    ] {
      let found = Self.run(.dotStuffed(limits: .init()), Array(text.utf8), &random, pieces: 1)
      #expect(String(decoding: found.content, as: UTF8.self) == content)
      #expect(found.outcome?.defects == [] && found.left == 0)
    }
    let empty = Self.run(.chunk(octets: 0, isBinary: false, after: .init(), limits: .init()), [0x41], &random, pieces: 1)
    #expect(empty.outcome?.octets == 0 && empty.left == 1)
  }
}
