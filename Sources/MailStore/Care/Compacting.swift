import MailModel
import NIOCore
import Outside

extension SQLiteStore {
  /// Gives up what retention allows, copies live bodies out of segments that are mostly dead, and frees those.
  ///
  /// A body is copied and synced before its pointer is switched; a segment is taken back only when the database no longer names it and every
  /// read that may have looked up an old pointer has ended. Stopping anywhere loses nothing.
  public func compact(progress: @escaping @Sendable (VerifyProgress) -> Void) async throws(StoreError) -> Int64 {
    let uses = try await readers.read { try StoreParts.segmentUses(in: $0) }
    let segments = try await group.perform { [bodies] _, _ in try bodies.compactable(uses) }
    let octets = Dictionary(uses.map { ($0.segment, Int64(clamping: $0.octets)) }, uniquingKeysWith: max)
    let total = segments.reduce(Int64(0)) { $0 + (octets[$1] ?? 0) }
    var done: Int64 = 0
    for segment in segments {
      var next: Int64? = Int64.min
      while let after = next {
        let page = try await readers.read { try Self.bodies(in: segment, after: after, $0) }
        next = page.last?.id
        guard !page.isEmpty else { break }
        done += try await move(page)
        progress(VerifyProgress(done: done, total: max(total, done), what: "octets copied"))
      }
    }
    return try await release(segments)
  }

  private struct Placed: Sendable {
    var id: Int64
    var location: SegmentLocation
  }

  private static func bodies(in segment: UInt32, after: Int64, _ database: Database) throws -> [Placed] {
    try database.all(
      "SELECT id, extents FROM messages WHERE segment = ? AND id > ? AND damaged = 0 ORDER BY id LIMIT 16",
      [.int(Int64(segment)), .int(after)]
    ) { row in
      SegmentLocation(segment: segment, encodedExtents: row.blob(1)).map { Placed(id: row.int(0), location: $0) }
    }.compactMap { $0 }
  }

  /// Copies, syncs, switches; octets moved. A body that is damaged stays where it is, for `verify` to tell.
  private func move(_ page: [Placed]) async throws(StoreError) -> Int64 {
    let copies = try await copyBodies(page)
    let moved = copies.map(\.1)
    do {
      try await group.perform { writer, _ in
        for (placed, copy) in copies {
          try writer.database.run(
            "UPDATE messages SET segment = ?, extents = ? WHERE id = ? AND segment = ? AND extents = ?", .int(Int64(copy.segment)),
            .blob(copy.encodedExtents), .int(placed.id), .int(Int64(placed.location.segment)), .blob(placed.location.encodedExtents)
          )
        }
      }
    } catch {
      bodies.abandoned(moved)
      throw error
    }
    bodies.accepted(moved)
    return copies.reduce(0) { $0 + Int64(clamping: $1.0.location.footprint) }
  }

  /// On the checkpoint worker: the copying stands in nobody's way.
  private func copyBodies(_ page: [Placed]) async throws(StoreError) -> [(Placed, SegmentLocation)] {
    try await checkpointer.perform { [bodies] () throws(StoreError) in
      var copies: [(Placed, SegmentLocation)] = []
      do throws(StoreError) {
        for placed in page where try bodies.verify(placed.location) {
          copies.append((placed, try bodies.copy(placed.location)))
        }
        try bodies.sync(copies.map(\.1))
      } catch {
        bodies.abandoned(copies.map(\.1))
        throw error
      }
      return copies
    }
  }

  /// Takes back those of `segments` that nothing names any more, after every read that may be in them.
  private func release(_ segments: [UInt32]) async throws(StoreError) -> Int64 {
    let named = try await group.perform { writer, _ in Set(try StoreParts.segmentUses(in: writer.database).map(\.segment)) }
    try await readers.drained()
    let free = segments.filter { !named.contains($0) }
    return try await checkpointer.perform { [bodies] () throws(StoreError) in try bodies.recycle(free) }
  }

  public func close() async { await parts.close() }
}
