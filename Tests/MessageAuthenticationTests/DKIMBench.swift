import Glibc
import Testing

@testable import MessageAuthentication

/// Figures for docs/decisions/0012-dkim-by-openssl.md, not a test. Runs when `MARTLET_DKIM_BENCH` is set.
@Suite struct DKIMBench {
  static let line = "This is a line of a usual message of some seventy octets, is it not?\n"

  @Test("measures", .enabled(if: getenv("MARTLET_DKIM_BENCH") != nil))
  func measures() throws {
    let large = mail(String(repeating: Self.line, count: 290_000))
    for canonicalization in Canonicalization.allCases {
      let start = clock()
      var hasher = BodyHasher([BodyHashKind(canonicalization)])
      hasher.update(large)
      #expect(hasher.finish()[BodyHashKind(canonicalization)]?.octets == UInt64(large.count))
      print("bodies, \(canonicalization): \(large.count / (clock() - start)) MB/s of CPU time")
    }
    let message = letter + mail(String(repeating: Self.line, count: 58))
    let both = try DKIMSigner.both()
    for keys in [[], [both.keys[0]], [both.keys[1]]] {
      let signer = try #require(DKIMSigner(domain: both.domain, keys: keys))
      let what = keys.first.map { "\($0.key)" } ?? "no key"
      let count = 2_000
      var start = clock()
      for _ in 0..<count { _ = try signer.signed(message) }
      print("signing \(message.count) octets, \(what): \((clock() - start) / count) us of CPU time")
      let signed = try signer.signed(message)
      let answers = signer.answers
      start = clock()
      for _ in 0..<count { _ = verify(signed, answers) }
      print("verifying, \(what): \((clock() - start) / count) us of CPU time")
    }
    let fields = mail((0..<4).map { _ in "X: " + String(repeating: "word ", count: 50_000) + "\n" }.joined())
    let header = fields + letter
    let one = try VerifierTests.signed("v=1; a=ed25519-sha256; d=example.org; s=s; h=from:x:x:x:x; c=relaxed", header)
    let worst = Array(repeatElement(one[..<(one.count - header.count)], count: 10).joined()) + header
    let start = clock()
    #expect(verify(worst, record: VerifierTests.record).map(\.result) == Array(repeating: .pass, count: 10))
    print("ten signatures over a header of \(worst.count) octets: \((clock() - start) / 1_000) ms of CPU time")
  }
}
