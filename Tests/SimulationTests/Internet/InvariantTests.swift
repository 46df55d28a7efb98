import InternetMessage
import MailModel
import NIOCore
import Outside
import Testing

@testable import MartletSimulation

/// Each invariant is given a history that breaks it, and one that does not.
@Suite("What the invariants of the simulated internet find")
struct InvariantTests {
  let clock = VirtualClock()

  func history(
    sender: String? = "u0@s0.sim", id: String = "q1", to recipients: [String] = ["u1@s1.sim"], notify: Notify? = nil
  ) -> History {
    let history = History(clock: clock)
    var sent = History.Sent(
      token: "m1", sender: sender, recipients: recipients, notify: notify, server: "s0", octets: 5,
      fingerprint: Fingerprint.of("hello".utf8))
    sent.taken = [(id, recipients, clock.monotonic())]
    history.add(sent)
    return history
  }

  func message(
    _ server: String = "s0", _ number: UInt64 = 1, _ events: [TraceEvent] = [], queued: [String] = [], client: String = "20.0.100.1"
  ) -> Census.Message {
    let received = TraceEvent(
      time: clock.now(), kind: .received, detail: [.init("message-id", "m1@client.sim"), .init("client", client)])
    let id = QueueID(rawValue: number)
    return Census.Message(
      server: server, id: id, events: [received] + events,
      queued: queued.compactMap(World.mailAddress).map {
        QueueEntry(
          id: QueueRecipientID(rawValue: 1), message: id, address: $0, notification: .init(), destination: $0.domain,
          state: .waiting,
          attempts: 1, nextAttempt: clock.now())
      })
  }

  func event(_ kind: TraceEvent.Kind, _ recipient: String, _ detail: (String, String)...) -> TraceEvent {
    TraceEvent(time: clock.now(), kind: kind, recipient: recipient, detail: detail.map { .init($0.0, $0.1) })
  }

  func taken(_ id: String, token: String = "m1", sender: String? = nil, report: Report? = nil, isIntact: Bool = true)
    -> History.Taken
  {
    History.Taken(
      host: "h0", id: id, token: token, recipients: ["u1@s1.sim"], sender: sender, client: World.address(0, 1),
      at: clock.monotonic(),
      report: report, isIntact: isIntact)
  }

  func made(
    _ stage: String = "failed", life: Int = 1, to recipient: String = "u0@s0.sim", isForPostmaster: Bool = false
  ) -> History.Made {
    History.Made(
      server: "s0", life: life, id: "n1", subject: "\(QueueID(rawValue: 1))", stage: stage, recipient: recipient,
      isForPostmaster: isForPostmaster, discarded: nil, told: ["u1@s1.sim"], at: clock.monotonic())
  }

  /// A connection from `s0` to `s1` in the network of `history`.
  func wire(_ history: History) -> Wire {
    let network = SimulatedNetwork(
      executor: SimulatedExecutor(seed: 1, clock: clock), seed: 1, history: history, counts: FaultCounts())
    return Wire(
      number: 1, network: network, from: NetworkHost("s0", World.address(0, 1)), source: .unix(path: ""),
      to: NetworkHost("s1", World.address(0, 2)), at: .unix(path: ""), way: Way())
  }

  @Test(
    "conservation: what was acknowledged and is nowhere is missed; in a mailbox, elsewhere, queued or discarded with a reason it is not"
  )
  func conservation() {
    #expect(Conservation.check(history(), Census(), lists: [:]).count == 1)
    let inMailbox = history()
    inMailbox.add(History.Copy(server: "s1", user: "u1", message: 9, token: "m1", uid: 1))
    #expect(Conservation.check(inMailbox, Census(), lists: [:]).isEmpty)
    let elsewhere = history()
    elsewhere.add(taken("h0x1"))
    #expect(Conservation.check(elsewhere, Census(), lists: [:]).isEmpty)
    #expect(Conservation.check(history(), Census([message(queued: ["u1@s1.sim"])]), lists: [:]).isEmpty)
    let discarded = message("s0", 1, [event(.discarded, "u1@s1.sim", ("reason", "null reverse-path"))])
    #expect(Conservation.check(history(), Census([discarded]), lists: [:]).isEmpty)
    let silently = message("s0", 1, [event(.discarded, "u1@s1.sim")])
    #expect(Conservation.check(history(), Census([silently]), lists: [:]).count == 1)
  }

  @Test("conservation: of a list each member counts; what nobody sent, or other than it was sent, is told")
  func strangers() {
    let list = history(to: ["all@s1.sim"])
    list.add(History.Copy(server: "s1", user: "u0", message: 9, token: "m1", uid: 1))
    let lists = ["all@s1.sim": ["u0@s1.sim", "u1@s2.sim"]]
    #expect(Conservation.check(list, Census(), lists: lists).count == 1)
    let strange = History(clock: clock)
    strange.add(taken("h0x1", token: "evil3"))
    #expect(Conservation.check(strange, Census(), lists: [:]).count == 1)
    let changed = history()
    changed.add(taken("h0x1", isIntact: false))
    #expect(Conservation.check(changed, Census(), lists: [:]).count == 1)
  }

