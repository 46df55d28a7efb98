import Outside

/// A message is handed over once more only where that can't be avoided: its `250` never reached the client (RFC 5321, 4.1.1.4), since the
/// connection broke, one of the two died, or the client's patience ended; or the client died before what the `250` did to its queue was
/// durable, within the stated 50 ms of a removal. Each of these is looked up in what the world did. Within one server, never.
enum Duplicates {
  static let name = "duplicates"
  /// Removals are durable within so long (`MailStore.record`).
  static let window = Duration.milliseconds(50)
  /// A client waits at least so long for the `250` (RFC 5321, 4.5.3.2.6).
  static let patience = Duration.seconds(600)
  /// And so long for the reply to MAIL or RCPT, behind which a whole message may be on its way already (RFC 5321, 4.5.3.2.2; RFC 3030).
  static let shorterPatience = Duration.seconds(300)
  /// A process that was told of a `250` hands it over at once; what it has to do before takes no longer.
  private static let turn = Duration.seconds(1)

  /// Why a message had to be sent again.
  enum Excuse: String, CaseIterable {
    case lostOnTheWay = "the 250 was lost on its way"
    case hostDied = "the receiver died before its 250 was out"
    case hostHungUp = "the receiver hung up before its 250"
    case clientDied = "the sender died before it heard the 250"
    case timedOut = "the sender waited in vain for as long as RFC 5321, 4.5.3.2, asks"
    case window = "the sender died within the 50 ms of a removal"
    case trouble = "the sender died while its disk took no removal"
  }

  /// What one client handed over of one message for one recipient.
  private struct Acceptance {
    var receiver: String
    var id: String
  }

  /// - Returns: what is broken, and how often each excuse held.
  static func check(_ history: History, _ census: Census) -> (violations: [Violation], allowed: [Excuse: Int]) {
    var violations: [Violation] = []
    var allowed: [Excuse: Int] = [:]
    var groups: [String: [Acceptance]] = [:]
    var copiesAt: [String: Int] = [:]
    for message in census.messages where !message.token.isEmpty && message.outcomes.wasReceived {
      copiesAt["\(message.server) \(message.token)", default: 0] += 1
      for recipient in message.named {
        groups["\(message.client) \(message.token) \(recipient)", default: []].append(
          .init(receiver: message.server, id: "\(message.id)"))
      }
    }
    for taken in history.taken where !taken.token.isEmpty {
      for recipient in taken.recipients {
        groups["\(taken.client) \(taken.token) \(recipient)", default: []].append(.init(receiver: taken.host, id: taken.id))
      }
    }
    for (key, acceptances) in groups.sorted(by: { $0.key < $1.key }) where acceptances.count > 1 {
      let words = key.split(separator: " ").map(String.init)
      let client = clientName(words[0])
      var unexcused: [String] = []
      for acceptance in acceptances {
        if let excuse = excuse(acceptance, of: client, history) {
          allowed[excuse, default: 0] += 1
        } else {
          unexcused.append(acceptance.id)
        }
      }
      // What the client itself has twice it sends twice.
      let copies = max(copiesAt["\(client) \(words[1])"] ?? 1, 1)
      if unexcused.count > copies {
        violations.append(
          Violation(
            invariant: name,
            what: "\(client) handed \(words[1]) for \(words[2]) over \(acceptances.count) times, without need as \(unexcused)"))
      }
    }
    return (violations + copies(history), allowed)
  }

  /// The same stored message twice in one mailbox.
  private static func copies(_ history: History) -> [Violation] {
    var uids: [String: [UInt32]] = [:]
    for copy in history.copies { uids["\(copy.server) \(copy.user) \(copy.message)", default: []].append(copy.uid) }
    return uids.sorted { $0.key < $1.key }.filter { $0.value.count > 1 }.map {
      Violation(invariant: name, what: "\($0.key) stands in the mailbox as UIDs \($0.value)")
    }
  }

  /// `s3` of 20.0.0.4, `c3` of its clients.
  static func clientName(_ address: String) -> String {
    let parts = address.split(separator: ".").compactMap { Int($0) }
    guard parts.count == 4 else { return address }
    return parts[2] == 0 ? "s\(parts[3] - 1)" : parts[2] >= 100 ? "c\(parts[2] - 100)" : address
  }

  private static func excuse(_ acceptance: Acceptance, of client: String, _ history: History) -> Excuse? {
    guard let told = history.told[acceptance.id], told.host == client else { return unheard(acceptance, history) }
    guard let life = history.life(client, told.life), let died = life.ended, died >= told.at else { return nil }
    let handed = history.handed.first {
      $0.server == client && $0.life == told.life && $0.kind == .delivered && $0.reply.hasSuffix("queued as \(acceptance.id)")
    }
    guard let handed else { return died.since(told.at) <= turn ? .clientDied : nil }
    if died.since(handed.at) <= window { return .window }
    return history.hadTrouble(client, from: handed.at, until: died) ? .trouble : nil
  }

  /// The client never heard of it: whose doing that was; nil: the server's that stored it, which should have said so.
  private static func unheard(_ acceptance: Acceptance, _ history: History) -> Excuse? {
    guard let stored = history.stored[acceptance.id], stored.server == acceptance.receiver else { return nil }
    if history.taken.contains(where: { $0.id == acceptance.id && $0.isUnanswered }) { return .hostHungUp }
    let wire = stored.wire
    // A `250` that was said may be lost at any time; one that never was must have had no time to be.
    let latest = history.said.contains(acceptance.id) ? MonotonicInstant.never : (stored.done ?? stored.begun).advanced(by: turn)
    if let broken = wire.broken, broken.at <= latest { return .lostOnTheWay }
    if let life = history.life(stored.server, stored.life), let died = life.ended, died >= stored.begun, died <= latest {
      // What was said before is on its way all the same, unless the connection died with its server.
      if latest != .never || wire.ending == .serverDied { return .hostDied }
    }
    guard let ended = wire.ended, ended.at <= latest, ended.byClient else { return nil }
    if wire.ending == .clientDied { return .clientDied }
    return ended.at.since(wire.clientSpoke) >= ended.patience ? .timedOut : nil
  }
}
