import InternetMessage
import MailModel
import MailStore
import NIOCore
import Outside

/// Random operations on a store and on its model, from a seed.
struct RandomOperations {
  let random: SeededRandom
  var model = StoreModel()
  var store: any MailStore
  private var number: UInt64 = 0
  var now: Int64 = 1_000
  static let names = ["INBOX", "Sent", "Trash", "Work", "Work/Old", "Ünïcode"]

  init(seed: UInt64, store: any MailStore) {
    random = SeededRandom(seed)
    self.store = store
  }

  func pick(_ count: Int) -> Int { Int(random.next(below: UInt64(max(count, 1)))) }

  mutating func begin() async throws {
    for (index, quota) in [Int64(0), 40_000, 0].enumerated() {
      let account = try await store.makeAccount("p\(index)@example.test", quota: quota)
      var person = StoreModel.Person(account: account)
      for box in try await store.mailboxes(of: account.id) {
        person.boxes[box.name] = .init(id: box.id, uidValidity: box.uidValidity)
      }
      model.people.append(person)
    }
  }

  /// One operation; what went wrong, if anything.
  mutating func step() async throws -> [String] {
    switch pick(20) {
    case 0..<6: return try await accept()
    case 6: return try await append()
    case 7..<10: return try await setFlags()
    case 10: return try await transfer(isMove: false)
    case 11, 12: return try await transfer(isMove: true)
    case 13: return try await expunge()
    case 14: return try await pick(4) == 0 ? hasten() : claim()
    case 15, 16: return try await record()
    case 17: return try await act()
    case 18: return try await changeMailboxes()
    default: return try await repeatAcceptance()
    }
  }

  // MARK: Messages

  private mutating func accept() async throws -> [String] {
    number += 1
    let size = [10, 500, 4_000, 9_000][pick(4)]
    var deliveries: [LocalDelivery] = []
    for index in model.people.indices where pick(3) > 0 {
      deliveries.append(
        LocalDelivery(
          account: model.people[index].account.id, mailbox: Self.names[pick(Self.names.count)],
          recipient: model.people[index].account.address, flags: pick(4) == 0 ? Flags([.seen], keywords: ["b", "A", "a"]) : Flags())
      )
    }
    let recipients = (0..<pick(3)).map { "r\($0)@d\(pick(3)).example" }
    var acceptance = Make.acceptance(number, to: deliveries, queue: recipients, due: now + Int64(pick(50)), prefix: pick(200))
    acceptance.id = store.makeQueueID()
    if pick(2) == 0 { acceptance.origin = QueueRecipientID(rawValue: Int64(clamping: number)) }
    let claiming = pick(2) == 0
    let isOver = deliveries.contains { delivery in
      guard let person = model.people.first(where: { $0.account.id == delivery.account }), person.account.quota > 0 else {
        return false
      }
      return person.octets + Int64(acceptance.prefix.count + size + Self.deliveryPrefix(delivery)) > person.account.quota
    }
    do {
      let receipt = try await store.accept(acceptance, body: Make.body(size), claiming: claiming)
      if isOver { return ["accepted over quota"] }
      return try await enter(acceptance, receipt, size: size, claiming: claiming)
    } catch StoreError.overQuota {
      return isOver ? [] : ["refused below quota"]
    }
  }

  private static func deliveryPrefix(_ delivery: LocalDelivery) -> Int {
    "Return-Path: <sender@example.net>\r\nDelivered-To: \(delivery.recipient.wire)\r\n".utf8.count
  }

  private mutating func enter(_ acceptance: Acceptance, _ receipt: Receipt, size: Int, claiming: Bool) async throws -> [String] {
    model.accepted.append(acceptance)
    if receipt.isRepeated || receipt.deliveries.count != acceptance.deliveries.count { return ["receipt \(receipt)"] }
    for (delivery, place) in zip(acceptance.deliveries, receipt.deliveries) {
      guard let index = model.people.firstIndex(where: { $0.account.id == delivery.account }) else { continue }
      try await learnMailboxes(index)
      let whole = Int64(acceptance.prefix.count + size + Self.deliveryPrefix(delivery))
      guard let name = model.people[index].boxes.first(where: { $0.value.id == place.mailbox })?.key else { return ["no mailbox"] }
      let keywords = delivery.flags.keywords.isEmpty ? [] : ["A", "b"]
      try await add(index, name, place.uid, Flags(delivery.flags.system, keywords: keywords), whole)
    }
    if let queued = receipt.queued {
      model.queue[receipt.id] = zip(queued.entries, acceptance.recipients).map { entry, recipient in
        .init(
          id: entry.id, address: "\(recipient.address)", state: claiming ? .claimed : .waiting, due: recipient.due.microseconds)
      }
    } else if !acceptance.recipients.isEmpty {
      return ["no queue entries in the receipt"]
    }
    return []
  }

