import InternetMessage
import NIOCore
import Testing

/// HOSTILE 24 to 28 and 31.
@Suite struct HostileMessageTests {
  @Test("HOSTILE 24: 1,000,000 fields, a field of 100 MB and a header of 2 MB each break their own budget") func budgets() {
    var many = MessageObserver()
    let fields = ByteBuffer(string: String(repeating: "A:b\r\n", count: 1_000))
    for _ in 0..<1_000 { many.observe(fields) }
    #expect(many.problem == .tooManyFields(limit: 10_000))

    var long = MessageObserver()
    long.observe(ByteBuffer(string: "Subject: "))
    let piece = ByteBuffer(string: String(repeating: "x", count: 1_048_576))
    for _ in 0..<100 { long.observe(piece) }
    #expect(long.problem == .fieldTooLong(limit: 262_144))
    #expect(long.finish().census.longestLine == 104_857_609)

    var wide = MessageObserver()
    let field = ByteBuffer(string: "A: " + String(repeating: "x", count: 200_000) + "\r\n")
    for _ in 0..<10 { wide.observe(field) }
    #expect(wide.problem == .headerTooLong(limit: 1_048_576))

    var folded = MessageObserver()
    folded.observe(ByteBuffer(string: "From: a@b\r\n"))
    for _ in 0..<100 { folded.observe(ByteBuffer(string: String(repeating: " c,\r\n", count: 1_000))) }
    #expect(folded.problem == .fieldTooLong(limit: 262_144))
  }

  @Test(
    "HOSTILE 24: 200,000 addresses in To break the budget of a field; as many as fit are cut in what is shown, not in what is kept")
  func addresses() {
    #expect(observe("From: a@b\nTo: \(String(repeating: "a@b,", count: 200_000))\n\n").problem == .fieldTooLong(limit: 262_144))
    let seen = observe("From: a@b\nTo: \(String(repeating: "a@b,", count: 60_000))\n\n")
    #expect(seen.problem == nil)
    #expect(seen.summary.envelope.count < 100_000)
  }

  @Test(
    "HOSTILE 24: 1,000,000 RFC 2231 parameters break the budget of a field; as many as fit are read in one go, a bounded number kept"
  )
  func continuations() {
    func field(_ count: Int) -> String {
      "Content-Disposition: attachment" + (0..<count).map { ";\r\n f*\($0)=x" }.joined()
    }
    var observer = MessageObserver()
    observer.observe(ByteBuffer(string: field(1_000_000) + "\r\n\r\nbody\r\n"))
    #expect(observer.problem == .fieldTooLong(limit: 262_144))
    for text in [field(20_000), "Content-Type: text/plain" + String(repeating: ";a*0*=''%41", count: 23_000)] {
      let seen = observe(Array((text + "\r\n\r\nbody\r\n").utf8))
      #expect(seen.problem == nil && seen.parts.count == 1)
      #expect(seen.summary.bodyStructure.count < 100_000)
      expectBalanced(seen.summary.bodyStructure)
    }
  }

  @Test("HOSTILE 25: 10,000 levels of multipart become one opaque part, in a structure that is still valid") func deep() {
    var text = "MIME-Version: 1.0\n"
    for level in 0..<10_000 { text += "Content-Type: multipart/mixed; boundary=b\(10_000 + level)\n\n--b\(10_000 + level)\n" }
    let seen = observe(text + "\ninner\n")
    #expect(seen.parts.count == 101)
    #expect(seen.parts.map(\.depth).max() == 100)
    #expect(seen.ambiguities.contains(.tooDeep))
    #expect(seen.parts.last?.kind == .leaf)
    expectBalanced(seen.summary.bodyStructure)
  }

