import MartletSimulation
import NIOCore
import Outside
import Synchronization
import Testing

@testable import MailStore

@Suite("Body segments")
struct BodySegmentTests {
  @Test("CRC-32C gives the values of RFC 3720, B.4, in whole and in pieces")
  func checksumVectors() {
    #expect(CRC32C.of([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
    #expect(CRC32C.of([UInt8](repeating: 0xFF, count: 32)) == 0x62A8_AB43)
    #expect(CRC32C.of(Array(0..<32)) == 0x46DD_794E)
    #expect(CRC32C.of(Array("123456789".utf8)) == 0xE306_9283)
    let bytes = Array(SegmentRig.bytes(1_000, seed: 1).readableBytesView)
    for cut in [0, 1, 7, 15, 16, 17, 500, 1_000] {
      var sum = CRC32C()
      bytes.withUnsafeBytes { raw in
        sum.update(UnsafeRawBufferPointer(rebasing: raw[..<cut]))
        sum.update(UnsafeRawBufferPointer(rebasing: raw[cut...]))
      }
      #expect(sum.value == CRC32C.of(bytes))
    }
  }

  @Test("a location survives its encoding, and anything else decodes to nothing or to itself")
  func locationEncoding() throws {
    let location = SegmentLocation(
      segment: 7,
      extents: [
        .init(offset: 4_000_000_000_000, length: 65_536, checksum: .max), .init(offset: 4_000_000_065_576, length: 0, checksum: 0),
        .init(offset: 12, length: .max, checksum: 1),
      ])
    #expect(SegmentLocation(segment: 7, encodedExtents: location.encodedExtents) == location)
    #expect(SegmentLocation(segment: 7, encodedExtents: []) == nil)
    #expect(SegmentLocation(segment: 7, encodedExtents: [UInt8](repeating: 0xFF, count: 40)) == nil)
    #expect(SegmentLocation(segment: 7, encodedExtents: location.encodedExtents.dropLast()) == nil)
    let random = SeededRandom(seed: 3)
    for _ in 0..<20_000 {
      let bytes = random.bytes(Int(random.next(below: 30)))
      if let decoded = SegmentLocation(segment: 1, encodedExtents: bytes) {
        #expect(SegmentLocation(segment: 1, encodedExtents: decoded.encodedExtents) == decoded)
      }
    }
  }

  @Test("bodies of every size come back, whole and in parts, from memory and from a spool")
  func roundTrip() throws {
    let rig = try SegmentRig()
    for (index, size) in [0, 1, 39, 40, 41, 2_048, 2_049, 4_096, 4_097, 10_000, 70_000, 200_000].enumerated() {
      let body = SegmentRig.bytes(size, seed: UInt64(index))
      let location = try rig.segments.append([body])
      try rig.segments.sync([location])
      rig.segments.accepted([location])
      #expect(try rig.whole(location) == body)
      #expect(try rig.segments.verify(location))
      let spooled = try rig.spool(body, piece: 1_500)
      guard let other = spooled.location else {
        #expect(size <= 2_048, "only small bodies stay in memory")
        continue
      }
      try rig.segments.sync([other])
      #expect(spooled.size == size && other.length == size)
      #expect(try rig.whole(other) == body)
      for range in [0..<1, 0..<size, size / 2..<size, 4_000..<4_200, size - 1..<size + 10, -5..<3, size..<size + 1] {
        let clamped = range.clamped(to: 0..<size)
        let part = body.getSlice(at: clamped.lowerBound, length: clamped.count)
        #expect(try rig.segments.read(other, range: range) == part)
      }
    }
  }

  @Test("many spools at once interleave and keep their bodies apart")
  func concurrentSpools() throws {
    for seed in UInt64(1)...20 {
      let rig = try SegmentRig(seed: seed)
      let segments = rig.segments
      let bodies = (0..<12).map { SegmentRig.bytes(3_000 + $0 * 2_777, seed: seed &* 100 &+ UInt64($0)) }
      let spooled = try rig.executor.run {
        try await withThrowingTaskGroup(of: (Int, SpooledBody).self) { group in
          for (index, body) in bodies.enumerated() {
            group.addTask {
              let spool = segments.makeSpool()
              var rest = body
              while let slice = rest.readSlice(length: min(700, rest.readableBytes)), slice.readableBytes > 0 {
                try await spool.append(slice)
                await Task.yield()
              }
              return (index, try await spool.finish())
            }
          }
          return try await group.reduce(into: [Int: SpooledBody]()) { $0[$1.0] = $1.1 }
        }
      }
      for (index, body) in bodies.enumerated() {
        let location = try #require(spooled[index]?.location)
        try segments.sync([location])
        #expect(try rig.whole(location) == body)
      }
      #expect(segments.spooled.load(ordering: .relaxed) == 0, "what was written is no longer counted as memory")
    }
  }

