/// What bounds the body segments.
public struct SegmentLimits: Hashable, Sendable {
  /// Octets after which a segment takes no new body, and to which spare ones are filled with zeros: 64 MiB. A body that began in it
  /// may run past the end.
  public var segmentSize: UInt64 = 67_108_864

  /// Segments kept ready, zeroed or recycled: 1.
  public var spareSegments: Int = 1

  /// Octets that must be free beside a spare segment before one is filled with zeros: 256 MiB, as much as the store's reserve. With less
  /// the next segment grows with its bodies.
  public var spareMargin: UInt64 = 268_435_456

  /// Octets of a body in one record at most: 256 KiB. A read of any octet of it reads and checks all of it.
  public var recordSize: Int = 262_144

  /// Octets a spool keeps in memory before it streams: 64 KiB.
  public var spoolMemory: Int = 65_536

  /// The same while all spools together are over `spoolMemoryTotal`: 8 KiB.
  public var spoolMemoryPressed: Int = 8_192

  /// Octets a spool may have taken and not written yet before `append` waits: 1 MiB.
  public var spoolUnwritten: Int = 1_048_576

  /// Octets in memory of all spools together above which each keeps less and waits for each of its writes: 64 MiB.
  public var spoolMemoryTotal: Int = 67_108_864

  /// Octets of one body at most: 4 GiB; refused with `StoreError.invalid`.
  public var bodySize: Int = 4_294_967_296

  /// Octets a read gives at most: 1 MiB.
  public var readSize: Int = 1_048_576

  /// Files of full segments kept open for reading: 64.
  public var openFiles: Int = 64

  public init() {}
}
