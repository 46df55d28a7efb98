import InternetMessage
import MailModel
import MailStore
import Outside

/// Makes stores of one kind: `open` gives the same one again after `close`.
protocol StoreFactory: Sendable {
  func open() async throws(StoreError) -> any MailStore
  /// Lets so much time pass that the expunge log of an open store forgets everything.
  func forgetChanges(in store: any MailStore) async throws
}

/// The suite that every back end must pass. Each function gives what was wrong; empty is right.
enum StoreConformance {
  /// Random operations compared with a model after every few, also after opening again; then everything verified.
  static func agreesWithModel(_ factory: any StoreFactory, seed: UInt64, steps: Int) async throws -> [String] {
    var operations = RandomOperations(seed: seed, store: try await factory.open())
    try await operations.begin()
    for step in 0..<steps {
      var wrong: [String] = []
      do {
        wrong = try await operations.step()
      } catch {
        wrong = ["\(error)"]
      }
      if step % 10 == 9 { wrong += try await operations.model.compare(with: operations.store) }
      if step % 60 == 59 {
        await operations.store.close()
        operations.reopened(try await factory.open())
        wrong += try await operations.model.compare(with: operations.store)
      }
      guard wrong.isEmpty else {
        await operations.store.close()
        return wrong.map { "seed \(seed), step \(step): \($0)" }
      }
    }
    let report = try await operations.store.verify { _ in }
    await operations.store.close()
    return report.problems.map { "seed \(seed): \($0.what)" }
  }

  /// Many tasks write to two mailboxes at once: every UID is given once, in order, and nothing is lost.
  static func keepsWritersApart(_ factory: any StoreFactory, tasks: Int, each: Int) async throws -> [String] {
    let store = try await factory.open()
    let account = try await store.makeAccount("busy@example.test")
    let inbox = try await store.mailbox("INBOX", of: account.id)
    let trash = try await store.mailbox("Trash", of: account.id)
    let given = try await withThrowingTaskGroup(of: [UInt32].self) { group in
      for task in 0..<tasks {
        group.addTask {
          var uids: [UInt32] = []
          for index in 0..<each {
            let number = UInt64(task * each + index + 1)
            let receipt = try await store.accept(
              Make.acceptance(number, to: [Make.delivery(account)]), body: Make.body(50), claiming: false)
            uids += receipt.deliveries.map(\.uid.rawValue)
            if index % 3 == 0, let uid = receipt.deliveries.first?.uid {
              _ = try await store.setFlags(.add(Flags([.deleted])), of: [uid], in: inbox.id, unchangedSince: nil)
              _ = try await store.move([uid], from: inbox.id, to: trash.id)
            }
          }
          return uids
        }
      }
      return try await group.reduce(into: []) { $0 += $1 }
    }
    var wrong: [String] = []
    if given.sorted() != (1...UInt32(tasks * each)).map({ $0 }) { wrong.append("UIDs were given twice or left out") }
    let moved = tasks * ((each + 2) / 3)
    let boxes = try await store.mailboxes(of: account.id)
    if boxes.first(where: { $0.name == "INBOX" })?.messages != tasks * each - moved { wrong.append("INBOX lost messages") }
    if boxes.first(where: { $0.name == "Trash" })?.messages != moved { wrong.append("Trash lost messages") }
    wrong += try await store.verify { _ in }.problems.map(\.what)
    await store.close()
    return wrong
  }

  /// A refusal for one of several recipients leaves nothing of the message anywhere, and harms no neighbour of its group.
  static func refusesWhole(_ factory: any StoreFactory) async throws -> [String] {
    let store = try await factory.open()
    let rich = try await store.makeAccount("rich@example.test")
    let poor = try await store.makeAccount("poor@example.test", quota: 100)
    var wrong: [String] = []
    // The first delivery makes a mailbox, the second is over quota: it fails after it wrote.
    let bad = Make.acceptance(1, to: [Make.delivery(rich, mailbox: "New"), Make.delivery(poor)], queue: ["q@example.org"])
    async let refusal: Result<Receipt, StoreError> = Self.result { () throws(StoreError) in
      try await store.accept(bad, body: Make.body(500), claiming: true)
    }
    let neighbours = await withTaskGroup(of: Bool.self) { group in
      for number in 2..<20 {
        group.addTask {
          let good = Make.acceptance(UInt64(number), to: [Make.delivery(rich)])
          return (try? await store.accept(good, body: Make.body(10), claiming: false)) != nil
        }
      }
      return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
    }
    if case .failure(.overQuota(poor.id)) = await refusal {} else { wrong.append("not refused: \(await refusal)") }
    if neighbours != 18 { wrong.append("neighbours were harmed: \(neighbours) of 18") }
    if try await store.mailboxes(of: rich.id).contains(where: { $0.name == "New" }) { wrong.append("a mailbox was left") }
    if try await store.queueCounts().messages != 0 { wrong.append("a queue entry was left") }
    if try await !store.trace(of: bad.id).isEmpty { wrong.append("a trace was left") }
    if try await store.mailbox("INBOX", of: rich.id).messages != 18 { wrong.append("neighbours are missing") }
    // The same id is free again.
    let small = Make.acceptance(1, to: [Make.delivery(rich)])
    if try await store.accept(small, body: Make.body(1), claiming: false).isRepeated { wrong.append("the refused id was taken") }
    await store.close()
    return wrong
  }

  private static func result<T>(_ body: () async throws(StoreError) -> T) async -> Result<T, StoreError> {
    do {
      return .success(try await body())
    } catch {
      return .failure(error)
    }
  }
}
