import NIOCore

/// How large the next read's buffer is: small for the first, one size for commands, a larger one while the peer fills it.
///
/// NIO keeps the first buffer of a channel for good, and grows it for later reads as long as nobody else holds it: an idle
/// connection would hold 8 KiB (measured). So the first one is small and its receiver keeps a hand on it (`isFirst`); the others
/// are given back once the session has taken their bytes. Taking a buffer anew costs 25 ns.
struct ReadSizer: RecvByteBufferAllocator {
  private let usual: Int
  private let large: Int
  private var size: Int

  init(limits: ServerLimits) {
    usual = limits.readSize
    large = limits.largeReadSize
    size = limits.firstReadSize
  }

  func buffer(allocator: ByteBufferAllocator) -> ByteBuffer {
    allocator.buffer(capacity: size)
  }

  func nextBufferSize() -> Int? { size }

  /// Whether `buffer` is a channel's first, to be held on to until the channel closes.
  static func isFirst(_ buffer: ByteBuffer, _ limits: ServerLimits) -> Bool {
    buffer.capacity < limits.readSize
  }

  mutating func record(actualReadBytes: Int) -> Bool {
    let wanted = actualReadBytes >= usual ? large : usual
    let grows = wanted > size
    size = wanted
    return grows
  }
}
