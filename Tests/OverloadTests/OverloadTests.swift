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
    overload.setIdle(busy, since: nil)
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
