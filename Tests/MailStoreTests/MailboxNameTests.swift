import Testing

@testable import MailStore

@Suite struct MailboxNameTests {
  @Test("a name that NFC makes longer than the bound is refused: what is kept can be said again")
  func longerInNFC() throws {
    let limits = StoreLimits()
    // U+0958 is two code points in NFC.
    func name(levels: Int) -> String {
      Array(repeating: String(repeating: "\u{958}", count: 30), count: levels).joined(separator: "/")
    }
    let kept = try MailboxName.checked(name(levels: 5), limits)
    #expect(try MailboxName.checked(kept, limits) == kept)
    #expect(name(levels: 6).utf8.count < limits.mailboxName)
    #expect(throws: StoreError.self) { try MailboxName.checked(name(levels: 6), limits) }
  }
}
