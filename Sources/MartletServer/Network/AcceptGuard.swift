import CLinux
import Glibc
import NIOCore
import Outside

/// Keeps a listener alive when descriptors run out: accepting rests for a moment instead of spinning, and a reserve
/// descriptor lets the next in line be told, which is kinder than silence (HOSTILE 60).
///
/// - Confinement: one server channel, on its loop's thread only. That is what makes `@unchecked Sendable` true.
final class AcceptGuard: ChannelDuplexHandler, @unchecked Sendable {
  typealias InboundIn = any Channel
  typealias OutboundIn = any Channel

  private let listener: Listener
  private let descriptor: CInt
  private let limits: ServerLimits
  private var reserve: CInt = -1
  private var isResting = false
  private var readIsHeld = false

  init(listener: Listener, descriptor: CInt, limits: ServerLimits) {
    self.listener = listener
    self.descriptor = descriptor
    self.limits = limits
  }

  func handlerAdded(context: ChannelHandlerContext) {
    takeReserve()
  }

  func handlerRemoved(context: ChannelHandlerContext) {
    releaseReserve()
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    guard let error = error as? IOError else { return }
    switch error.errnoCode {
    case EMFILE, ENFILE: refuseNext()
    case ENOBUFS, ENOMEM: break
    default: return
    }
    guard !isResting else { return }
    isResting = true
    let rest = TimeAmount.nanoseconds(limits.acceptBackoff.nanoseconds)
    context.eventLoop.assumeIsolated().scheduleTask(in: rest) {
      self.isResting = false
      if self.reserve < 0 { self.takeReserve() }
      if self.readIsHeld {
        self.readIsHeld = false
        context.read()
      }
    }
  }

  func read(context: ChannelHandlerContext) {
    if isResting {
      readIsHeld = true
    } else {
      context.read()
    }
  }

  /// Takes one connection with the reserve descriptor, tells it, and closes it. None of this waits.
  private func refuseNext() {
    guard reserve >= 0 else { return }
    releaseReserve()
    let taken = clinux_accept(descriptor)
    if taken >= 0 {
      if listener.options.implicitTLS == nil {
        let refusal = listener.options.refusal()
        _ = send(taken, refusal, refusal.count, CInt(MSG_NOSIGNAL))
      }
      Glibc.close(taken)
      listener.counters.withLock { $0.refused &+= 1 }
    }
    takeReserve()
  }

  private func takeReserve() {
    reserve = open("/dev/null", O_RDONLY | O_CLOEXEC)
  }

  private func releaseReserve() {
    if reserve >= 0 { Glibc.close(reserve) }
    reserve = -1
  }
}
