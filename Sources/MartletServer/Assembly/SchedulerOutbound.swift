import Delivery
import MailModel
import NIOCore
import Sessions
import Synchronization

/// Hands fresh messages to the scheduler, on the loop that delivery runs on.
final class SchedulerOutbound: Outbound {
  private let loop: ServerLoop
  private let scheduler = Mutex<Scheduler?>(nil)

  init(loop: ServerLoop) { self.loop = loop }

  /// The scheduler is made after those who hand over to it.
  func connect(_ scheduler: Scheduler) { self.scheduler.withLock { $0 = scheduler } }

  func submit(_ message: QueuedMessage, bytes: ByteBuffer?) {
    guard let scheduler = scheduler.withLock({ $0 }) else { return }
    if loop.loop.inEventLoop {
      scheduler.submit(message, bytes: bytes)
    } else {
      loop.loop.execute { scheduler.submit(message, bytes: bytes) }
    }
  }
}