  @Test("null path: whoever is told of a message from it is found out, the postmaster excepted")
  func nullPath() {
    func made(_ history: History, isForPostmaster: Bool) -> History {
      history.add(self.made(isForPostmaster: isForPostmaster))
      return history
    }
    let census = Census([message()])
    #expect(NullPath.check(made(history(sender: nil), isForPostmaster: false), census).count == 1)
    #expect(NullPath.check(made(history(sender: nil), isForPostmaster: true), census).isEmpty)
    #expect(NullPath.check(made(history(), isForPostmaster: false), census).isEmpty)
    let signed = history()
    signed.add(taken("h0x1", sender: "u0@s0.sim", report: Report(recipients: [], action: "failed")))
    #expect(NullPath.check(signed, Census()).count == 1)
  }

  @Test("duplicates: two acceptances that the sender heard of are one too many; one that it could not hear of is not")
  func duplicates() {
    let twice = history()
    for id in ["h0x1", "h0x2"] {
      var unanswered = taken(id)
      unanswered.isUnanswered = true
      twice.storing(id, at: "h0", life: 0, on: wire(twice))
      twice.add(unanswered)
    }
    // Nobody heard either: the host hung up.
    #expect(Duplicates.check(twice, Census()).violations.isEmpty)
    #expect(Duplicates.check(twice, Census()).allowed[.hostHungUp] == 2)
    let host = NetworkHost("s0", World.address(0, 1))
    let network = SimulatedNetwork(
      executor: SimulatedExecutor(seed: 1, clock: clock), seed: 1, history: twice, counts: FaultCounts())
    let wire = Wire(
      number: 1, network: network, from: host, source: .unix(path: ""), to: host, at: .unix(path: ""), way: Way())
    twice.began("s0", 0)
    twice.acknowledged("h0x1", to: host, on: wire)
    #expect(Duplicates.check(twice, Census()).violations.isEmpty)
    twice.acknowledged("h0x2", to: host, on: wire)
    #expect(Duplicates.check(twice, Census()).violations.count == 1)
    let copies = history()
    copies.add(History.Copy(server: "s1", user: "u1", message: 9, token: "m1", uid: 1))
    #expect(Duplicates.check(copies, Census()).violations.isEmpty)
    copies.add(History.Copy(server: "s1", user: "u1", message: 9, token: "m1", uid: 2))
    #expect(Duplicates.check(copies, Census()).violations.count == 1)
  }

  @Test("duplicates: a death excuses within 50 ms of the removal, not later")
  func window() {
    func check(dies after: Duration) -> [Violation] {
      let history = history()
      let host = NetworkHost("s0", World.address(0, 1))
      let network = SimulatedNetwork(
        executor: SimulatedExecutor(seed: 1, clock: clock), seed: 1, history: history, counts: FaultCounts())
      let wire = Wire(number: 1, network: network, from: host, source: .unix(path: ""), to: host, at: .unix(path: ""), way: Way())
      history.began("s0", 0)
      for id in ["h0x1", "h0x2"] {
        history.add(taken(id))
        history.acknowledged(id, to: host, on: wire)
      }
      for id in ["h0x1", "h0x2"] {
        history.add(
          History.Handed(
            server: "s0", life: 0, entry: 1, message: "q1", address: "u1@s1.sim", destination: "s1.sim", kind: .delivered,
            reply: "250 2.0.0 queued as \(id)", at: clock.monotonic()))
      }
      clock.advance(by: after)
      history.ended("s0", 0)
      return Duplicates.check(history, Census()).violations
    }
    #expect(check(dies: .milliseconds(50)).isEmpty)
    #expect(check(dies: .milliseconds(51)).count == 1)
  }

  @Test("UID and MODSEQ order: a sequence that does not grow is told")
  func order() {
    let world = World(Scenario.from(seed: 1, servers: 1, days: 1, messages: 0, faults: 0))
    let reader = world.servers[0].reader
    let account = AccountID(rawValue: 1)
    for (modSeq, expected) in [(5, 0), (6, 0), (6, 1), (4, 2)] as [(UInt64, Int)] {
      reader.changed(account: account, modSeq: ModSeq(rawValue: modSeq))
      #expect(world.history.violations.count == expected)
    }
  }