  @Test("HOSTILE 26: 10,000 messages in each other end at the depth, and no cycle can be") func messages() {
    let seen = observe(String(repeating: "Content-Type: message/rfc822\n\n", count: 10_000))
    #expect(seen.parts.count == 101)
    for (row, part) in seen.parts.enumerated() { #expect(part.parent < row) }
    expectBalanced(seen.summary.bodyStructure)
  }

  @Test("HOSTILE 25: a million parts end at the limit; the rest belongs to the last") func manyParts() {
    let seen = observe(
      "Content-Type: multipart/mixed; boundary=b\n\n" + String(repeating: "--b\n\nx\n", count: 1_000_000) + "--b--\n")
    #expect(seen.parts.count == 10_000)
    #expect(seen.ambiguities.contains(.tooManyParts))
    #expect(seen.parts.last?.bodyEnd == seen.census.size)
    #expect(seen.summary.bodyStructure.count < 1_200_000)
    expectBalanced(seen.summary.bodyStructure)
  }

  @Test("HOSTILE 25: a boundary that another begins with, the same boundary twice, an empty and a huge one") func boundaries() {
    let prefix = observe(
      "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/mixed; boundary=ab\n\n--ab\n\nin\n--ab--\n--a\n\nout\n--a--\n"
    )
    #expect(prefix.parts.map(\.depth) == [0, 1, 2, 1])
    #expect(prefix.ambiguities == .overlappingBoundary)
    let shorter = observe(
      "Content-Type: multipart/mixed; boundary=ab\n\n--ab\nContent-Type: multipart/mixed; boundary=a\n\n--a\n\nin\n--a--\n--ab\n\nout\n--ab--\n"
    )
    #expect(shorter.parts.map(\.depth) == [0, 1, 2, 1])
    let same = observe(
      "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/mixed; boundary=a\n\n--a\n\nin\n--a--\n--a\n\nout\n--a--\n"
    )
    #expect(same.parts.map(\.depth) == [0, 1, 2, 1])
    for boundary in ["\"\"", String(repeating: "x", count: 10_000)] {
      let seen = observe("Content-Type: multipart/mixed; boundary=\(boundary)\n\n--\n\nx\n")
      #expect(seen.parts.count == 1 && seen.ambiguities.contains(.badBoundary))
      #expect(string(seen.summary.bodyStructure).hasPrefix(#"("APPLICATION" "OCTET-STREAM""#))
    }
  }

  @Test("HOSTILE 27: junk behind the final boundary, a missing one, an encoded multipart, a header cut off: noted") func junk() {
    #expect(observe("Content-Type: multipart/mixed; boundary=a\n\n--a\n\nx\n--a--\njunk\n").ambiguities == .epilogue)
    #expect(observe("Content-Type: multipart/mixed; boundary=a\n\n--a\n\nx\n").ambiguities == .missingFinalBoundary)
    #expect(
      observe("Content-Type: multipart/mixed; boundary=a\nContent-Transfer-Encoding: base64\n\n--a\n\nx\n").ambiguities
        == .encodedMultipart)
    #expect(observe("Content-Type: multipart/mixed; boundary=a\n\n--a\nX: y\n--a--\n").ambiguities == .headerEndedByBoundary)
    #expect(observe("Content-Type: multipart/mixed; boundary=a\n\n").summary.bodyStructure.contains(0x22))
  }

