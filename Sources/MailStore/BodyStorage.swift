import MailModel
import NIOCore

/// What the store's transactions need of the place where large bodies live. `BodySegments` is the real one.
///
/// Order of a message: `append` (or a spool) -> `sync` -> the transaction that points to it -> `accepted`. A location is pending from
/// the moment it is handed out until `accepted` or `abandoned`; a segment with pending locations is never recycled. Whether anything
/// still points to a segment is asked of the database (`SegmentUse`), never counted here.
///
/// Failures: `full` (ENOSPC, EDQUOT), `damaged` is the caller's to say (`verify` gives false), everything else `unavailable`. A failed
/// `sync` is final for the segment: it is abandoned, never synced again.
package protocol BodyStorage: Sendable {
  /// A spool: small bodies stay in memory (`SpooledBody.Place.memory`), larger ones stream into a segment. Does not block.
  func makeSpool() -> any BodySpool

  /// Writes one body, its parts one after another; for a group whose bodies are large together. Called on the writer. Pending after it.
  func append(_ parts: [ByteBuffer]) throws(StoreError) -> SegmentLocation

  /// Makes these locations durable, one sync a file at most. Called on the writer, before the transaction that points to them.
  func sync(_ locations: [SegmentLocation]) throws(StoreError)

  /// The pointers to these are durable: no longer pending.
  func accepted(_ locations: [SegmentLocation])

  /// Nothing will point to these (group failed, `append` given up): no longer pending.
  func abandoned(_ locations: [SegmentLocation])

  /// Bytes `range` of a body, clamped to what is there, every record that is touched checked (`unavailable` if one is damaged).
  /// Called on a reader.
  func read(_ location: SegmentLocation, range: Range<Int>) throws(StoreError) -> ByteBuffer

  /// Whether the body's bytes have its checksum, and the record in the segment agrees. False is damage; throws if it can't be read.
  func verify(_ location: SegmentLocation) throws(StoreError) -> Bool

  /// Tells what the database points to, once, before anything else is called: segments without use are recycled, the others are
  /// closed to new bodies. Nil if that can't be read: then everything is kept.
  func start(_ live: [SegmentUse]?) throws(StoreError)

  /// Segments worth compacting, most dead first, of `among` (nil: of all). Not those that are still being filled or have pending locations.
  func compactable(_ live: [SegmentUse], among: Set<UInt32>?) throws(StoreError) -> [UInt32]

  /// Copies a body to the segment being filled, checksum checked on the way (`unavailable` if it does not match). Pending after it.
  func copy(_ location: SegmentLocation) throws(StoreError) -> SegmentLocation

  /// Takes back segments that nothing points to and that no reader can be in; octets that became free, with what the start of the
  /// store had freed before. Those with pending locations are left.
  func recycle(_ segments: [UInt32]) throws(StoreError) -> Int64

  /// Closes every file; later calls fail with `closed`.
  func close()
}

/// What the database points to in one segment.
package struct SegmentUse: Hashable, Sendable {
  package var segment: UInt32
  /// Octets that the bodies pointed to take up (`SegmentLocation.footprint`).
  package var octets: UInt64
  /// The end of the last of them.
  package var end: UInt64

  package init(segment: UInt32, octets: UInt64, end: UInt64) {
    self.segment = segment
    self.octets = octets
    self.end = end
  }
}
