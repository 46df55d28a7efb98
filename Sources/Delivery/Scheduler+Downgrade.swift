import InternetMessage
import MailStore
import NIOCore

/// Bodies for hosts that take 7-bit only (RFC 6152, 3).
extension Scheduler {
  /// The job's message re-encoded to 7-bit; nil if that can't be done without harm: it is then returned with `554 5.6.3`.
  func sevenBit(_ job: Job) async -> ByteBuffer? {
    let size = job.message.size
    guard size <= settings.limits.downgrade else { return nil }
    var message: [UInt8] = []
    if let kept = job.hand.bytes {
      message = Array(kept.readableBytesView)
    } else {
      do throws(StoreError) {
        while message.count < size {
          let page = try await services.store.read(
            job.message.body, range: message.count..<min(message.count + settings.limits.page, size))
          guard page.readableBytes > 0 else { return nil }
          message += Array(page.readableBytesView)
        }
      } catch {
        return nil
      }
    }
    do throws(SevenBitDowngrade.Refusal) {
      return ByteBuffer(bytes: try SevenBitDowngrade.convert(message))
    } catch {
      return nil
    }
  }
}
