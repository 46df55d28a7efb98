/// What a campaign found, as `docs/reliability.md` tells it. Every figure is one that was counted.
public struct ReliabilityReport: Sendable {
  public var campaign: Campaign
  public var report: Campaign.Report
  public var finds: [PlantHunt.Find]
  public var shrunk: Shrinker.Outcome?
  /// The digests of one seed run twice.
  public var replay: (seed: UInt64, first: UInt64, second: UInt64, events: Int)
  public var seconds: Double
  /// When and of what, as text.
  public var date: String
  public var commit: String

  public init(
    campaign: Campaign, report: Campaign.Report, finds: [PlantHunt.Find], shrunk: Shrinker.Outcome?,
    replay: (seed: UInt64, first: UInt64, second: UInt64, events: Int), seconds: Double, date: String, commit: String
  ) {
    self.campaign = campaign
    self.report = report
    self.finds = finds
    self.shrunk = shrunk
    self.replay = replay
    self.seconds = seconds
    self.date = date
    self.commit = commit
  }

  private var rate: Double { seconds > 0 ? report.serverYears / (seconds / 60) : 0 }

  /// The document.
  public var markdown: String {
    ([head, figures, faults, invariants, duplicates, planted, replayed, means].joined(separator: "\n\n")) + "\n"
  }

  private var head: String {
    let seeds = "\(report.first) to \(report.first + UInt64(max(report.seeds, 1)) - 1)"
    return """
      # Reliability

      Written by `make simulate SEEDS=\(report.seeds)` on \(date), at commit \(commit). Every figure here was counted by that run.

      Whole Martlet servers, sessions and store and delivery as they are shipped, run in a simulated internet: in virtual time, on one
      thread, from a seed. \(campaign.servers) of them a seed, beside 8 mail hosts that are not Martlet and clients honest and hostile. For
      \(campaign.days) days everything goes wrong that can; then the faults stop, and every queue has to drain within two days. What the
      world saw of the servers is judged, never what they say of themselves alone.

      Seeds \(seeds): **\(Self.rounded(report.serverYears)) server-years** in \(Self.rounded(seconds)) s, \(Self.rounded(rate)) server-years a
      minute on one core. **\(report.failures.count) of \(report.seeds) seeds failed.**
      """
  }

  private var figures: String {
    let figures = report.figures
    return Self.table(
      ["what", "count"],
      [
        ("messages that clients sent", figures.messages), ("acknowledged to them", figures.accepted),
        ("copies in mailboxes", figures.delivered), ("taken by other hosts", figures.takenElsewhere),
        ("attempts to deliver", figures.attempts), ("notifications made", figures.notifications),
        ("recipients returned", figures.bounced), ("recipients discarded with a reason", figures.discarded),
        ("lives of server processes", figures.lives), ("recipients queued when the faults stopped", figures.queuedWhenCalm),
        ("outcomes rebuilt from the trace alone", figures.outcomesRebuilt),
        ("refusals that clients were given", figures.refusals),
        ("of which the trace tells one by one", figures.refusalsTold), ("events in the digests", report.events),
        ("most jobs in a server's memory (limit \(World.jobs), and one claim of \(MemoryBudget.claim))", figures.mostJobs),
        ("most octets of messages in a server's memory (limit \(World.bodyMemory))", figures.mostBodies),
        ("most connections of a server's delivery (limit \(World.connections))", figures.mostConnections),
      ].map { [$0.0, "\($0.1)"] })
  }

  private var faults: String {
    let rows = FaultKind.allCases.map { [$0.rawValue, "\(report.figures.faults[$0.rawValue] ?? 0)"] }
    return "## What went wrong\n\nHow often each fault happened. One that never did would fail the test.\n\n"
      + Self.table(["fault", "times"], rows)
  }

