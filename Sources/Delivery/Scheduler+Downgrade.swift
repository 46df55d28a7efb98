import Bytes
import InternetMessage
import MailStore
import NIOCore

/// Bodies for hosts that take 7-bit only (RFC 6152, 3).
extension Scheduler {
  /// The job's message re-encoded to 7-bit; nil if that can't be done without harm, or the message is over
  /// `DeliveryLimits.convertedMessage`: it is then returned with `554 5.6.3`. Throws if it can't be read just now.
  func sevenBit(_ job: Job) async throws(StoreError) -> ByteBuffer? {
    let size = job.message.size
    guard size <= settings.limits.convertedMessage else { return nil }
    let whole = try await wholeMessage(job, size: size)
    guard let recoder = services.recoder, size > Self.quicklyConverted else { return Self.converted(whole) }
    return await recoder.run { Self.converted(whole) }
  }

  /// Octets that are re-encoded where they are, in less time than going elsewhere and back is worth. 64 KiB.
  private static let quicklyConverted = 65_536

  private static func converted(_ whole: [UInt8]) -> ByteBuffer? {
    guard let converted = try? SevenBitDowngrade.convert(whole) else { return nil }
    return ByteBuffer(bytes: converted)
  }

  /// Whether there is room in memory to re-encode the job's message now; it is taken until the job is over. The first always has it.
  func takesRoomToConvert(_ job: Job) -> Bool {
    let size = job.message.size
    // What is too large is refused, and needs none.
    guard job.conversionOctets == 0, size <= settings.limits.convertedMessage else { return true }
    guard conversionOctets == 0 || conversionOctets.addedClamped(size) <= settings.limits.conversionMemory else { return false }
    job.conversionOctets = size
    conversionOctets += size
    return true
  }

  private func wholeMessage(_ job: Job, size: Int) async throws(StoreError) -> [UInt8] {
    if let bytes = job.hand.bytes { return Array(bytes.readableBytesView) }
    var whole: [UInt8] = []
    whole.reserveCapacity(size)
    while whole.count < size {
      let end = min(size, whole.count + max(settings.limits.page, 1))
      let page = try await services.store.read(job.message.body, range: whole.count..<end)
      guard page.readableBytes > 0 else { throw .unavailable("the stored message is shorter than it was") }
      whole += page.readableBytesView
    }
    return whole
  }
}
