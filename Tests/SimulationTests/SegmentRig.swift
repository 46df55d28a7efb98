import MartletSimulation
import NIOCore
import Outside
import Testing

@testable import MailStore

/// Body segments on a simulated disk with a simulated worker.
struct SegmentRig {
  let disk: FaultyDisk
  let executor: SimulatedExecutor
  let segments: BodySegments

  static var smallLimits: SegmentLimits {
    var limits = SegmentLimits()
    limits.segmentSize = 65_536
    limits.recordSize = 4_096
    limits.spoolMemory = 2_048
    limits.spoolUnwritten = 8_192
    return limits
  }

  init(
    _ image: DiskImage = DiskImage(), seed: UInt64 = 1, recording: Bool = false, limits: SegmentLimits = smallLimits,
    live: [SegmentUse] = []
  ) throws {
    disk = FaultyDisk(image, recording: recording)
    executor = SimulatedExecutor(seed: seed)
    segments = BodySegments(disk: disk, workers: executor, limits: limits)
    try segments.start(live)
  }

  /// `count` octets that a seed makes.
  static func bytes(_ count: Int, seed: UInt64) -> ByteBuffer {
    let random = SeededRandom(seed: seed)
    var buffer = ByteBuffer()
    while buffer.readableBytes < count { buffer.writeInteger(random.next()) }
    return buffer.getSlice(at: 0, length: count) ?? ByteBuffer()
  }

  /// Spools a body in pieces.
  func spool(_ body: ByteBuffer, piece: Int) throws -> SpooledBody {
    try executor.run { [segments] in
      let spool = segments.makeSpool()
      var rest = body
      while let slice = rest.readSlice(length: min(piece, rest.readableBytes)), slice.readableBytes > 0 {
        try await spool.append(slice)
      }
      return try await spool.finish()
    }
  }

  func whole(_ location: SegmentLocation) throws -> ByteBuffer { try segments.read(location, range: 0..<location.length) }
}

extension SpooledBody {
  var location: SegmentLocation? {
    if case .segment(let location) = place { location } else { nil }
  }
}
