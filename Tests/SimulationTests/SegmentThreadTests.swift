import Dispatch
import MartletSimulation
import NIOCore
import Outside
import Testing

@testable import MailStore

/// Real threads, where the simulation has one: nothing hangs, nothing is mixed up.
@Suite("Body segments with threads")
struct SegmentThreadTests {
  private struct Threads: WorkerProvider {
    struct Worker: SerialWorker {
      let queue: DispatchQueue
      func submit(_ job: @escaping @Sendable () -> Void) { queue.async(execute: job) }
      func submit(after delay: Duration, _ job: @escaping @Sendable () -> Void) {
        queue.asyncAfter(deadline: .now() + .nanoseconds(Int(delay.nanoseconds)), execute: job)
      }
    }
    func makeSerialWorker(named name: String) -> any SerialWorker { Worker(queue: DispatchQueue(label: name)) }
  }

  @Test("spools, appends, syncs, reads and recycling at once on several threads keep every body apart")
  func together() async throws {
    var limits = SegmentRig.smallLimits
    limits.spoolMemoryTotal = 20_000
    let segments = BodySegments(disk: FaultyDisk(), workers: Threads(), limits: limits)
    try segments.start([])
    try await withThrowingTaskGroup(of: Void.self) { group in
      for session in 0..<8 {
        group.addTask {
          for turn in 0..<60 {
            let body = SegmentRig.bytes(500 + (session * 7_919 + turn * 3_571) % 30_000, seed: UInt64(session * 1_000 + turn))
            let location: SegmentLocation
            var held: SpooledBody?
            if turn % 3 == 0 {
              location = try segments.append([body])
            } else {
              let spool = segments.makeSpool()
              var rest = body
              while let piece = rest.readSlice(length: min(1_000, rest.readableBytes)), piece.readableBytes > 0 {
                try await spool.append(piece)
              }
              held = try await spool.finish()
              if turn % 7 == 1 {
                spool.discard()
                continue
              }
              guard let place = held?.location else { continue }
              location = place
            }
            try segments.sync([location])
            #expect(try segments.read(location, range: 0..<location.length) == body)
            segments.accepted([location])
            withExtendedLifetime(held) {}
            // Nothing is alive in the database of this test: what is offered may go.
            if turn % 10 == 9 { _ = try segments.recycle(try segments.compactable([])) }
          }
        }
      }
      try await group.waitForAll()
    }
    #expect(segments.spooled.load(ordering: .relaxed) == 0)
    segments.close()
  }
}