  /// Mailboxes that a delivery made.
  private mutating func learnMailboxes(_ index: Int) async throws {
    for box in try await store.mailboxes(of: model.people[index].account.id) where model.people[index].boxes[box.name] == nil {
      model.people[index].boxes[box.name] = .init(id: box.id, uidValidity: box.uidValidity)
      guard box.uidValidity.rawValue > model.greatestUIDValidity else { throw ModelError.reused }
      model.greatestUIDValidity = box.uidValidity.rawValue
    }
  }

  enum ModelError: Error { case reused, missing }

  /// A new message: its UID must be the next.
  private mutating func add(_ index: Int, _ name: String, _ uid: UID, _ flags: Flags, _ size: Int64) async throws {
    guard var box = model.people[index].boxes[name], uid.rawValue == box.uidNext else { throw ModelError.reused }
    guard let entry = try await store.entries(in: box.id, from: uid, limit: 1).first else { throw ModelError.missing }
    let greatest = model.people[index].boxes.values.flatMap { $0.messages.values.map(\.modSeq) }.max() ?? 0
    guard entry.modSeq.rawValue > greatest else { throw ModelError.reused }
    box.messages[uid.rawValue] = .init(flags: flags, size: size, modSeq: entry.modSeq.rawValue, emailID: entry.emailID)
    box.uidNext += 1
    model.people[index].boxes[name] = box
  }

  private mutating func append() async throws -> [String] {
    let index = pick(model.people.count)
    guard let (name, box) = pickBox(index) else { return [] }
    let size = 10 + pick(2_000)
    let flags = Flags(Flags.System(rawValue: UInt8(pick(32))), keywords: pick(2) == 0 ? ["x"] : [])
    let message = AppendedMessage(flags: flags, internalDate: Timestamp(seconds: 5), summary: MessageSummary(subject: "s"))
    let person = model.people[index]
    let isOver = person.account.quota > 0 && person.octets + Int64(size) > person.account.quota
    do {
      let uid = try await store.append(message, body: Make.body(size), to: box.id)
      if isOver { return ["appended over quota"] }
      try await add(index, name, uid, flags, Int64(size))
      return []
    } catch StoreError.overQuota {
      return isOver ? [] : ["append refused below quota"]
    }
  }

  private mutating func repeatAcceptance() async throws -> [String] {
    guard !model.accepted.isEmpty else { return [] }
    let acceptance = model.accepted[pick(model.accepted.count)]
    let isSame = acceptance.origin != nil
    do throws(StoreError) {
      let receipt = try await store.accept(acceptance, body: Make.body(77), claiming: true)
      let isRight = isSame && receipt.isRepeated && receipt.deliveries.count == acceptance.deliveries.count
      return isRight ? [] : ["accepted twice"]
    } catch {
      return !isSame && error == .exists("queue id \(acceptance.id)") ? [] : ["a repetition: \(error)"]
    }
  }

  private func pickBox(_ index: Int) -> (String, StoreModel.Box)? {
    let boxes = model.people[index].boxes.sorted { $0.key < $1.key }
    guard !boxes.isEmpty else { return nil }
    let chosen = boxes[pick(boxes.count)]
    return (chosen.key, chosen.value)
  }

  // MARK: Changes in mailboxes

  private func someUIDs(_ box: StoreModel.Box) -> [UID] {
    box.messages.keys.sorted().filter { _ in pick(2) == 0 }.map { UID(rawValue: $0) }
      + (pick(5) == 0 ? [UID(rawValue: 999_999)] : [])
  }

  private mutating func setFlags() async throws -> [String] {
    let index = pick(model.people.count)
    guard let (name, box) = pickBox(index) else { return [] }
    let uids = someUIDs(box)
    let flags = Flags(Flags.System(rawValue: UInt8(pick(32))), keywords: pick(2) == 0 ? ["Zeta", "a"] : [])
    let change: FlagChange = [.replace(flags), .add(flags), .remove(flags)][pick(3)]
    let bound = pick(3) == 0 ? box.messages.values.map(\.modSeq).sorted().dropFirst(pick(box.messages.count)).first : nil
    let result = try await store.setFlags(change, of: uids, in: box.id, unchangedSince: bound.map { ModSeq(rawValue: $0) })
    var differences: [String] = []
    let known = uids.filter { box.messages[$0.rawValue] != nil }
    let tooNew = known.filter { uid in bound.map { (box.messages[uid.rawValue]?.modSeq ?? 0) > $0 } ?? false }
    if result.modified != tooNew { differences.append("modified \(result.modified), not \(tooNew)") }
    if result.changed.map(\.uid) != known.filter({ !tooNew.contains($0) }) { differences.append("changed \(result.changed)") }
    for one in result.changed {
      guard let old = box.messages[one.uid.rawValue] else { continue }
      let wanted = Self.applied(change, to: old.flags)
      if one.flags != wanted { differences.append("flags \(one.flags), not \(wanted)") }
      if wanted == old.flags ? one.modSeq.rawValue != old.modSeq : one.modSeq.rawValue <= old.modSeq {
        differences.append("sequence \(one.modSeq) after \(old.modSeq)")
      }
      model.people[index].boxes[name]?.messages[one.uid.rawValue]?.flags = wanted
      model.people[index].boxes[name]?.messages[one.uid.rawValue]?.modSeq = one.modSeq.rawValue
    }
    return differences
  }

