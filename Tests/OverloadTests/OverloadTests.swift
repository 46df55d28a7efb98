import Outside
import Synchronization
import Testing

@testable import Overload

final class HandClock: Clock {
  let time = Mutex(MonotonicInstant(nanoseconds: 600_000_000_000))
  func now() -> Timestamp { Timestamp(seconds: 0) }
  func monotonic() -> MonotonicInstant { time.withLock { $0 } }
  func advance(_ duration: Duration) { time.withLock { $0 = $0.advanced(by: duration) } }
}

private func endpoint(_ bytes: [UInt8]) throws -> Endpoint { .ip(try #require(IPAddress(bytes: bytes)), port: 40_000) }

private func ticket(_ admission: Overload.Admission) -> Overload.Ticket? {
  if case .admitted(let ticket) = admission { return ticket }
  return nil
}

@Suite("Overload")
struct OverloadTests {
  @Test("HOSTILE 10: a client gets no more than its cap, and a place again when one leaves")
  func perClient() throws {
    let overload = Overload(limits: OverloadLimits(connectionsPerClient: 2), clock: HandClock())
    let client = try endpoint([192, 0, 2, 1])
    let first = try #require(ticket(overload.admit(client) {}))
    #expect(ticket(overload.admit(client) {}) != nil)
    guard case .tooManyFromClient = overload.admit(client, shed: {}) else { throw Unexpected() }
    #expect(ticket(overload.admit(try endpoint([192, 0, 2, 2])) {}) != nil)
    overload.leave(first)
    #expect(ticket(overload.admit(client) {}) != nil)
  }

  @Test("HOSTILE 10: the addresses of one /64 share a cap")
  func perPrefix() throws {
    let overload = Overload(limits: OverloadLimits(connectionsPerClient: 1), clock: HandClock())
    var address: [UInt8] = [0x20, 0x01, 0x0D, 0xB8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1]
    #expect(ticket(overload.admit(try endpoint(address)) {}) != nil)
    address[15] = 2
    guard case .tooManyFromClient = overload.admit(try endpoint(address), shed: {}) else { throw Unexpected() }
    address[7] = 2
    #expect(ticket(overload.admit(try endpoint(address)) {}) != nil)
  }

  @Test("HOSTILE 10: at the cap of the whole the longest idle session goes, and a busy one never")
  func shedding() throws {
    let clock = HandClock()
    let overload = Overload(limits: OverloadLimits(connectionsPerClient: 0, connections: 2, idleBeforeShedding: 5), clock: clock)
    let shed = Mutex<[Int]>([])
    let busy = try #require(ticket(overload.admit(try endpoint([192, 0, 2, 1])) { shed.withLock { $0.append(1) } }))
    busy.works()
    clock.advance(.seconds(1))
    let idle = try #require(ticket(overload.admit(try endpoint([192, 0, 2, 2])) { shed.withLock { $0.append(2) } }))
    guard case .tooManyInAll = overload.admit(try endpoint([192, 0, 2, 3]), shed: {}) else { throw Unexpected() }
    clock.advance(.seconds(6))
    #expect(ticket(overload.admit(try endpoint([192, 0, 2, 3])) {}) != nil)
    #expect(shed.withLock { $0 } == [2])
    overload.leave(idle)
    #expect(overload.census.sessions == 2)
    #expect(overload.census.shedSessions == 1)
  }

  @Test(
    "HOSTILE 10: by default one /64 gets 20 of 500 places, 10,000 idle clients fit, and the next takes the place of the longest idle"
  )
  func defaults() throws {
    let clock = HandClock()
    let overload = Overload(limits: OverloadLimits(), clock: clock)
    func address(_ prefix: Int, _ host: Int) throws -> Endpoint {
      let numbers = [prefix >> 8 & 255, prefix & 255] + [0, 0, 0, 0, 0, 0, host >> 8 & 255, host & 255]
      return try endpoint([0x20, 0x01, 0x0D, 0xB8, 0, 0] + numbers.map { UInt8($0) })
    }
    let admitted = try (0..<500).compactMap { ticket(overload.admit(try address(60_000, $0)) {}) }
    #expect(admitted.count == 20)
    let shed = Mutex<[Int]>([])
    for number in 0..<(10_000 - 20) {
      #expect(ticket(overload.admit(try address(number, 1)) { shed.withLock { $0.append(number) } }) != nil)
      clock.advance(.microseconds(1))
    }
    for ticket in admitted { ticket.works() }
    guard case .tooManyInAll = overload.admit(try address(50_000, 1), shed: {}) else { throw Unexpected() }
    clock.advance(.seconds(6))
    for number in 0..<3 { #expect(ticket(overload.admit(try address(50_000 + number, 1)) {}) != nil) }
    #expect(shed.withLock { $0 } == [0, 1, 2])
  }

  @Test("who waits again after work is idle from then on, and who is shed is not chosen twice")
  func idleness() throws {
    let clock = HandClock()
    let overload = Overload(limits: OverloadLimits(connectionsPerClient: 0, connections: 2, idleBeforeShedding: 5), clock: clock)
    let shed = Mutex<[Int]>([])
    let tickets = try (1...2).map { number in
      try #require(ticket(overload.admit(try endpoint([192, 0, 2, UInt8(number)])) { shed.withLock { $0.append(number) } }))
    }
    clock.advance(.seconds(10))
    tickets[0].works()
    tickets[0].waits(since: clock.monotonic())
    clock.advance(.seconds(10))
    for number in 3...4 {
      #expect(ticket(overload.admit(try endpoint([192, 0, 2, UInt8(number)])) { shed.withLock { $0.append(number) } }) != nil)
    }
    #expect(shed.withLock { $0 } == [2, 1])
    guard case .tooManyInAll = overload.admit(try endpoint([192, 0, 2, 5]), shed: {}) else { throw Unexpected() }
  }

  @Test("an exempt client is counted by nobody, but for the cap of the whole")
  func exempt() throws {
    let limits = OverloadLimits(connectionsPerClient: 1, connections: 3, messagesPerClientPerMinute: 1)
    let overload = Overload(limits: limits, clock: HandClock())
    let client = try endpoint([192, 0, 2, 1])
    for _ in 0..<3 {
      let exempt = try #require(ticket(overload.admit(client, isExempt: true) {}))
      for _ in 0..<5 { #expect(overload.countMessage(from: exempt)) }
    }
    guard case .tooManyInAll = overload.admit(client, isExempt: true, shed: {}) else { throw Unexpected() }
  }

  @Test("a session that turns out to be another client's counts as that one's, and is refused where that one has too many")
  func reassigned() throws {
    let limits = OverloadLimits(connectionsPerClient: 1, messagesPerClientPerMinute: 1)
    let overload = Overload(limits: limits, clock: HandClock())
    let front = try endpoint([192, 0, 2, 1])
    let client = try endpoint([203, 0, 113, 7])
    let first = try #require(ticket(overload.admit(front, isExempt: true) {}))
    let second = try #require(ticket(overload.admit(front, isExempt: true) {}))
    #expect(overload.reassign(first, to: client, isExempt: false))
    #expect(overload.reassign(first, to: client, isExempt: false))
    #expect(!overload.reassign(second, to: client, isExempt: false))
    #expect(overload.countMessage(from: first))
    #expect(!overload.countMessage(from: first))
    #expect(overload.countMessage(from: second))
    #expect(overload.reassign(first, to: try endpoint([203, 0, 113, 8]), isExempt: false))
    #expect(overload.reassign(second, to: client, isExempt: false))
    #expect(!overload.countMessage(from: second), "the minute of a client does not end with its connection")
    overload.leave(first)
    overload.leave(second)
    #expect(ticket(overload.admit(client) {}) != nil)
  }

  @Test("a client's messages are counted over a sliding minute")
  func rate() throws {
    let clock = HandClock()
    let overload = Overload(limits: OverloadLimits(messagesPerClientPerMinute: 10), clock: clock)
    let client = try #require(ticket(overload.admit(try endpoint([192, 0, 2, 1])) {}))
    for _ in 0..<10 { #expect(overload.countMessage(from: client)) }
    #expect(!overload.countMessage(from: client))
    clock.advance(.seconds(60))
    #expect(!overload.countMessage(from: client))
    clock.advance(.seconds(30))
    let allowed = (0..<10).filter { _ in overload.countMessage(from: client) }.count
    #expect(allowed == 5)
    clock.advance(.seconds(150))
    #expect(overload.countMessage(from: client))
  }

  @Test("zero means unlimited")
  func unlimited() throws {
    let limits = OverloadLimits(connectionsPerClient: 0, connections: 0, messagesPerClientPerMinute: 0)
    let overload = Overload(limits: limits, clock: HandClock())
    for _ in 0..<500 {
      let ticket = try #require(ticket(overload.admit(try endpoint([192, 0, 2, 1])) {}))
      #expect(overload.countMessage(from: ticket))
    }
  }

  @Test("HOSTILE 10: the table of clients stays bounded, and forgets nobody who is connected")
  func bounded() throws {
    let overload = Overload(limits: OverloadLimits(clientsRemembered: 100), clock: HandClock())
    let kept = try #require(ticket(overload.admit(try endpoint([198, 51, 100, 1])) {}))
    for number in 0..<1_000 {
      let passing = try #require(ticket(overload.admit(try endpoint([10, 0, UInt8(number / 256), UInt8(number % 256)])) {}))
      _ = overload.countMessage(from: passing)
      overload.leave(passing)
    }
    #expect(overload.census.clients <= 101)
    overload.leave(kept)
    #expect(overload.census.sessions == 0)
  }
}

struct Unexpected: Error {}
