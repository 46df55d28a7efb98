import InternetMessage
import Outside
import Testing

@testable import Routing

@Suite struct MXTests {
  @Test("hosts come by preference, equals in an order that chance decides and the seed repeats")
  func order() async {
    let zone: [(String, DNSRecordType, DNSAnswer)] = [
      ("d.test", .mx, .mx([(20, "c.test"), (10, "a.test"), (10, "b.test")])), ("a.test", .a, .addresses(["192.88.1.1"])),
      ("b.test", .a, .addresses(["192.88.1.2"])), ("c.test", .aaaa, .addresses(["2a00::3"])),
    ]
    var firsts: Set<String> = []
    for seed in 0..<20 as Range<UInt64> {
      let hosts = await Router(zone, seed: seed).hosts(of: "d.test")
      #expect(hosts.last == "c.test" && Set(hosts.prefix(2)) == ["a.test", "b.test"])
      #expect(await Router(zone, seed: seed).hosts(of: "d.test") == hosts)
      firsts.insert(hosts[0])
    }
    #expect(firsts.count == 2)
  }

  @Test("a domain without MX is its own host; one that does not exist is refused; null MX is refused")
  func implicitAndNull() async {
    let router = Router([
      ("d.test", .a, .addresses(["192.88.1.1"])), ("null.test", .mx, .mx([(0, "")])), ("empty.test", .txt, .addresses([])),
      ("mixed.test", .mx, .mx([(0, ""), (10, "d.test")])),
    ])
    #expect(await router.hosts(of: "d.test") == ["d.test"])
    #expect(await router.permanent("gone.test") == "550 5.1.2")
    #expect(await router.permanent("null.test") == "556 5.1.10")
    #expect(await router.permanent("empty.test") == "550 5.4.4")
    #expect(await router.hosts(of: "mixed.test") == ["d.test"])
  }

  @Test("HOSTILE 36: a failed or bogus answer is transient, never taken for no record")
  func failures() async {
    let router = Router([
      ("fail.test", .mx, .servfail), ("fail.test", .a, .addresses(["192.88.1.1"])), ("bogus.test", .mx, .bogus),
      ("evil.test", .a, .addresses(["192.88.1.1"])), ("hosts.test", .mx, .mx([(10, "h.test")])), ("h.test", .a, .servfail),
      ("h.test", .aaaa, .servfail), ("b.test", .mx, .mx([(10, "bh.test")])),
      ("bh.test", .a, .addresses(["192.88.1.1"], security: .bogus)),
    ])
    #expect(await router.transient("fail.test")?.hasPrefix("451 4.4.3") == true)
    #expect(await router.transient("bogus.test")?.contains("DNSSEC") == true)
    #expect(await router.transient("hosts.test")?.contains("SERVFAIL") == true)
    #expect(await router.transient("b.test")?.contains("DNSSEC") == true)
  }

  @Test("one family that fails does not stop the other")
  func halfFailure() async {
    let router = Router([
      ("d.test", .mx, .mx([(10, "h.test")])), ("h.test", .aaaa, .servfail), ("h.test", .a, .addresses(["192.88.1.1"])),
    ])
    #expect(await router.hosts(of: "d.test") == ["h.test"])
  }

  @Test("HOSTILE 36: own names and addresses cut everything at or above their preference")
  func loops() async {
    let a = DNSAnswer.addresses(["192.88.1.1"])
    let router = Router(
      [
        ("backup.test", .mx, .mx([(10, "p.test"), (20, "mx.own.test"), (20, "q.test"), (30, "r.test")])), ("p.test", .a, a),
        ("q.test", .a, a), ("r.test", .a, a), ("first.test", .mx, .mx([(10, "OTHER.own.test"), (20, "p.test")])),
        ("address.test", .mx, .mx([(5, "p.test"), (10, "alias.test"), (20, "q.test")])),
        ("alias.test", .a, .addresses(["192.88.9.9"])),
        ("only.test", .mx, .mx([(10, "alias.test")])), ("cname.test", .mx, .mx([(10, "c.test"), (20, "p.test")])),
        ("c.test", .a, .addresses(["192.88.1.7"], canonicalName: "mx.own.test")), ("self.test", .a, .addresses(["192.88.9.9"])),
      ], ownAddresses: ["192.88.9.9"])
    #expect(await router.hosts(of: "backup.test") == ["p.test"])
    #expect(await router.permanent("first.test") == "554 5.4.6")
    #expect(await router.hosts(of: "address.test") == ["p.test"])
    #expect(await router.permanent("only.test") == "554 5.4.6")
    #expect(await router.permanent("cname.test") == "554 5.4.6")
    #expect(await router.permanent("self.test") == "554 5.4.6")
  }

  @Test(
    "HOSTILE 36: internal addresses are refused, public ones beside them used",
    arguments: ["127.0.0.1", "0.0.0.0", "10.1.2.3", "192.168.0.1", "169.254.1.1", "100.64.0.1", "::1", "fe80::1", "fd00::1", "::"])
  func internalAddresses(_ address: String) async {
    let type: DNSRecordType = address.contains(":") ? .aaaa : .a
    let zone: [(String, DNSRecordType, DNSAnswer)] = [
      ("d.test", .mx, .mx([(10, "i.test")])), ("i.test", type, .addresses([address])),
      ("e.test", .mx, .mx([(10, "i.test"), (20, "p.test")])), ("p.test", .a, .addresses(["192.88.1.1"])),
    ]
    #expect(await Router(zone).permanent("d.test") == "550 5.4.4")
    #expect(await Router(zone).hosts(of: "e.test") == ["p.test"])
    #expect(await Router(zone, internal: true).hosts(of: "d.test") == ["i.test"])
  }