  private var invariants: String {
    let names = [
      (
        Conservation.name,
        "each recipient that anybody was told of as taken has a copy in a mailbox or at another host, is queued, was returned to a sender who was told unless they asked not to be, or was discarded with a reason; nothing is anywhere that nobody sent, or other than it was sent"
      ),
      (
        Addressees.name,
        "mailboxes, other hosts and queues have only what was for their owner, for whom they serve, for a recipient; notifications only their sender and the postmaster"
      ),
      (NullPath.name, "nobody but the postmaster hears of what came from the null path; notifications have it themselves"),
      (Notifications.name, "senders hear what they asked for by NOTIFY (RFC 3461, 4.1) and nothing else, and of each stage once"),
      (
        Duplicates.name,
        "a message is handed over again only where its `250` could not be heard (RFC 5321, 4.1.1.4), since a connection truly broke or a process truly died, or within the 50 ms of a removal"
      ),
      (MailboxOrder.name, "UIDs and modification sequences only grow, over power cuts too"),
      (
        TraceComplete.name,
        "the trace alone tells every outcome, and what it tells is so; zero unknown; it tells every refusal that a client was given, but `421` and what a dying process had not written yet (more than 20 of a client in a minute as a number)"
      ),
      (MemoryBudget.name, "jobs, bodies, connections and headers stay within their limits"),
      (Fairness.name, "no destination starves: due at most two hours, in hand at most eight"),
      (DueOrder.name, "due work is read in due order: no claim leaves behind what was due before what it brings"),
      (RetryPace.name, "nothing is tried again before nine tenths of the first pause"),
      (Drained.name, "once the faults stop, all queues drain"),
    ]
    var counts: [String: Int] = [:]
    for failure in report.failures { for violation in failure.violations { counts[violation.invariant, default: 0] += 1 } }
    return "## Invariants\n\nEach a file in [Invariants](../Sources/MartletSimulation/Internet/Invariants).\n\n"
      + Self.table(["invariant", "what it says", "violations"], names.map { [$0.0, $0.1, "\(counts[$0.0] ?? 0)"] })
  }

  private var duplicates: String {
    let rows = Duplicates.Excuse.allCases.map { [$0.rawValue, "\(report.figures.duplicates[$0.rawValue] ?? 0)"] }
    return "## Duplicates that could not be avoided\n\n" + Self.table(["why", "times"], rows)
  }

  private var planted: String {
    let rows = finds.map { find in
      [
        find.plant.rawValue, find.seed.map(String.init) ?? "not found", find.violation?.invariant ?? "",
        find.violation.map { Self.short($0.what) } ?? "",
      ]
    }
    let text = """
      ## Planted faults

      Each put into the servers at a seam between their parts, never into their code, in \(PlantHunt.days) days of each seed from 1 on, until \
      an invariant that is meant to find it does.
      """
    return text + "\n\n" + Self.table(["planted", "found by seed", "invariant", "what it said"], rows)
  }

  private var replayed: String {
    var text = """
      ## One seed replayed

      Seed \(replay.seed) run twice: \(replay.events) events, digests `\(String(replay.first, radix: 16))` and \
      `\(String(replay.second, radix: 16))`\(replay.first == replay.second ? ", the same." : ": NOT the same.")
      """
    if let shrunk {
      text += """


        The seed that found the planted \(shrunk.scenario.plant?.rawValue ?? "fault"), made as small as it gets in \(shrunk.runs) runs. It still \
        says: \(Self.short(shrunk.violation.what)).

        ```
        \(shrunk.scenario.description)
        ```
        """
    }
    return text
  }

  private var means: String {
    """
    ## What it is not

    TLS is a fact here, not cryptography; the disk takes no time, so what waits for a disk does so for the reason that it is full or fails;
    an idle server looks at its queue once an hour instead of once a minute (what is due wakes it all the same); limits are small, so that
    they are met. Threads are tasks of one thread: what only real ones get wrong is for the other tests. `make crash` cuts the power after
    every single write of the store; `martlet simulate --replay SEED` shows what a seed does.
    """
  }

  private static func table(_ head: [String], _ rows: [[String]]) -> String {
    ([head, head.map { _ in "---" }] + rows).map { "| " + $0.joined(separator: " | ") + " |" }.joined(separator: "\n")
  }

  /// One line without what a table would take for its own.
  private static func short(_ text: String) -> String {
    let line = text.replacing("|", with: "/")
    return line.count > 160 ? String(line.prefix(157)) + "..." : line
  }

  static func rounded(_ number: Double) -> String { "\((number * 10).rounded() / 10)" }
}
