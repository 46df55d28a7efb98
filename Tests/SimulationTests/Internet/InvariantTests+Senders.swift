import InternetMessage
import MailModel
import Outside
import Testing

@testable import MartletSimulation

extension InvariantTests {
  /// What two servers saw of one message that `s1` took twice from `s0`.
  private func takenTwice(_ prepare: (History, Wire) -> Void) -> (violations: [Violation], allowed: [Duplicates.Excuse: Int]) {
    let history = history()
    history.began("s0", 0)
    history.began("s1", 1)
    let (first, second) = (wire(history), wire(history))
    let ids = [QueueID(rawValue: 1), QueueID(rawValue: 2)].map { "\($0)" }
    history.storing(ids[0], at: "s1", life: 1, on: first)
    history.stored(ids[0])
    prepare(history, first)
    history.storing(ids[1], at: "s1", life: 1, on: second)
    history.stored(ids[1])
    history.said.insert(ids[1])
    history.acknowledged(ids[1], to: second.client.host, on: second)
    let took = event(.delivered, "u1@s1.sim")
    return Duplicates.check(
      history, Census([message("s1", 1, [took], client: "20.0.0.1"), message("s1", 2, [took], client: "20.0.0.1")]))
  }

  @Test(
    "duplicates: what was stored and not acknowledged is excused only if its server died, the way broke or the client's time was over"
  )
  func unheard() {
    let id = "\(QueueID(rawValue: 1))"
    #expect(takenTwice { _, _ in }.violations.count == 1, "it was stored, and answered with something else")
    #expect(takenTwice { _, wire in wire.end(.finished, byClient: false) }.violations.count == 1, "it was stored, and hung up on")
    #expect(takenTwice { _, wire in wire.end(.finished, byClient: true) }.violations.count == 1, "the client did not wait")
    #expect(takenTwice { history, _ in history.said.insert(id) }.violations.count == 1, "nothing kept the reply")
    let cut = takenTwice { _, wire in wire.cut(.cutByFault) }
    #expect(cut.violations.isEmpty)
    #expect(cut.allowed[.lostOnTheWay] == 1)
    let late = takenTwice { _, wire in
      clock.advance(by: .seconds(2))
      wire.cut(.cutByFault)
    }
    #expect(late.violations.count == 1, "it broke long after the reply was due")
    let lost = takenTwice { history, wire in
      history.said.insert(id)
      clock.advance(by: .seconds(2))
      wire.cut(.timedOut)
    }
    #expect(lost.allowed[.lostOnTheWay] == 1)
    let died = takenTwice { history, _ in history.ended("s1", 1) }
    #expect(died.violations.isEmpty)
    #expect(died.allowed[.hostDied] == 1)
    let diedLate = takenTwice { history, _ in
      clock.advance(by: .seconds(2))
      history.ended("s1", 1)
    }
    #expect(diedLate.violations.count == 1, "it died long after the reply was due")
    let impatient = takenTwice { history, wire in
      history.said.insert(id)
      clock.advance(by: Duplicates.patience)
      wire.end(.finished, byClient: true)
    }
    #expect(impatient.allowed[.timedOut] == 1)
  }

  @Test("conservation: what came back to nobody is lost, unless its sender asked to hear of no failure")
  func untold() {
    let untold = Census([message("s0", 1, [event(.bounced, "u1@s1.sim", ("reason", "no"), ("told", "nobody"))])])
    #expect(Conservation.check(history(), untold, lists: [:]).count == 1)
    #expect(Conservation.check(history(notify: .failure), untold, lists: [:]).count == 1)
    #expect(Conservation.check(history(notify: .never), untold, lists: [:]).isEmpty)
    #expect(Conservation.check(history(notify: .successDelay), untold, lists: [:]).isEmpty)
    // A notification that gives the message back is no copy of it.
    let returned = history()
    returned.add(History.Copy(server: "s1", user: "u1", message: 9, token: "m1", isReport: true, uid: 1))
    #expect(Conservation.check(returned, Census(), lists: [:]).count == 1)
  }

  @Test("notifications: what was not asked for is told, and so is what is told twice, unless its process died in between")
  func notifications() {
    func check(_ stages: [String], _ notify: Notify?) -> Int {
      let history = history(notify: notify)
      for stage in stages { history.add(made(stage)) }
      return Notifications.check(history, Census([message()])).count
    }
    #expect(check(["failed", "delayed"], nil) == 0)
    #expect(check(["delivered", "relayed"], nil) == 2)
    #expect(check(["failed", "delayed", "expanded"], .never) == 3)
    #expect(check(["failed", "delayed"], .failure) == 1)
    #expect(check(["delayed", "delivered", "failed"], .successDelay) == 1)
    #expect(check(["failed", "failed", "failed"], nil) == 1)
    func twice(dies after: Duration?) -> Int {
      let history = history()
      history.began("s0", 1)
      history.add(made())
      if let after {
        clock.advance(by: after)
        history.ended("s0", 1)
        history.began("s0", 2)
      }
      clock.advance(by: .seconds(5))
      history.add(made(life: after == nil ? 1 : 2))
      return Notifications.check(history, Census([message()])).count
    }
    #expect(twice(dies: nil) == 1)
    #expect(twice(dies: .milliseconds(10)) == 0)
    #expect(twice(dies: .seconds(2)) == 1)
  }