  @Test("UID and MODSEQ order: UIDs that fall, come twice or become another message, and another UIDVALIDITY, are told")
  func mailbox() {
    func mailbox(_ uidNext: UInt32, _ modSeq: UInt64, validity: UInt32 = 1) -> Mailbox {
      Mailbox(
        id: MailboxID(rawValue: 1), account: AccountID(rawValue: 1), name: "INBOX",
        uidValidity: UIDValidity(rawValue: validity), uidNext: UID(rawValue: uidNext), highestModSeq: ModSeq(rawValue: modSeq),
        messages: 1, unseen: 0, deleted: 0, size: 1)
    }
    func entry(_ uid: UInt32, _ body: Int64) -> MailboxEntry {
      MailboxEntry(
        mailbox: MailboxID(rawValue: 1), uid: UID(rawValue: uid), modSeq: ModSeq(rawValue: 1), flags: Flags(),
        internalDate: clock.now(), savedDate: clock.now(), size: 1, emailID: 1, threadID: 1, body: BodyID(rawValue: body),
        deliveryPrefix: [], summary: MessageSummary())
    }
    var seen = MailboxOrder.Seen(mailbox(1, 1))
    #expect(seen.look(at: mailbox(3, 4)).isEmpty)
    #expect(seen.read([entry(1, 7), entry(2, 8)], in: mailbox(3, 4)).new.count == 2)
    #expect(seen.read([entry(1, 7), entry(2, 8)], in: mailbox(3, 4)).new.isEmpty)
    #expect(seen.look(at: mailbox(2, 3)).count == 2, "UIDNEXT and HIGHESTMODSEQ fell")
    #expect(seen.look(at: mailbox(3, 4, validity: 2)).count == 1)
    #expect(seen.read([entry(1, 9)], in: mailbox(3, 4)).broken.count == 1, "another message")
    #expect(seen.read([entry(2, 8), entry(1, 7)], in: mailbox(3, 4)).broken.count == 1, "out of order")
    #expect(seen.look(at: mailbox(6, 4)).isEmpty)
    #expect(seen.read([], in: mailbox(6, 4)).broken.isEmpty)
    #expect(seen.read([entry(4, 5)], in: mailbox(6, 4)).broken.count == 1, "a UID that had been passed over")
  }

  @Test("trace complete: an unknown outcome, one that is not so, and a missing trace are told")
  func trace() {
    let id = "\(QueueID(rawValue: 1))"
    #expect(TraceComplete.check(history(id: id), Census()).violations.count == 1, "no trace at all")
    #expect(TraceComplete.check(history(id: id), Census([message()])).violations.count == 1, "unknown")
    #expect(TraceComplete.check(history(id: id), Census([message(queued: ["u1@s1.sim"])])).violations.isEmpty)
    let relayed = message("s0", 1, [event(.relayed, "u1@s1.sim", ("reply", "250 2.0.0 queued as h0x1"))])
    #expect(TraceComplete.check(history(id: id), Census([relayed])).violations.count == 1, "nobody took it")
    let real = history(id: id)
    real.add(taken("h0x1"))
    #expect(TraceComplete.check(real, Census([relayed])).violations.isEmpty)
    let delivered = message("s0", 1, [event(.delivered, "u1@s1.sim")])
    #expect(TraceComplete.check(history(id: id), Census([delivered])).violations.count == 1, "in no mailbox")
    let bounced = message("s0", 1, [event(.bounced, "u1@s1.sim", ("reason", "no"))])
    #expect(TraceComplete.check(history(id: id), Census([bounced])).violations.count == 1, "nobody was told")
    let untold = message("s0", 1, [event(.bounced, "u1@s1.sim", ("reason", "no"), ("told", "nobody: no notification wanted"))])
    #expect(TraceComplete.check(history(id: id), Census([untold])).violations.count == 1, "who wanted to hear")
    #expect(TraceComplete.check(history(id: id, notify: .never), Census([untold])).violations.isEmpty)
  }

  @Test("memory budget, retry pace, drained: what is over the limit is told")
  func limits() {
    #expect(MemoryBudget.excesses(MemoryUse(jobs: 5, bodies: 5, connections: 5, content: 5, wires: 5), wires: 1).isEmpty)
    let much = MemoryUse(jobs: 1_000, bodies: 1 << 30, connections: 100, content: 1 << 30, wires: 1 << 30)
    #expect(MemoryBudget.excesses(much, wires: 3).count == 5)
    func attempts(_ pause: Duration, clockSet: Bool = false) -> [Violation] {
      let history = history()
      for _ in 0..<4 {
        history.add(
          History.Handed(
            server: "s0", life: 1, entry: 1, message: "q1", address: "u1@s1.sim", destination: "s1.sim", kind: .transient,
            reply: "",
            at: clock.monotonic()))
        clock.advance(by: pause)
        if clockSet { history.clockSet("s0") }
      }
      return RetryPace.check(history)
    }
    #expect(attempts(.seconds(2)).count == 1)
    #expect(attempts(.seconds(300)).isEmpty)
    #expect(attempts(.seconds(2), clockSet: true).isEmpty)
    #expect(Drained.check(Census([message(queued: ["u1@s1.sim"])])).count == 1)
    #expect(Drained.check(Census([message()])).isEmpty)
  }
}
