import Glibc
import Outside
import Testing

@testable import MartletServer

/// libunbound against a real server on loopback.
@Suite(.serialized) struct ResolverTests {
  @Test("answers, chains, loops of names, truncation, absences and failures of a real server are mapped (HOSTILE 36)")
  func maps() async throws {
    let knot = try #require(await KnotServer.start())
    defer { knot.stop() }
    let resolver = try UnboundResolver(ResolverConfiguration(servers: [knot.endpoint], trustAnchors: .none))
    func ask(_ name: String, _ type: DNSRecordType) async -> DNSAnswer { await resolver.resolve(DNSQuestion(name, type)) }

    let mx = await ask("plain.test", .mx)
    #expect(mx.status == .success && mx.records.count == 2 && mx.security == .insecure)
    #expect(mx.records.contains([0, 10] + [3] + Array("mx1".utf8) + [5] + Array("plain".utf8) + [4] + Array("test".utf8) + [0]))
    #expect(mx.timeToLive > 0 && mx.timeToLive <= 300)
    let chain = await ask("one.plain.test", .a)
    #expect(chain.records == [[192, 0, 2, 2]] && chain.canonicalName == "mx2.plain.test")
    let empty = await ask("mx1.plain.test", .aaaa)
    #expect(empty.status == .success && empty.records.isEmpty)
    #expect(await ask("nobody.plain.test", .a).status == .noSuchName)
    #expect(await ask("dangling.plain.test", .a).status == .noSuchName)
    let many = await ask("many.plain.test", .txt)
    #expect(many.records.count == 500 && many.truncated)
    for name in ["broken.test", "elsewhere.example", "loop.plain.test"] {
      guard case .failure = await ask(name, .a).status else {
        Issue.record("\(name) was answered")
        continue
      }
    }
    #expect(await ask(String(repeating: "a.", count: 200), .a).status == .failure("not a domain name"))
    #expect(resolver.isValidating == false)
    resolver.stop()
    #expect(await ask("plain.test", .mx).status == .failure("the resolver is stopped"))
  }

  @Test("a signed zone is secure under its trust anchor, and bogus under another's (HOSTILE 36)")
  func validates() async throws {
    let knot = try #require(await KnotServer.start())
    defer { knot.stop() }
    #expect(!knot.anchors.isEmpty)
    let resolver = try UnboundResolver(ResolverConfiguration(servers: [knot.endpoint], trustAnchors: .records(knot.anchors)))
    let mx = await resolver.resolve(DNSQuestion("signed.test", .mx))
    #expect(mx.status == .success && mx.security == .secure && mx.records.count == 2)
    let absent = await resolver.resolve(DNSQuestion("nobody.signed.test", .a))
    #expect(absent.status == .noSuchName && absent.security == .secure)
    #expect(await resolver.resolve(DNSQuestion("plain.test", .mx)).security == .insecure)

    let wrong = ["signed.test. DS 1 13 2 \(String(repeating: "00", count: 32))"]
    let other = try UnboundResolver(ResolverConfiguration(servers: [knot.endpoint], trustAnchors: .records(wrong)))
    let bogus = await other.resolve(DNSQuestion("signed.test", .mx))
    #expect(bogus.security == .bogus && bogus.records.isEmpty)
    guard case .failure = bogus.status else {
      Issue.record("a bogus answer was used")
      return
    }
  }

  @Test("servers without a signed root are used unvalidated")
  func automatic() async throws {
    let knot = try #require(await KnotServer.start())
    defer { knot.stop() }
    let resolver = try UnboundResolver(ResolverConfiguration(servers: [knot.endpoint]))
    async let first = resolver.resolve(DNSQuestion("plain.test", .mx))
    async let second = resolver.resolve(DNSQuestion("signed.test", .mx))
    #expect(await first.records.count == 2)
    #expect(await second.records.count == 2)
    #expect(resolver.isValidating == false)
  }