  @Test("HOSTILE 27: of conflicting fields, charsets and names the first counts, everywhere the same, and the conflict is noted")
  func conflicts() {
    let types = observe("Content-Type: text/html\nContent-Type: multipart/mixed; boundary=a\n\n--a\n\nx\n--a--\n")
    #expect(types.parts.map(\.subtype) == ["html"] && types.ambiguities == .repeatedContentField)
    let encodings = observe("Content-Transfer-Encoding: base64\nContent-Transfer-Encoding: 7bit\n\naGVsbG8=\n")
    #expect(encodings.summary.preview == "hello" && encodings.ambiguities == .repeatedContentField)
    #expect(string(encodings.summary.bodyStructure).contains(#""base64""#))
    let charsets = observe(Array("Content-Type: text/plain; charset=utf-8; charset=iso-8859-1\r\n\r\n\u{E9}\r\n".utf8))
    #expect(charsets.summary.preview == "\u{E9}" && charsets.ambiguities == .repeatedParameter)
    // A name plain, by RFC 2047 in quotes, by RFC 2231, and in pieces: RFC 2231's is shown, in whatever order they stand, and the filter is told.
    let names = ["filename=a.txt", "filename=\"=?utf-8?q?b.exe?=\"", "filename*=utf-8''c.scr", "filename*0=d.; filename*1=com"]
    for first in names.indices {
      let order = names[first...] + names[..<first]
      let seen = observe("Content-Disposition: attachment; \(order.joined(separator: "; "))\n\nx\n")
      let shown = ["a.txt", "b.exe", "c.scr", "d.com"].filter { string(seen.summary.bodyStructure).contains($0) }
      #expect(seen.ambiguities.contains(.repeatedParameter), "\(order)")
      #expect(shown == ["c.scr"], "\(order) is shown as \(shown)")
    }
  }

