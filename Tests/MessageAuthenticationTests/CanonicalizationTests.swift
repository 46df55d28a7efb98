import Bytes
import Testing

@testable import MessageAuthentication

@Suite struct CanonicalizationTests {
  static let example = mail("A: X\nB : Y\t\n\tZ  \n\n C \nD \t E\n\n\n")

  static func header(_ bytes: [UInt8], _ canonicalization: Canonicalization) -> String {
    let header = HeaderFields(bytes)
    var output: [UInt8] = []
    for index in header.fields.indices { header.canonicalize(index, canonicalization, into: &output) }
    return string(output)
  }

  static func sha256(_ bytes: [UInt8]) -> [UInt8]? {
    var hash = SHA256()
    hash.update(bytes)
    return hash.hash()
  }

  /// The canonical body the slow way: whole, by lines, as RFC 6376, 3.4.3 and 3.4.4 say it.
  static func reference(_ body: [UInt8], _ canonicalization: Canonicalization) -> [UInt8] {
    var lines: [[UInt8]] = [[]]
    var index = 0
    while index < body.count {
      if body[index] == 0x0D, index + 1 < body.count, body[index + 1] == 0x0A {
        lines.append([])
        index += 2
      } else {
        lines[lines.count - 1].append(body[index])
        index += 1
      }
    }
    if canonicalization == .relaxed {
      lines = lines.map { line in
        var result: [UInt8] = []
        for byte in line where !(byte.isASCIIBlank && result.last == 0x20) { result.append(byte.isASCIIBlank ? 0x20 : byte) }
        if result.last == 0x20 { result.removeLast() }
        return result
      }
    }
    while let last = lines.last, last.isEmpty { lines.removeLast() }
    if lines.isEmpty, canonicalization == .relaxed { return [] }
    return Array(lines.joined(separator: [0x0D, 0x0A])) + [0x0D, 0x0A]
  }

  @Test("RFC 6376, 3.4.5: the examples") func examples() throws {
    #expect(Self.header(Self.example, .relaxed) == "a:X\r\nb:Y Z\r\n")
    #expect(Self.header(Self.example, .simple) == "A: X\r\nB : Y\t\r\n\tZ  \r\n")
    let passed = Passed(Self.example, kinds: [BodyHashKind(.relaxed), BodyHashKind(.simple)])
    #expect(passed.hashes[BodyHashKind(.relaxed)]?.sha256 == Self.sha256(mail(" C\nD E\n")))
    #expect(passed.hashes[BodyHashKind(.relaxed)]?.octets == 9)
    #expect(passed.hashes[BodyHashKind(.simple)]?.sha256 == Self.sha256(mail(" C \nD \t E\n")))
  }

  @Test("RFC 6376, 3.4.3 and 3.4.4: the hashes of an empty body") func emptyBody() {
    let simple = Array("frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY=".utf8)
    let relaxed = Array("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=".utf8)
    for body in ["", "\r\n", "\r\n\r\n\r\n"] {
      var hasher = BodyHasher([BodyHashKind(.simple), BodyHashKind(.relaxed)])
      hasher.update(Array(body.utf8))
      let hashes = hasher.finish()
      #expect(hashes[BodyHashKind(.simple)].map { Base64.encode($0.sha256) } == simple)
      #expect(hashes[BodyHashKind(.relaxed)].map { Base64.encode($0.sha256) } == relaxed)
    }
  }