  @Test("a spool waits when the disk is behind, and never holds more than its limit and one piece")
  func backPressure() throws {
    let rig = try SegmentRig()
    let segments = rig.segments
    let greatest = try rig.executor.run {
      let spool = segments.makeSpool()
      var greatest = 0
      for _ in 0..<200 {
        try await spool.append(ByteBuffer(repeating: 7, count: 1_000))
        greatest = max(greatest, segments.spooled.load(ordering: .relaxed))
      }
      _ = try await spool.finish()
      return greatest
    }
    #expect(greatest <= rig.segments.limits.spoolUnwritten + 1_000)
    #expect(greatest > 0)
  }

  @Test("a discarded spool leaves nothing behind that pins its segment or counts as memory")
  func discard() throws {
    let rig = try SegmentRig()
    let segments = rig.segments
    try rig.executor.run {
      for size in [10, 5_000, 30_000] {
        let spool = segments.makeSpool()
        try await spool.append(ByteBuffer(repeating: 1, count: size))
        spool.discard()
        await #expect(throws: StoreError.self) { try await spool.append(ByteBuffer(repeating: 1, count: 1)) }
        await #expect(throws: StoreError.self) { _ = try await spool.finish() }
      }
    }
    rig.executor.settle()
    #expect(segments.spooled.load(ordering: .relaxed) == 0)
    #expect(segments.state.withLock { $0.current?.pins.load(ordering: .acquiring) ?? 0 } == 0)
  }

  /// Puts in bodies of 6,000 octets, ten of which fill a segment.
  private func fill(_ rig: SegmentRig, _ bodies: Range<Int>) throws {
    for index in bodies {
      let location = try rig.segments.append([SegmentRig.bytes(6_000, seed: UInt64(index))])
      try rig.segments.sync([location])
      rig.segments.accepted([location])
      rig.executor.settle()
    }
  }

  private func spares(_ rig: SegmentRig) -> Int { rig.segments.state.withLock { $0.spares.count } }

  @Test("no spare is made of what the reserve is to have; there is one again as soon as there is room (HOSTILE 55)")
  func noSpareWithoutRoom() throws {
    var limits = SegmentRig.smallLimits
    limits.spareMargin = 100_000
    let rig = try SegmentRig(limits: limits)
    // Room for the bodies and a spare, but not for the margin beside them.
    rig.disk.setCapacity(65_536 + 100_000 + 32_768)
    try fill(rig, 0..<10)
    #expect(rig.disk.image.names.keys.filter { $0.hasSuffix(".seg") } == [BodySegments.path(of: 1)])
    #expect(spares(rig) == 0)
    rig.disk.setCapacity(.max)
    try fill(rig, 10..<18)
    #expect(spares(rig) == 1)
  }

  @Test("at a quota, which does not show in what is free, a spare is tried once a segment and not for each body (HOSTILE 55)")
  func spareAtQuota() throws {
    final class Tries: Sendable { let count = Atomic<Int>(0) }
    let rig = try SegmentRig()
    let tries = Tries()
    // The spare's zeros are what does not fit.
    rig.disk.setFaults { request in
      guard request.kind == .write, request.count >= 65_536 else { return nil }
      tries.count.add(1, ordering: .relaxed)
      return .fail(.full)
    }
    try fill(rig, 0..<30)
    #expect(tries.count.load(ordering: .relaxed) == 3)
    #expect(rig.disk.image.names.keys.count { $0.hasSuffix(".seg") } == 3)
    rig.disk.setFaults(nil)
    try fill(rig, 30..<38)
    #expect(spares(rig) == 1)
  }