  @Test("a server that never answers ends in a time-out; equal questions are one; too many are refused")
  func silence() async throws {
    let (silent, port) = try Self.boundSocket()
    defer { close(silent) }
    var configuration = ResolverConfiguration(servers: [.ip(KnotServer.loopback, port: port)], trustAnchors: .none)
    configuration.timeLimit = .milliseconds(300)
    configuration.outstanding = 1
    let resolver = try UnboundResolver(configuration)
    await withTaskGroup(of: DNSAnswer.Status.self) { group in
      for _ in 0..<3 { group.addTask { await resolver.resolve(DNSQuestion("x.plain.test", .a)).status } }
      for await status in group { #expect(status == .failure("timed out")) }
    }
    let statuses = await withTaskGroup(of: DNSAnswer.Status.self) { group in
      for name in ["a.test", "b.test", "c.test"] { group.addTask { await resolver.resolve(DNSQuestion(name, .a)).status } }
      return await group.reduce(into: []) { $0.append($1) }
    }
    #expect(statuses.contains(.failure("too many questions at a time")))
    #expect(statuses.contains(.failure("timed out")))
  }

  /// A UDP socket on a free port of loopback.
  private static func boundSocket() throws -> (descriptor: CInt, port: UInt16) {
    let descriptor = socket(AF_INET, CInt(SOCK_DGRAM.rawValue), 0)
    let (_, address, length) = try #require(Endpoint.ip(KnotServer.loopback, port: 0).socketAddressBytes)
    address.withUnsafeBytes { bytes in
      if let base = bytes.baseAddress { bind(descriptor, base.assumingMemoryBound(to: sockaddr.self), length) }
    }
    var storage = [UInt8](repeating: 0, count: 16)
    var size = socklen_t(16)
    storage.withUnsafeMutableBytes { bytes in
      if let base = bytes.baseAddress { getsockname(descriptor, base.assumingMemoryBound(to: sockaddr.self), &size) }
    }
    return (descriptor, UInt16(storage[2]) << 8 | UInt16(storage[3]))
  }

  /// What a server says to a query for an A record: 192.0.2.66 and, but for `lie`, what it should.
  private static func reply(to query: ArraySlice<UInt8>, lie: String) -> [UInt8] {
    var query = Array(query)
    guard query.count > 16, let end = query[12...].firstIndex(of: 0), end + 5 <= query.count else { return [] }
    query.removeSubrange((end + 5)...)
    query.replaceSubrange(2..<12, with: [0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0])
    switch lie {
    case "another id": query[0] ^= 0xFF
    case "another name": query[13] ^= 0x01
    case "another type": query[end + 2] = 16
    default: break
    }
    return query + [0xC0, 12, 0, 1, 0, 1, 0, 0, 1, 44, 0, 4, 192, 0, 2, 66]
  }

  @Test(
    "an answer to another question or under another id is never taken for ours (HOSTILE 36)",
    arguments: ["nothing", "another id", "another name", "another type"])
  func liars(lie: String) async throws {
    let (descriptor, port) = try Self.boundSocket()
    let liar = ThreadWorker(named: "liar")
    liar.submit {
      var buffer = [UInt8](repeating: 0, count: 1_000)
      var from = sockaddr()
      while true {
        var size = socklen_t(MemoryLayout<sockaddr>.size)
        let count = recvfrom(descriptor, &buffer, buffer.count, 0, &from, &size)
        guard count > 0 else { return }
        let text = Self.reply(to: buffer[..<count], lie: lie)
        _ = sendto(descriptor, text, text.count, 0, &from, size)
      }
    }
    var configuration = ResolverConfiguration(servers: [.ip(KnotServer.loopback, port: port)], trustAnchors: .none)
    configuration.timeLimit = .seconds(lie == "nothing" ? 20 : 1)
    let resolver = try UnboundResolver(configuration)
    let answer = await resolver.resolve(DNSQuestion("host.plain.test", .a))
    #expect(answer.records == (lie == "nothing" ? [[192, 0, 2, 66]] : []), "\(answer)")
    if lie != "nothing", case .success = answer.status { Issue.record("\(answer)") }
    resolver.stop()
    shutdown(descriptor, CInt(SHUT_RDWR))
    liar.stop()
    close(descriptor)
  }
}