  @Test(
    "the canonical body is that of the RFC's own words, wherever it is cut",
    arguments: [
      "", "a", "a\r\n", "\r", "\n", "\r\n", "\ra", "\na", " ", " \r\n", "\t \r\n\r\n", "a \r\n", "a\r\n\r\n\r\nb",
      "a \t b\tc \r\n d",
      "\r\r\n", "\r\n\n\r\n", "a\r\r\n", "a \r b\r\n", "  a\r\n  \r\n\t\r\n b  c \r\n \r\n", "a\rb\nc\r\n", "a \r", "a\r\n\r",
      "ä ö  ü\r\n\0\0 \0\r\n",
      "a  \r\n\r\n \r\n", "x\r\n y\r\n  z\r\n\r\n\r\n\r\nw", " \r", "\r\n\r\n a",
    ])
  func bodies(text: String) {
    let body = Array(text.utf8)
    for canonicalization in Canonicalization.allCases {
      let wanted = Self.reference(body, canonicalization)
      for first in 0...body.count {
        for second in first...body.count {
          var hasher = BodyHasher([BodyHashKind(canonicalization)])
          for piece in [body[..<first], body[first..<second], body[second...]] { hasher.update(piece) }
          let hash = hasher.finish()[BodyHashKind(canonicalization)]
          #expect(
            hash?.sha256 == Self.sha256(wanted) && hash?.octets == UInt64(wanted.count),
            "\(text.debugDescription) \(first) \(second)")
        }
      }
    }
  }

  @Test("random bodies, random pieces, and every l= at once") func randomBodies() {
    var state: UInt64 = 42
    func next(_ bound: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % bound
    }
    let alphabet = Array("a\r\n \tb\r\n".utf8)
    for _ in 0..<400 {
      var body: [UInt8] = []
      for _ in 0..<next(60) { if next(4) == 0 { body += [0x0D, 0x0A] } else { body.append(alphabet[next(alphabet.count)]) } }
      for canonicalization in Canonicalization.allCases {
        let wanted = Self.reference(body, canonicalization)
        let lengths = [nil] + (0...wanted.count + 1).map { UInt64?(UInt64($0)) }
        let kinds = lengths.map { BodyHashKind(canonicalization, length: $0) }
        var hasher = BodyHasher(next(2) == 0 ? kinds : Array(kinds.dropFirst()))
        var start = 0
        while start < body.count {
          let end = min(start + 1 + next(9), body.count)
          hasher.update(body[start..<end])
          start = end
        }
        let hashes = hasher.finish()
        for (kind, hash) in hashes.hashes {
          let part = Array(wanted.prefix(kind.length.map { Int($0) } ?? wanted.count))
          #expect(hash.sha256 == Self.sha256(part) && hash.octets == UInt64(wanted.count), "\(body) \(kind)")
        }
        #expect(hashes.hashes.count >= lengths.count - 1)
      }
    }
  }

  @Test("millions of empty lines cost no memory and count only if something follows") func emptyLines() {
    var hasher = BodyHasher([BodyHashKind(.simple), BodyHashKind(.relaxed)])
    let lines = mail(String(repeating: "\n", count: 10_000))
    hasher.update(mail("a\n"))
    for _ in 0..<100 { hasher.update(lines) }
    var other = hasher
    let short = hasher.finish()
    #expect(short[BodyHashKind(.simple)]?.octets == 3 && short[BodyHashKind(.relaxed)]?.octets == 3)
    other.update(mail("b"))
    #expect(other.finish()[BodyHashKind(.relaxed)]?.octets == 2_000_006)
  }

  @Test("fields as the RFC makes them alike")
  func headers() {
    #expect(Self.header(mail("SUBJect \t:  a\t\tb \n \t c\t\n"), .relaxed) == "subject:a b c\r\n")
    #expect(Self.header(mail("X:\n"), .relaxed) == "x:\r\n")
    #expect(Self.header(mail("X:\n \n"), .relaxed) == "x:\r\n")
    #expect(Self.header(Array("X: y".utf8), .relaxed) == "x:y\r\n")
    #expect(Self.header(Array("X: y".utf8), .simple) == "X: y\r\n")
    #expect(Self.header(Array("X: ä\rb\r\n".utf8), .relaxed) == "x:ä\rb\r\n")
  }

  @Test("random fields are made alike as the RFC says it") func randomHeaders() {
    var state: UInt64 = 3
    func next(_ bound: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % bound
    }
    for _ in 0..<3_000 {
      let pieces: [[UInt8]] = [[0x61], [0x62, 0x63], [0x20], [0x09], [0x0D, 0x0A, 0x20], [0x0D], [0x01], [0xC3], [0x0A, 0x09]]
      let value = (0..<next(14)).flatMap { _ in pieces[next(pieces.count)] }
      var wanted: [UInt8] = []
      for (index, byte) in value.enumerated() {
        if byte == 0x0A || (byte == 0x0D && index + 1 < value.count && value[index + 1] == 0x0A) { continue }
        if byte.isASCIIBlank, wanted.isEmpty || wanted.last == 0x20 { continue }
        wanted.append(byte.isASCIIBlank ? 0x20 : byte)
      }
      if wanted.last == 0x20 { wanted.removeLast() }
      var output: [UInt8] = []
      let field = Array("Xy:".utf8) + value + [0x0D, 0x0A]
      Canonicalization.relaxed.append(field[...], valueAt: 3, nameEnd: 2, to: &output)
      #expect(output == Array("xy:".utf8) + wanted + [0x0D, 0x0A], "\(value)")
    }
  }

  @Test("RFC 6376, 5.4.2: fields of one name are taken from below") func selection() {
    let header = HeaderFields(mail("A: 1\nB: 2\na: 3\nFrom me\nA : 4\n\nA: 5\n"))
    let a = Array("a".utf8)
    #expect(header.selected(by: [a, Array("b".utf8), a, a, a, Array("c".utf8)]) == [4, 1, 2, 0])
    #expect(header.selected(by: [a, a], except: 4) == [2, 0])
  }

  @Test("header and body are told apart wherever the message is cut")
  func splitting() {
    for (text, header, body) in [
      ("A: b\r\n\r\nc\r\n", "A: b\r\n", "c\r\n"), ("A: b\r\n c\r\n\r\n\r\n", "A: b\r\n c\r\n", "\r\n"), ("\r\nx", "", "x"),
      ("A: b\n\nc", "A: b\n", "c"), ("A: b", "A: b", ""), ("A: b\r\n\r", "A: b\r\n\r", ""),
      ("A: b\r\n\r\r\n\r\nc", "A: b\r\n\r\r\n", "c"),
      ("A: b\r\n\rc\n\nd", "A: b\r\n\rc\n", "d"),
    ] {
      let message = Array(text.utf8)
      for cut in 0...message.count {
        var splitter = MessageSplitter()
        var rest: [UInt8] = []
        for piece in [message[..<cut], message[cut...]] {
          piece.withUnsafeBytes { rest += $0[splitter.take($0)...] }
        }
        #expect(string(splitter.header) == header && string(rest) == body, "\(text.debugDescription) \(cut)")
      }
    }
    var splitter = MessageSplitter(limit: 10)
    mail("A: bcdefghijkl\n\nbody").withUnsafeBytes { #expect($0[splitter.take($0)...].elementsEqual("body".utf8)) }
    #expect(splitter.isTooLong && splitter.header.count == 10)
  }
}
