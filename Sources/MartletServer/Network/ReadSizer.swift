import NIOCore

/// How large the next read's buffer is: small for the first, one size for commands, a larger one while the peer fills it.
///
/// NIO keeps the first buffer of a channel for good, so it is small; the others are given back once the session has taken
/// their bytes, since no size is offered for keeping (an idle connection would hold 8 KiB; taking a buffer anew costs 25 ns).
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

  func nextBufferSize() -> Int? { nil }

  mutating func record(actualReadBytes: Int) -> Bool {
    let wanted = actualReadBytes >= usual ? large : usual
    let grows = wanted > size
    size = wanted
    return grows
  }
}
