import InternetMessage
import MailModel
import MailStore
import NIOCore
import Outside

/// A message on its way in: its bytes go to the spool, and once past the observer, as they come. Chunks (BDAT) share one.
final class Intake {
  let spool: any BodySpool
  var observer: MessageObserver
  let started: MonotonicInstant
  let receivedBefore: UInt64
  /// The store could not take it; the rest is thrown away and the reply says why.
  var failure: StoreError?

  init(spool: any BodySpool, started: MonotonicInstant, receivedBefore: UInt64) {
    self.spool = spool
    self.observer = MessageObserver()
    self.started = started
    self.receivedBefore = receivedBefore
  }

  func take(_ bytes: ByteBuffer) async {
    guard failure == nil else { return }
    observer.observe(bytes)
    do throws(StoreError) {
      try await spool.append(bytes)
    } catch {
      failure = error
      spool.discard()
    }
  }
}
