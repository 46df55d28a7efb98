import InternetMessage
import MailModel
import MailStore
import Outside

/// What a store must hold, in the simplest form: the conformance suite changes both and compares.
struct StoreModel {
  struct Message: Equatable {
    var flags: Flags
    var size: Int64
    var modSeq: UInt64
    var emailID: Int64
  }

  struct Box {
    var id: MailboxID
    var uidValidity: UIDValidity
    var uidNext: UInt32 = 1
    var messages: [UInt32: Message] = [:]
    var size: Int64 { messages.values.reduce(0) { $0 + $1.size } }
  }

  struct Person {
    var account: Account
    var boxes: [String: Box] = [:]
    var octets: Int64 { boxes.values.reduce(0) { $0 + $1.size } }
  }

  struct Recipient {
    var id: QueueRecipientID
    var address: String
    var state: QueueEntry.State
    var due: Int64
    var attempts: UInt32 = 0
  }

  var people: [Person] = []
  var queue: [QueueID: [Recipient]] = [:]
  var accepted: [Acceptance] = []
  var greatestUIDValidity: UInt32 = 0

  /// A client that has only ever asked `changes(since:)`.
  struct Client {
    var known: UInt64 = 0
    var messages: [UInt32: Flags] = [:]
  }
  var clients: [MailboxID: Client] = [:]

  /// Compares everything.
  mutating func compare(with store: any MailStore) async throws -> [String] {
    var differences: [String] = []
    for person in people {
      let boxes = try await store.mailboxes(of: person.account.id)
      if Set(boxes.map(\.name)) != Set(person.boxes.keys) { differences.append("mailboxes \(boxes.map(\.name))") }
      for box in boxes {
        guard let model = person.boxes[box.name] else { continue }
        differences += try await compare(box, with: model, store)
      }
      let usage = try await store.usage(of: person.account.id)
      let held = try await store.holdings(after: AccountID(rawValue: person.account.id.rawValue - 1)).first
      if held != Holding(account: person.account.id, messages: usage.messages, octets: usage.octets) {
        differences.append("holding \(String(describing: held)), usage \(usage)")
      }
      if usage.octets != person.octets { differences.append("usage \(usage.octets), model \(person.octets)") }
    }
    differences += try await compareQueue(with: store)
    return differences
  }

  private mutating func compare(_ box: Mailbox, with model: Box, _ store: any MailStore) async throws -> [String] {
    var differences: [String] = []
    let unseen = model.messages.values.count { !$0.flags.system.contains(.seen) }
    let deleted = model.messages.values.count { $0.flags.system.contains(.deleted) }
    if box.id != model.id || box.uidValidity != model.uidValidity || box.uidNext.rawValue != model.uidNext
      || box.messages != model.messages.count || box.unseen != unseen || box.deleted != deleted || box.size != model.size
    {
      differences.append("mailbox \(box) against \(model)")
    }
    var found: [UInt32: Message] = [:]
    var next: UInt32 = 1
    while true {
      let page = try await store.entries(in: box.id, from: UID(rawValue: next), limit: 3)
      for entry in page {
        found[entry.uid.rawValue] = Message(
          flags: entry.flags, size: Int64(entry.size), modSeq: entry.modSeq.rawValue, emailID: entry.emailID)
      }
      guard let last = page.last else { break }
      next = last.uid.rawValue + 1
    }
    if found != model.messages { differences.append("entries of \(box.name): \(found) against \(model.messages)") }
    let uids = try await store.uids(in: box.id).flatMap { Array($0) }
    if uids != model.messages.keys.sorted() { differences.append("uids of \(box.name): \(uids)") }
    differences += try await syncClient(of: box, holding: found.mapValues(\.flags), store)
    return differences
  }

  /// The client asks for what changed and must then know exactly what is there.
  private mutating func syncClient(of box: Mailbox, holding held: [UInt32: Flags], _ store: any MailStore) async throws -> [String]
  {
    var client = clients[box.id] ?? Client()
    var isPartial = true
    var pages = 0
    while isPartial {
      pages += 1
      let changes = try await store.changes(in: box.id, since: ModSeq(rawValue: client.known))
      for change in changes.changed { client.messages[change.uid.rawValue] = change.flags }
      // Behind a page's end, something may go that came behind the start, changed, and was not told (RFC 7162 allows it).
      for uid in changes.vanished where client.messages.removeValue(forKey: uid.rawValue) == nil && pages == 1 {
        return ["\(box.name): UID \(uid.rawValue) vanished, which the client never knew"]
      }
      if changes.highestModSeq.rawValue < client.known { return ["\(box.name): the sequence went back"] }
      client.known = changes.highestModSeq.rawValue
      isPartial = changes.isPartial
    }
    clients[box.id] = client
    return held == client.messages ? [] : ["\(box.name): changes told \(client.messages), there is \(held)"]
  }

  private func compareQueue(with store: any MailStore) async throws -> [String] {
    var differences: [String] = []
    var listed: [QueuedMessage] = []
    while true {
      let page = try await store.queue(matching: QueueSelection(), after: listed.last?.id, limit: 5)
      guard !page.isEmpty else { break }
      listed += page
    }
    let found = listed.flatMap { message in
      message.entries.map { "\(message.id.rawValue) \($0.id.rawValue) \($0.state) \($0.attempts)" }
    }
    let wanted = queue.flatMap { id, recipients in recipients.map { "\(id.rawValue) \($0.id.rawValue) \($0.state) \($0.attempts)" }
    }
    if Set(found) != Set(wanted) || found.count != wanted.count {
      differences.append("queue \(found.sorted()) against \(wanted.sorted())")
    }
    let counts = try await store.queueCounts()
    let all = queue.values.flatMap { $0 }
    let model = QueueCounts(
      messages: queue.count, waiting: all.count { $0.state == .waiting }, held: all.count { $0.state == .held },
      claimed: all.count { $0.state == .claimed })
    if counts != model { differences.append("counts \(counts) against \(model)") }
    let next = all.filter { $0.state == .waiting }.map(\.due).min()
    if try await store.nextDue()?.microseconds != next { differences.append("next due is not \(next ?? -1)") }
    return differences
  }
}