  @Test(
    "HOSTILE 28: encodings and charsets that lie are decoded as far as they go, and trap nothing",
    arguments: [
      // base64 without an end, with rubbish between and an end in the middle, nothing but the end.
      ("utf-8", "base64", "SGVsbG8gd29ybG", "Hello worl"), ("utf-8", "base64", "SGVs*bG8=IHdvcg==", "Hello wor"),
      ("utf-8", "base64", "=", ""),
      // Soft breaks only, and an escape that is none.
      ("utf-8", "quoted-printable", String(repeating: "=\n", count: 5_000), ""),
      ("utf-8", "quoted-printable", "a=ZZb=4", "a=ZZb=4"),
      // uuencode and yEnc are text.
      ("us-ascii", "7bit", "begin 644 x\n#0V%T\n`\nend\n", "begin 644 x #0V%T ` end"),
      (
        "us-ascii", "7bit", "=ybegin line=128 size=3 name=x\nm=}\n=yend size=3\n", "=ybegin line=128 size=3 name=x m=} =yend size=3"
      ),
      // UTF-7 is not read (it hides markup); a charset nobody knows shows what is ASCII.
      ("utf-7", "7bit", "+ADw-script+AD4-", "+ADw-script+AD4-"), ("x-unknown", "7bit", "plain", "plain"),
    ])
  func lies(charset: String, encoding: String, body: String, preview: String) {
    let text = "Content-Type: text/plain; charset=\(charset)\nContent-Transfer-Encoding: \(encoding)\n\n\(body)"
    for pieces in [1, 7, Int.max] { #expect(observe(text, pieces: pieces).summary.preview == preview) }
  }

  @Test("HOSTILE 28: overlong UTF-8 and lone surrogates are never the characters they stand for")
  func overlong() {
    let head = Array("Content-Type: text/plain; charset=utf-8\r\n\r\n".utf8)
    // An overlong "<", a surrogate of UTF-16, a character beyond the last, a sequence that is cut off.
    for bytes: [UInt8] in [[0xC0, 0xBC], [0xED, 0xA0, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xE2, 0x82]] {
      let shown = observe(head + [0x61] + bytes + [0x62]).summary.preview
      #expect(shown.hasPrefix("a") && shown.hasSuffix("b") && !shown.contains("<"))
      #expect(shown.dropFirst().dropLast().allSatisfy { $0 == "\u{FFFD}" })
    }
    let subject = observe("Subject: =?utf-8?q?a=C0=BCb=ED=A0=80?= =?utf-7?q?+ADw-?= =?utf-8?b?/////w==?=\n\n").summary
    #expect(!string(subject.envelope).contains("<"))
  }

  @Test("HOSTILE 28: 50 MB of soft breaks cost no more than their reading")
  func softBreaks() {
    var observer = MessageObserver()
    observer.observe(ByteBuffer(string: "Content-Transfer-Encoding: quoted-printable\r\n\r\n"))
    let page = ByteBuffer(string: String(repeating: "=\r\n", count: 21_845))
    for _ in 0..<763 { observer.observe(page) }
    let seen = observer.finish()
    #expect(seen.problem == nil && seen.summary.preview.isEmpty && seen.census.size > 50_000_000)
  }

  @Test("HOSTILE 31: a Message-ID of 1 MB or with a line break, and 100,000 References, do no harm; of those that fit 100 are kept")
  func references() {
    let long = observe("Message-ID: <\(String(repeating: "a", count: 1_000_000))>\n\n")
    #expect(long.problem == .fieldTooLong(limit: 262_144) && long.summary.messageID == nil)
    #expect(observe("Message-ID: <\(String(repeating: "a", count: 200_000))>\n\n").summary.messageID == nil)
    for broken in ["<a\n b@x>", "<a@x\n\ty>", "<a@x\r>", "<a\0@x>"] {
      let id = observe(Array("Message-ID: \(broken.replacing("\n", with: "\r\n"))\r\n\r\n".utf8)).summary.messageID
      #expect(id?.utf8.allSatisfy { $0 > 0x20 } ?? true, "\(broken.debugDescription)")
    }
    func field(_ count: Int) -> String { "References: " + (0..<count).map { "<\($0)@x>" }.joined(separator: "\n ") + "\n\n" }
    #expect(observe(field(100_000)).problem == .fieldTooLong(limit: 262_144))
    let seen = observe(field(20_000))
    #expect(seen.summary.references.count == 100)
    #expect(seen.summary.references.first == "0@x" && seen.summary.references.last == "19999@x")
  }

  @Test("any bytes give an observation, the same however they are cut") func cuts() {
    var state: UInt64 = 11
    let words = [
      "\r\n", "\n", "\r", "--a", "--", "Content-Type: ", "multipart/mixed; boundary=a", "message/rfc822", "text/plain", ": ",
      "From: ", "a@b", "\0",
      "é", " ", "\t", "=?utf-8?q?x?=", "\r\n\r\n", "Content-Transfer-Encoding: base64", "(", "\"", ";", "x", "--a--", "\r\n--a\r\n",
      ">", "<",
    ]
    for _ in 0..<500 {
      var text = ""
      for _ in 0..<40 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        text += words[Int(state >> 40) % words.count]
      }
      let bytes = Array(text.utf8)
      let whole = observe(bytes)
      expectBalanced(whole.summary.bodyStructure)
      for piece in [1, 3, 10] {
        let cut = observe(bytes, pieces: piece)
        #expect(cut.summary == whole.summary && cut.census == whole.census && cut.facts == whole.facts, "\(text.debugDescription)")
        #expect(cut.parts == whole.parts && cut.ambiguities == whole.ambiguities)
      }
      for part in whole.parts {
        #expect(part.headerStart <= part.bodyStart && part.bodyStart <= part.bodyEnd && part.bodyEnd <= bytes.count)
      }
    }
  }

  /// Parentheses outside of strings are balanced, and the whole is one list.
  func expectBalanced(_ structure: [UInt8]) {
    var depth = 0
    var isQuoted = false
    var index = 0
    while index < structure.count {
      let byte = structure[index]
      index += 1
      if isQuoted {
        if byte == 0x5C { index += 1 } else if byte == 0x22 { isQuoted = false }
      } else if byte == 0x22 {
        isQuoted = true
      } else if byte == 0x7B {
        let end = structure[index...].firstIndex(of: 0x7D) ?? structure.count
        index = end + 3 + (Int(string(Array(structure[index..<end]))) ?? 0)
      } else if byte == 0x28 {
        depth += 1
      } else if byte == 0x29 {
        depth -= 1
        if depth == 0 { #expect(index == structure.count) }
      }
    }
    #expect(depth == 0 && !structure.isEmpty)
  }
}
