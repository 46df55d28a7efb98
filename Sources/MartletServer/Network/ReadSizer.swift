import NIOCore

/// How large the next read's buffer is: one size for commands, a larger one while the peer fills it.
struct ReadSizer: RecvByteBufferAllocator {
  private let small: Int
  private let large: Int
  private var size: Int

  init(limits: ServerLimits) {
    small = limits.readSize
    large = limits.largeReadSize
    size = limits.readSize
  }

  func buffer(allocator: ByteBufferAllocator) -> ByteBuffer {
    allocator.buffer(capacity: size)
  }

  func nextBufferSize() -> Int? { size }

  mutating func record(actualReadBytes: Int) -> Bool {
    let wanted = actualReadBytes >= small ? large : small
    let grows = wanted > size
    size = wanted
    return grows
  }
}
