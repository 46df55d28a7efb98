import Testing

@testable import Sessions

@Suite("Memory for what comes in")
struct ContentMemoryTests {
  private static func message(headerOctets: Int) -> [String] {
    let field = "Subject: " + String(repeating: "x", count: 900)
    let long = (0..<max(headerOctets / 900, 1)).map { $0 == 0 ? field : " " + String(repeating: "y", count: 900) }
    return ["MAIL FROM:<carol@elsewhere.test>", "RCPT TO:<alice@example.test>", "DATA"] + long + ["", "text", "."]
  }

  @Test("over the budget of all sessions a large header is put off, a small one never, and what was held is given back")
  func budget() throws {
    let memory = ContentMemory(limit: 60_000)
    var rig = Rig()
    rig.contentMemory = memory
    let (replies, count) = try rig.run { house in
      let peer = ScriptedPeer(
        lines: ["EHLO client.test"] + Self.message(headerOctets: 100_000) + Self.message(headerOctets: 900)
          + Self.message(headerOctets: 20_000) + ["QUIT"])
      await house.talk(peer)
      return (peer.replies, try await house.bodies(of: "alice").count)
    }
    let results = replies.filter { $0.hasPrefix("452 4.3.1") || $0.contains("queued as") }
    #expect(results.map { String($0.prefix(3)) } == ["452", "250", "250"])
    #expect(count == 2)
    #expect(memory.octets == 0)
  }

  @Test("messages share the budget; what one gives back another may take")
  func shared() {
    let memory = ContentMemory(limit: 40_000)
    do {
      var first = ContentShare(of: memory)
      var second = ContentShare(of: memory)
      let holdsLittle = first.hold(8_000)
      #expect(holdsLittle && memory.octets == 0)
      let holdsMuch = first.hold(30_000)
      #expect(holdsMuch && memory.octets == 32_768)
      let isOver = second.hold(20_000)
      #expect(!isOver && memory.octets == 32_768)
      let isUncounted = second.hold(8_192)
      #expect(isUncounted)
    }
    #expect(memory.octets == 0)
    var third = ContentShare(of: memory)
    let mayNow = third.hold(30_000)
    #expect(mayNow && memory.octets == 32_768)
  }
}