  private static func applied(_ change: FlagChange, to old: Flags) -> Flags {
    func unique(_ keywords: [String]) -> [String] {
      var kept: [String] = []
      for keyword in keywords where !kept.contains(where: { $0.lowercased() == keyword.lowercased() }) { kept.append(keyword) }
      return kept.sorted { $0.lowercased() < $1.lowercased() }
    }
    switch change {
    case .replace(let new): return Flags(new.system, keywords: unique(new.keywords))
    case .add(let more): return Flags(old.system.union(more.system), keywords: unique(old.keywords + more.keywords))
    case .remove(let less):
      let gone = less.keywords.map { $0.lowercased() }
      return Flags(old.system.subtracting(less.system), keywords: old.keywords.filter { !gone.contains($0.lowercased()) })
    }
  }

  private mutating func transfer(isMove: Bool) async throws -> [String] {
    let from = pick(model.people.count)
    let to = pick(4) == 0 ? pick(model.people.count) : from
    guard let (source, sourceBox) = pickBox(from), let (target, targetBox) = pickBox(to) else { return [] }
    let uids = someUIDs(sourceBox)
    let known = uids.filter { sourceBox.messages[$0.rawValue] != nil }
    let octets = known.reduce(Int64(0)) { $0 + (sourceBox.messages[$1.rawValue]?.size ?? 0) }
    let quota = model.people[to].account.quota
    let isOver = quota > 0 && (!isMove || from != to) && model.people[to].octets + octets > quota
    do {
      let result =
        isMove
        ? try await store.move(uids, from: sourceBox.id, to: targetBox.id)
        : try await store.copy(uids, from: sourceBox.id, to: targetBox.id)
      if isOver, octets > 0 { return ["copied over quota"] }
      if result.pairs.map(\.old) != known || result.uidValidity != targetBox.uidValidity { return ["copied \(result)"] }
      for pair in result.pairs {
        guard let old = sourceBox.messages[pair.old.rawValue] else { continue }
        if isMove { model.people[from].boxes[source]?.messages[pair.old.rawValue] = nil }
        try await add(to, target, pair.new, old.flags, old.size, emailID: old.emailID)
      }
      return []
    } catch StoreError.overQuota {
      return isOver ? [] : ["copy refused below quota"]
    }
  }

  private mutating func add(_ index: Int, _ name: String, _ uid: UID, _ flags: Flags, _ size: Int64, emailID: Int64) async throws {
    guard var box = model.people[index].boxes[name], uid.rawValue == box.uidNext else { throw ModelError.reused }
    guard let entry = try await store.entries(in: box.id, from: uid, limit: 1).first, entry.uid == uid, entry.emailID == emailID
    else {
      throw ModelError.missing
    }
    box.messages[uid.rawValue] = .init(flags: flags, size: size, modSeq: entry.modSeq.rawValue, emailID: emailID)
    box.uidNext += 1
    model.people[index].boxes[name] = box
  }

  private mutating func expunge() async throws -> [String] {
    let index = pick(model.people.count)
    guard let (name, box) = pickBox(index) else { return [] }
    let uids = pick(2) == 0 ? nil : someUIDs(box)
    let force = uids != nil && pick(2) == 0
    let gone = try await store.expunge(uids, from: box.id, force: force)
    let wanted = (uids ?? box.messages.keys.sorted().map { UID(rawValue: $0) }).filter { uid in
      guard let message = box.messages[uid.rawValue] else { return false }
      return force || message.flags.system.contains(.deleted)
    }
    for uid in gone { model.people[index].boxes[name]?.messages[uid.rawValue] = nil }
    return gone == wanted ? [] : ["expunged \(gone), not \(wanted)"]
  }

  private mutating func changeMailboxes() async throws -> [String] {
    let index = pick(model.people.count)
    let id = model.people[index].account.id
    let name = ["Extra", "Extra/Below", "Other"][pick(3)]
    if model.people[index].boxes[name] == nil {
      _ = try await store.createMailbox(name, of: id, specialUse: nil)
      try await learnMailboxes(index)
      return []
    }
    if pick(2) == 0 {
      try await store.deleteMailbox(name, of: id)
      model.people[index].boxes[name] = nil
      return []
    }
    let new = "Renamed\(number)-\(pick(1_000))"
    guard model.people[index].boxes[new] == nil else { return [] }
    try await store.renameMailbox(name, to: new, of: id)
    for (old, box) in model.people[index].boxes where old == name || old.hasPrefix("\(name)/") {
      model.people[index].boxes[old] = nil
      model.people[index].boxes[new + old.dropFirst(name.count)] = box
    }
    return []
  }

  /// A process that ended: leases are over.
  mutating func reopened(_ store: any MailStore) {
    self.store = store
    for (id, list) in model.queue {
      model.queue[id] = list.map { recipient in
        var recipient = recipient
        if recipient.state == .claimed { recipient.state = .waiting }
        return recipient
      }
    }
  }
}
