import InternetMessage
import MailModel
import Outside
import SMTP
import Testing

@testable import Reception

/// The field that is put on top.
@Suite("Received")
struct ReceivedFieldTests {
  private static func text(
    _ change: (inout Client) -> Void = { _ in }, recipient: EmailAddress? = nil, allowsUTF8: Bool = false, isUnix: Bool = false
  ) throws -> String {
    let address = try #require(IPAddress("192.0.2.1"))
    let remote = isUnix ? Endpoint.unix(path: "/x") : .ip(address, port: 1)
    var client = Client(remote: remote, local: remote, isTrusted: false, isProxy: false, mayUseXCLIENT: false)
    client.heloName = "client.test"
    change(&client)
    let field = ReceivedField(
      client: client, hostname: "mx.example.test", id: QueueID(rawValue: 1), onlyRecipient: recipient, allowsUTF8: allowsUTF8,
      time: Timestamp(seconds: 0))
    let bytes = field.bytes
    #expect(bytes.contains { $0 >= 0x80 } == field.isUTF8)
    return String(decoding: bytes, as: UTF8.self)
  }

  @Test("names beyond ASCII become A-labels, others that are none are left out")
  func names() throws {
    #expect(
      try Self.text { $0.hostName = "b\u{FC}cher.test" }.hasPrefix(
        "Received: from client.test (xn--bcher-kva.test [192.0.2.1])\r\n"))
    #expect(try Self.text { $0.heloName = "b\u{FC}cher.test" }.hasPrefix("Received: from xn--bcher-kva.test ([192.0.2.1])\r\n"))
    for odd in ["a(b)c\"d", "a b", "a\\", "", "x\u{FC}(", String(repeating: "a", count: 256)] {
      #expect(try Self.text { $0.hostName = odd }.hasPrefix("Received: from client.test ([192.0.2.1])\r\n"), "\(odd)")
      #expect(try Self.text { $0.heloName = odd }.hasPrefix("Received: from [192.0.2.1] ([192.0.2.1])\r\n"), "\(odd)")
    }
  }

  @Test("a recipient beyond ASCII is named only where the mail stays here, or in A-labels")
  func recipients() throws {
    let local = EmailAddress(localPart: "\u{FC}", domain: "example.test")
    let domain = EmailAddress(localPart: "u", domain: "b\u{FC}cher.test")
    #expect(!(try Self.text(recipient: local).contains("for <")))
    #expect(try Self.text(recipient: local, allowsUTF8: true).contains("\r\n\tfor <\u{FC}@example.test>;"))
    #expect(try Self.text(recipient: domain).contains("\r\n\tfor <u@xn--bcher-kva.test>;"))
  }

  @Test("a Unix socket has no address, and none is made up")
  func unix() throws {
    #expect(try Self.text(isUnix: true).hasPrefix("Received: from client.test (Unix socket)\r\n"))
    #expect(try Self.text({ $0.heloName = "?" }, isUnix: true).hasPrefix("Received: from localhost (Unix socket)\r\n"))
  }
}
