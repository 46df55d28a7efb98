import Testing

@testable import MailStore

extension StoreUnderTest: StoreFactory {
  func forgetChanges(in store: any MailStore) async throws {
    clock.advance(seconds: 2_592_001)
    _ = try await (store as? SQLiteStore)?.group.perform { writer, _ in try writer.retain(isShort: false) }
  }

  func open() async throws(StoreError) -> any MailStore { try await openSQLite() }
}

@Suite("The embedded store conforms")
struct ConformanceTests {
  @Test("random operations agree with a model, also after opening again", arguments: UInt64(1)...12)
  func model(seed: UInt64) async throws {
    let wrong = try await StoreConformance.agreesWithModel(StoreUnderTest(), seed: seed, steps: 360)
    #expect(wrong.isEmpty, "\(wrong.joined(separator: "; "))")
  }

  @Test("with tiny pages and bodies in segments it agrees as well", arguments: UInt64(100)...103)
  func modelWithTinyPages(seed: UInt64) async throws {
    let place = try StoreUnderTest { limits in
      limits.page = 3
      limits.inlineBody = 300
      limits.cachedAccounts = 1
      limits.checkpointPages = 20
      limits.restartPages = 60
    }
    let wrong = try await StoreConformance.agreesWithModel(place, seed: seed, steps: 240)
    #expect(wrong.isEmpty, "\(wrong.joined(separator: "; "))")
  }

  @Test("every value comes out as it was put in")
  func values() async throws {
    let wrong = try await StoreConformance.keepsEveryValue(StoreUnderTest())
    #expect(wrong.isEmpty, "\(wrong.joined(separator: "; "))")
  }

  @Test("changes that are forgotten are stale")
  func staleness() async throws {
    let wrong = try await StoreConformance.tellsStaleness(StoreUnderTest())
    #expect(wrong.isEmpty, "\(wrong.joined(separator: "; "))")
  }

  @Test("writers at once get every UID once")
  func writers() async throws {
    let wrong = try await StoreConformance.keepsWritersApart(StoreUnderTest(), tasks: 12, each: 40)
    #expect(wrong.isEmpty, "\(wrong.joined(separator: "; "))")
  }

  @Test("a refusal leaves nothing and harms no neighbour")
  func refusal() async throws {
    let wrong = try await StoreConformance.refusesWhole(StoreUnderTest())
    #expect(wrong.isEmpty, "\(wrong.joined(separator: "; "))")
  }
}
