import Identity
import Outside
import Testing

struct PasswordHashTests {
  struct Counting: RandomSource {
    func next() -> UInt64 { 0x0102_0304_0506_0708 }
  }

  private let cheap = PasswordLimits(memory: 64, passes: 1)

  @Test("a password fits its own hash and no other does")
  func roundTrip() throws {
    let hash = try PasswordHash.make(of: Array("correct horse".utf8), random: Counting())
    #expect(hash.hasPrefix("$argon2id$v=19$m=19456,t=2,p=1$"))
    #expect(PasswordHash.verify(Array("correct horse".utf8), against: hash))
    #expect(!PasswordHash.verify(Array("correct horsf".utf8), against: hash))
    #expect(!PasswordHash.verify([], against: hash))
  }

  @Test("hashes made elsewhere with other costs are understood")
  func foreign() {
    // From the argon2 command: echo -n password | argon2 somesalt -id -t 2 -m 8 -p 1 -e
    let hash = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
    #expect(PasswordHash.verify(Array("password".utf8), against: hash))
  }

  @Test(
    "what is no hash fits nothing",
    arguments: ["", "plain", "$argon2id$", "$argon2id$v=19$m=64,t=1,p=1$AAAA", "$2y$10$abcdefghijklmnopqrstuv"])
  func garbage(hash: String) { #expect(!PasswordHash.verify(Array("plain".utf8), against: hash)) }

  @Test("empty and overlong passwords are refused")
  func bounds() {
    #expect(throws: PasswordHash.Problem.empty) { try PasswordHash.make(of: [], random: Counting()) }
    #expect(throws: PasswordHash.Problem.tooLong(limit: 1_024)) {
      try PasswordHash.make(
        of: [UInt8](repeating: 1, count: 1_025), random: Counting(), limits: PasswordLimits(memory: 64, passes: 1))
    }
  }
}
