import MailModel
import MailStore
import Outside

/// No destination starves: what is due is taken in hand, and what is in hand is tried and recorded, within hours, whatever the others do.
///
/// `look` is asked while the run goes on. Times in which the server's disk took nothing don't count.
enum Fairness {
  static let name = "fairness"
  /// In delivery's hands: the slowest transaction takes half an hour, and a burst waits for its connections behind one another.
  static let inHand = Duration.seconds(28_800)
  /// Due, and not taken in hand.
  static let due = Duration.seconds(7_200)

  static func look(at server: SimulatedServer, in world: World) async {
    guard let process = server.process, let life = world.history.life(server.name, process.life) else { return }
    guard !world.history.hadTrouble(server.name, from: world.now.advanced(by: .zero - inHand), until: world.now) else { return }
    for waiting in process.queue.waiting() where world.now.since(waiting.at) > inHand {
      world.history.broken(
        name,
        "\(server.name) has had recipient \(waiting.entry) for \(waiting.destination) in hand for \(world.now.since(waiting.at))")
    }
    guard world.now.since(life.began) > due,
      let page = try? await process.store.queue(matching: QueueSelection(), after: nil, limit: 1_000)
    else { return }
    let now = process.schedule.schedule()
    var overdue: [Int64: SimulatedServer.Overdue] = [:]
    for entry in page.flatMap(\.entries) where entry.state == .waiting && entry.nextAttempt < now {
      // By the clock that does not jump: a schedule that moves makes everything due at once.
      let known = server.overdue[entry.id.rawValue].flatMap { $0.due == entry.nextAttempt ? $0 : nil }
      let since = known ?? .init(due: entry.nextAttempt, since: world.now)
      overdue[entry.id.rawValue] = since
      if world.now.since(since.since) > due {
        world.history.broken(
          name, "\(server.name) leaves \(entry.message) for \(entry.destination) due for \(world.now.since(since.since))")
      }
    }
    server.overdue = overdue
  }
}