  @Test("segments are prepared with zeros, taken over in order, and recycled under new numbers")
  func recycling() throws {
    let rig = try SegmentRig()
    var locations: [SegmentLocation] = []
    for index in 0..<60 {
      let location = try rig.segments.append([SegmentRig.bytes(6_000, seed: UInt64(index))])
      try rig.segments.sync([location])
      rig.segments.accepted([location])
      locations.append(location)
      rig.executor.settle()
    }
    let used = Set(locations.map(\.segment)).sorted()
    #expect(used.count >= 5)
    #expect(
      used.dropFirst().allSatisfy { rig.disk.image[BodySegments.path(of: $0)]?.count == 65_536 }, "all but the first were zeroed")
    // Everything but the last segment and one body in the first dies.
    let survivor = try #require(locations.first)
    let live = [SegmentUse(segment: survivor.segment, octets: survivor.footprint, end: survivor.end)]
    let offered = try rig.segments.compactable(live)
    #expect(!offered.contains(try #require(used.last)), "the one being filled is not offered")
    #expect(offered.last == survivor.segment, "the emptiest first")
    let moved = try rig.segments.copy(survivor)
    try rig.segments.sync([moved])
    rig.segments.accepted([moved])
    let sizes = offered.map { Int64(rig.disk.image[BodySegments.path(of: $0)]?.count ?? 0) }
    #expect(try rig.segments.recycle(offered) == sizes.reduce(0, +))
    rig.executor.settle()
    #expect(try rig.whole(moved) == SegmentRig.bytes(6_000, seed: 0))
    #expect(throws: StoreError.self) { _ = try rig.whole(survivor) }
    for index in 60..<90 {
      let location = try rig.segments.append([SegmentRig.bytes(6_000, seed: UInt64(index))])
      #expect(location.segment > used.last ?? 0 || location.segment == used.last)
      #expect(try rig.whole(location) == SegmentRig.bytes(6_000, seed: UInt64(index)))
      rig.executor.settle()
    }
  }

  @Test("a segment with a body that has no pointer yet is not offered for recycling")
  func pinned() throws {
    let rig = try SegmentRig()
    var spooled: SpooledBody? = try rig.spool(SegmentRig.bytes(9_000, seed: 1), piece: 1_000)
    let number = try #require(spooled?.location?.segment)
    for index in 0..<20 { rig.segments.abandoned([try rig.segments.append([SegmentRig.bytes(6_000, seed: UInt64(index))])]) }
    #expect(!(try rig.segments.compactable([]).contains(number)))
    #expect(try rig.segments.recycle([number]) == 0, "not offered, so not recycled")
    #expect(spooled?.size == 9_000)
    spooled = nil
    #expect(try rig.segments.compactable([]).contains(number))
  }

  @Test("a failed sync is final for its segment, also when the next one would succeed (HOSTILE 54)")
  func failedSync() throws {
    let rig = try SegmentRig()
    let first = try rig.segments.append([SegmentRig.bytes(5_000, seed: 1)])
    try rig.segments.sync([first])
    let second = try rig.segments.append([SegmentRig.bytes(5_000, seed: 2)])
    let failing = rig.disk.requests
    rig.disk.setFaults { $0.kind == .sync && $0.number == failing ? .fail(.failed) : nil }
    #expect(throws: StoreError.self) { try rig.segments.sync([second]) }
    #expect(throws: StoreError.self) { try rig.segments.sync([second]) }
    let third = try rig.segments.append([SegmentRig.bytes(5_000, seed: 3)])
    #expect(third.segment != second.segment)
    try rig.segments.sync([third])
    #expect(try rig.whole(first) == SegmentRig.bytes(5_000, seed: 1), "what was durable before stays readable")
  }

  @Test("a full disk is told as such, and the segment goes on once there is room (HOSTILE 55)")
  func fullDisk() throws {
    let rig = try SegmentRig()
    let first = try rig.segments.append([SegmentRig.bytes(5_000, seed: 1)])
    rig.disk.setCapacity(8_000)
    #expect(throws: StoreError.full) { _ = try rig.segments.append([SegmentRig.bytes(5_000, seed: 2)]) }
    #expect(throws: StoreError.full) { _ = try rig.spool(SegmentRig.bytes(50_000, seed: 2), piece: 1_000) }
    rig.disk.setCapacity(.max)
    let third = try rig.segments.append([SegmentRig.bytes(5_000, seed: 3)])
    #expect(third.segment == first.segment)
    #expect(try rig.whole(third) == SegmentRig.bytes(5_000, seed: 3))
  }

  @Test("every flipped bit of a record is found (HOSTILE 56)")
  func bitFlips() throws {
    let rig = try SegmentRig()
    let body = SegmentRig.bytes(600, seed: 5)
    let location = try rig.segments.append([body])
    let neighbour = try rig.segments.append([body])
    let count = SegmentRecord.headerSize + 600
    for octet in 0..<count {
      rig.disk.setReads { _, offset, bytes in
        var bytes = bytes
        if offset <= octet, octet < offset + bytes.count { bytes[octet - offset] ^= UInt8(1 << (octet % 8)) }
        return bytes
      }
      #expect(try !rig.segments.verify(location), "octet \(octet)")
      #expect(throws: StoreError.self) { _ = try rig.segments.read(location, range: 0..<1) }
      #expect(try rig.whole(neighbour) == body)
    }
  }

  @Test("misdirected, stale and lost writes and short reads are found (HOSTILE 57)")
  func wrongSectors() throws {
    let rig = try SegmentRig()
    let body = SegmentRig.bytes(3_000, seed: 5)
    let victim = try rig.segments.append([body])
    // A later record is written over an earlier one.
    rig.disk.setFaults { $0.kind == .write ? .misdirect(offset: 0) : nil }
    let wandered = try rig.segments.append([body])
    rig.disk.setFaults(nil)
    #expect(try !rig.segments.verify(victim), "the same bytes, from another place")
    #expect(try !rig.segments.verify(wandered))
    rig.disk.setFaults { $0.kind == .write ? .swallow : nil }
    let lost = try rig.segments.append([body])
    rig.disk.setFaults(nil)
    #expect(try !rig.segments.verify(lost))
    let good = try rig.segments.append([body])
    #expect(try rig.segments.verify(good))
    rig.disk.setReads { _, _, bytes in Array(bytes.dropLast(512)) }
    #expect(try !rig.segments.verify(good), "a short read")
    // One sector from the file's earlier life.
    rig.disk.setReads { _, offset, bytes in
      var bytes = bytes
      for index in 1_024..<1_536 { bytes[index] = 0 }
      return bytes
    }
    #expect(try !rig.segments.verify(good), "a stale sector")
  }
}