  @Test("addressees: a copy, a queue entry or an acceptance for somebody who was no recipient is told; who is on a list is one")
  func addressees() {
    func check(_ recipients: [String] = ["u1@s1.sim"], _ census: Census = Census(), _ prepare: (History) -> Void) -> Int {
      let history = history(to: recipients)
      prepare(history)
      return Addressees.check(history, census, lists: ["all@s1.sim": ["u0@s1.sim", "u1@s2.sim"]]).count
    }
    func copy(_ user: String, _ server: String = "s1", isReport: Bool = false) -> History.Copy {
      History.Copy(server: server, user: user, message: 9, token: "m1", isReport: isReport, uid: 1)
    }
    #expect(check { $0.add(copy("u1")) } == 0)
    #expect(check { $0.add(copy("u2")) } == 1)
    #expect(check(["all@s1.sim"]) { $0.add(copy("u0")) } == 0)
    #expect(check(["all@s1.sim"]) { $0.add(copy("u1")) } == 1)
    #expect(check { $0.add(copy("u0", "s0", isReport: true)) } == 0, "back to its sender")
    #expect(check { $0.add(copy("postmaster", "s3", isReport: true)) } == 0)
    #expect(check { $0.add(copy("u1", isReport: true)) } == 1, "a notification for somebody else")
    #expect(check(["u1@s1.sim"], Census([message(queued: ["u1@s1.sim"])])) { _ in } == 0)
    #expect(check(["u1@s1.sim"], Census([message(queued: ["u2@s1.sim"])])) { _ in } == 1)
    var elsewhere = taken("h0x1")
    elsewhere.recipients = ["u1@h0.sim"]
    #expect(check(["u1@h0.sim"]) { $0.add(elsewhere) } == 0)
    #expect(check(["u2@h0.sim"]) { $0.add(elsewhere) } == 1)
    elsewhere.recipients = ["u1@h1.sim"]
    #expect(check(["u1@h1.sim"]) { $0.add(elsewhere) } == 1, "the wrong host")
  }

  @Test("trace complete: a refusal that no trace tells of is told, unless its server died with it")
  func refusals() {
    func check(_ noted: [TraceEvent], dies: Bool = false, reply: String = "550 5.1.1 no") -> Int {
      let history = history()
      history.began("s0", 1)
      history.add(
        History.Refused(
          server: "s0", client: "20.0.100.1", sender: "u0@s0.sim", recipients: ["x@s0.sim"], stage: .recipient, reply: reply,
          at: clock.monotonic()))
      if dies { history.ended("s0", 1) }
      let id = QueueID(rawValue: 3)
      let census = Census([Census.Message(server: "s0", id: id, events: noted, queued: [])])
      return TraceOfRefusals.check(history, census).violations.count
    }
    let refused = event(
      .refused, "x@s0.sim", ("client", "20.0.100.1"), ("from", "u0@s0.sim"), ("stage", "RCPT"), ("reply", "550 5.1.1 no"))
    #expect(check([refused]) == 0)
    #expect(check([]) == 1)
    #expect(check([refused], reply: "552 5.2.2 full") == 1)
    #expect(check([], dies: true) == 0)
    let together = event(.refused, "x@s0.sim", ("client", "20.0.100.1/32"), ("omitted", "3"))
    #expect(check([together]) == 0, "told with others of the same minute")
    #expect(check([], reply: "421 4.3.2 ending") == 0)
  }

  @Test("due order: a claim that is out of order or leaves behind what was due before is told")
  func dueOrder() {
    func entry(_ number: UInt64, of message: UInt64? = nil, due seconds: Int) -> QueueEntry {
      QueueEntry(
        id: QueueRecipientID(rawValue: Int64(number)), message: QueueID(rawValue: message ?? number),
        address: EmailAddress(localPart: "u1", domain: "s1.sim"), notification: .init(), destination: "s1.sim", state: .waiting,
        attempts: 1, nextAttempt: clock.now().advanced(by: .seconds(seconds)))
    }
    #expect(DueOrder.fault(of: [entry(1, due: 1), entry(2, due: 2)], left: [entry(3, due: 2), entry(4, due: 9)]) == nil)
    #expect(DueOrder.fault(of: [entry(1, due: 2), entry(2, due: 1)], left: []) != nil)
    #expect(DueOrder.fault(of: [entry(1, due: 1), entry(2, due: 2)], left: [entry(3, due: 1)]) != nil)
    #expect(DueOrder.fault(of: [], left: [entry(3, due: 1)]) == nil)
    #expect(DueOrder.fault(of: [entry(1, due: 1), entry(2, of: 1, due: 9), entry(3, due: 4)], left: []) == nil)
    #expect(DueOrder.fault(of: [entry(1, due: 5), entry(2, of: 1, due: 9), entry(3, due: 4)], left: []) != nil)
  }
}
