import Foundation
import MartletSimulation
import Outside
import Synchronization
import Testing

@testable import MailStore

/// What a campaign did.
struct CutCounts {
  var runs = 0
  var cuts = 0
  var operations = 0
  var acknowledged = 0
  var claimed = 0
}

enum PowerCuts {
  /// `CUTS=100000 SEED=7` make a campaign longer and another one.
  static func setting(_ name: String, _ standard: Int) -> Int {
    ProcessInfo.processInfo.environment[name].flatMap(Int.init) ?? standard
  }

  /// Every cut of one run, at most `limit`; a cut whose image and oracle are those of the one before is not repeated.
  static func enumerate(
    _ run: CrashRun, limit: Int, every step: Int = 1, onlyAtAcknowledgements: Bool = false, counts: inout CutCounts
  ) throws {
    let check = CrashCheck(run)
    counts.runs += 1
    counts.operations += run.operations.count
    counts.acknowledged += check.acknowledged(at: .max)
    var sweep = PowerCutSweep(base: run.base, operations: run.operations, seed: run.seed)
    var settled = -1
    defer { counts.claimed += run.recorder.claims }
    let end = limit > Int.max - counts.cuts ? Int.max : counts.cuts + limit
    while !sweep.isAtEnd, counts.cuts < end {
      sweep.advance()
      if step > 1, sweep.position % step != 0 { continue }
      if check.isUnknown(at: sweep.position) { continue }
      let acknowledged = check.acknowledged(at: sweep.position)
      if onlyAtAcknowledgements {
        guard acknowledged != check.acknowledged(at: sweep.position - 1) else { continue }
      }
      for survival in Survival.allCases {
        if survival != .kept, !sweep.hasUnsynced { continue }
        // What is dropped changes the image only with a sync, and what must be there only with an acknowledgement.
        if survival == .dropped {
          guard acknowledged != settled || sweep.last?.isSync == true else { continue }
          settled = acknowledged
        }
        counts.cuts += 1
        do {
          try check.check(sweep.image(survival), at: sweep.position, goesOn: counts.cuts % 8 == 0, seed: UInt64(sweep.position))
        } catch {
          throw CrashFailure("seed \(run.seed), cut \(sweep.position) of \(run.operations.count), \(survival): \(error)")
        }
      }
    }
  }
}

extension DiskOperation {
  var isSync: Bool {
    switch self {
    case .sync, .failedSync, .syncFolder: true
    default: false
    }
  }
}

@Suite("Power cuts", .serialized)
struct PowerCutTests {
  @Test("after every power cut exactly the acknowledged is there, and at most whole unacknowledged operations (HOSTILE 53)")
  func enumerate() throws {
    // `make crash` gives seconds instead of a number of cuts, and seeds that no run had before.
    let long = PowerCuts.setting("MARTLET_LONG_SECONDS", 0)
    let wanted = PowerCuts.setting("CUTS", long > 0 ? Int.max : 20_000)
    let first = PowerCuts.setting("SEED", long > 0 ? Int(Date().timeIntervalSince1970) : 1)
    var seed = UInt64(first)
    var counts = CutCounts()
    let clock = ContinuousClock()
    let began = clock.now
    while counts.cuts < wanted, long == 0 || clock.now - began < .seconds(long) {
      try PowerCuts.enumerate(try CrashRun.record(seed: seed), limit: wanted - counts.cuts, counts: &counts)
      seed += 1
    }
    let seconds = (clock.now - began).components
    #expect(counts.claimed > counts.cuts / 10)
    let rate = Double(counts.cuts) / (Double(seconds.seconds) + Double(seconds.attoseconds) / 1e18)
    print(
      "figures: power cuts: \(counts.cuts) cuts in \(counts.runs) runs from seed \(first) (\(counts.operations) disk operations, \(counts.acknowledged) acknowledgements), \(counts.claimed) leases taken again, 0 lost, \(Int(rate)) cuts/s"
    )
  }

  @Test("the same over a script of 500 operations, cut at a sample of its writes, syncs and renames (HOSTILE 53)")
  func longScript() throws {
    var counts = CutCounts()
    let run = try CrashRun.record(seed: 53, .init(sessions: 5, operations: 100))
    try PowerCuts.enumerate(run, limit: 1_000, every: max(run.operations.count / 400, 1), counts: &counts)
    print("figures: power cuts in a script of 500 operations (\(counts.operations) on the disk): \(counts.cuts) cuts, 0 lost")
    #expect(counts.acknowledged >= 500 && counts.cuts > 500)
  }

  @Test("a power cut during the recovery from a power cut changes nothing, nor one during compaction (HOSTILE 58)")
  func cutRecovery() throws {
    var cuts = 0
    for seed in UInt64(11)...13 {
      let run = try CrashRun.record(seed: seed, .init(sessions: 3, operations: 15))
      let check = CrashCheck(run)
      var sweep = PowerCutSweep(base: run.base, operations: run.operations, seed: seed)
      while !sweep.isAtEnd {
        sweep.advance()
        guard sweep.position % 97 == 0 || sweep.isAtEnd else { continue }
        let first = SimulatedStore(sweep.image(.torn), seed: seed, recording: true)
        try check.check(in: first, at: sweep.position, goesOn: false)
        var second = PowerCutSweep(base: first.disk.base, operations: first.disk.recording, seed: seed)
        while !second.isAtEnd {
          second.advance()
          for survival in Survival.allCases where survival == .kept || second.hasUnsynced {
            cuts += 1
            do {
              try check.check(second.image(survival), at: sweep.position, goesOn: false, seed: seed)
            } catch {
              throw CrashFailure("seed \(seed), cut \(sweep.position), then \(second.position) \(survival): \(error)")
            }
          }
        }
      }
    }
    print("figures: power cuts during recovery: \(cuts) cuts, 0 lost")
    #expect(cuts > 100)
  }

  @Test("clocks that jump ten years on, a day or a leap second back, or stand still change no number and lose nothing (HOSTILE 59)")
  func clockJumps() throws {
    var counts = CutCounts()
    let stopped = Mutex(Timestamp(seconds: 0))
    let shape = CrashRun.Shape(
      sessions: 3, operations: 24,
      between: { world, operation in
        let clock = world.executor.clock
        switch operation % 8 {
        case 1: clock.jump(by: .seconds(-1))
        case 2: world.executor.clock.jump(by: .seconds(315_576_000))
        case 4: world.executor.clock.jump(by: .seconds(-86_400))
        case 5: stopped.withLock { $0 = clock.now() }
        case 6: world.executor.clock.jump(by: .seconds(-315_576_000))
        // As if it had not gone on since then.
        case 7: clock.jump(by: stopped.withLock { $0 }.since(clock.now()))
        default: break
        }
      })
    for seed in UInt64(21)...22 {
      try PowerCuts.enumerate(try CrashRun.record(seed: seed, shape), limit: 1_000, every: 5, counts: &counts)
    }
    print("figures: power cuts with jumping clocks: \(counts.cuts) cuts, 0 lost")
    #expect(counts.cuts > 300)
  }
}