  @Test("HOSTILE 36: 500 records are looked at, 20 hosts are looked up, the best of them")
  func many() async {
    let records = (0..<800).map { (UInt16(800 - $0), "h\($0).test") }
    var zone: [(String, DNSRecordType, DNSAnswer)] = [("d.test", .mx, .mx(records))]
    for index in 0..<800 { zone.append(("h\(index).test", .a, .addresses(["192.88.1.1"]))) }
    #expect(await Router(zone).hosts(of: "d.test") == (0..<20).map { "h\(499 - $0).test" })
  }

  @Test("a broken record is ignored, its name never shown as it is")
  func broken() async {
    let answer = DNSAnswer(
      status: .success, canonicalName: "d.test",
      records: [
        [], [0], [0, 10], [0, 10, 63, 65], [0, 10, 3, 97, 10, 98, 0], [0, 10, 3, 97, 46, 98, 0], [0, 10, 1, 97, 0, 0],
        [0, 5, 1, 97],
      ])
    let router = Router([("d.test", .mx, answer), ("d.test", .a, .addresses(["192.88.1.1"]))])
    #expect(await router.permanent("d.test") == "550 5.4.4")
  }

  @Test("a route decides before MX and may lead to loopback; the evidence says so")
  func explicit() async throws {
    let table = try RouteTable([
      .init(pattern: "d.test", nextHop: try NextHop(parsing: "smtp://127.0.0.1:2600")),
      .init(pattern: ".e.test", nextHop: try NextHop(parsing: "lmtp+unix:///run/lmtp")),
      .init(pattern: "f.test", nextHop: try NextHop(parsing: "smtp://relay.test?mx")),
      .init(pattern: "g.test", nextHop: try NextHop(parsing: "smtp://gone.test")),
    ])
    let router = Router(
      [("relay.test", .mx, .mx([(10, "r1.test")])), ("r1.test", .a, .addresses(["10.0.0.1"]))], table: table)
    guard case .route(let route) = await router.route("d.test") else { return #expect(Bool(false)) }
    #expect(route.hosts == [.init(name: "127.0.0.1", endpoints: [.ip(IPAddress(bytes: [127, 0, 0, 1])!, port: 2_600)])])
    #expect(route.evidence.source == "route smtp://127.0.0.1:2600")
    guard case .route(let unix) = await router.route("x.e.test") else { return #expect(Bool(false)) }
    #expect(unix.dialect == .lmtp && unix.hosts.first?.endpoints == [.unix(path: "/run/lmtp")])
    #expect(await router.hosts(of: "f.test") == ["r1.test"])
    #expect(await router.transient("g.test")?.hasPrefix("451 4.4.4") == true)
    #expect(router.group(of: "d.test") == "smtp://127.0.0.1:2600")
    #expect(router.group(of: "other.test") == "other.test")
    #expect(await router.hosts(of: "smtp://127.0.0.9:26") == ["127.0.0.9"])
    #expect(await router.transient("nonsense://x")?.hasPrefix("451 4.3.5") == true)
  }

  @Test("a rerouted destination that is in the table gets the table's credentials")
  func credentials() async throws {
    let table = try RouteTable([.init(pattern: "d.test", nextHop: try NextHop(parsing: "smtp://u:p@192.0.2.1:587"))])
    guard case .route(let route) = await Router([], table: table).route("smtp://u@192.0.2.1:587") else {
      return #expect(Bool(false))
    }
    #expect(route.credentials?.password == "p")
  }

  @Test("address literals go to their address, unless it is internal or our own")
  func literals() async {
    let router = Router([], ownAddresses: ["192.88.9.9"])
    #expect(await router.hosts(of: "[192.88.1.1]") == ["192.88.1.1"])
    #expect(await router.hosts(of: "[ipv6:2a00::1]") == ["2a00::1"])
    #expect(await router.permanent("[127.0.0.1]") == "550 5.4.4")
    #expect(await router.permanent("[192.88.9.9]") == "554 5.4.6")
    #expect(await router.permanent("[what]") == "550 5.1.2")
  }

  @Test("evidence names records, security and time to live, within bounds")
  func evidence() async {
    let router = Router([
      ("d.test", .mx, .mx([(10, "h.test")], security: .secure, ttl: 120)),
      ("h.test", .a, .addresses(["192.88.1.1"], canonicalName: "real.test", security: .secure, ttl: 7)),
    ])
    guard case .route(let route) = await router.route("d.test") else { return #expect(Bool(false)) }
    #expect(route.evidence.source == "mx")
    #expect(route.evidence.records == ["MX 10 h.test", "A h.test (alias of real.test) 192.88.1.1"])
    #expect(route.evidence.security == .secure && route.evidence.timeToLive == 30)
  }

  @Test("two domains with the same hosts share a key; destinations are A-labels in lower case")
  func keys() async {
    let router = Router([
      ("d.test", .mx, .mx([(10, "h.test")])), ("e.test", .mx, .mx([(10, "h.test")])), ("h.test", .a, .addresses(["192.88.1.1"])),
    ])
    guard case .route(let first) = await router.route("d.test"), case .route(let second) = await router.route("e.test") else {
      return #expect(Bool(false))
    }
    #expect(first.key == second.key)
    #expect(Router.destination(of: EmailAddress(localPart: "a", domain: "Bücher.Example")) == "xn--bcher-kva.example")
  }
}
