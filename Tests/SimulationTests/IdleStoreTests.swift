import MailModel
import MailStore
import MartletSimulation
import Outside
import Testing

@Suite("An idle store")
struct IdleStoreTests {
  @Test("an idle store leaves the disk alone, however often its queue is looked at")
  func idle() throws {
    let world = SimulatedStore(seed: 1, recording: false)
    let store = try world.executor.run {
      let store = try await world.open()
      try await store.addDomain(Domain(name: "example.test", kind: .local))
      return store
    }
    let looks = 2_000
    let requests = try world.executor.run { () async throws -> [Int] in
      var requests: [Int] = []
      for _ in 0..<looks {
        let now = world.executor.clock.now()
        _ = try await store.claimDue(now: now, limit: 10, leaseEnd: now.advanced(by: .seconds(60)))
        await world.executor.sleep(until: world.executor.clock.monotonic().advanced(by: .seconds(60)))
        requests.append(world.disk.requests)
      }
      return requests
    }
    // What the last change left to be done is done within minutes.
    #expect(requests.last == requests[10], "\(requests[10]) and then \(requests.last ?? 0)")
    try world.executor.run { await store.close() }
  }
}
