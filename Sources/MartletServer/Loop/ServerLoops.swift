import NIOCore
import NIOPosix
import Outside

/// One event loop with what belongs to it: the executor of its sessions and the wheel of their deadlines.
///
/// - Confinement: `wheel` is touched on the loop's thread only. That is what makes `@unchecked Sendable` true.
public final class ServerLoop: @unchecked Sendable {
  /// The loop.
  public let loop: any EventLoop
  /// Runs the loop's tasks on its thread.
  public let executor: LoopExecutor
  let wheel: TimerWheel

  init(loop: any EventLoop, clock: any Clock) {
    self.loop = loop
    self.executor = LoopExecutor(loop: loop)
    self.wheel = TimerWheel(executor: executor, clock: clock)
  }
}

/// The event loops of the server, each a thread.
public final class ServerLoops: Sendable {
  /// All of them; at least one.
  public let all: [ServerLoop]
  let group: MultiThreadedEventLoopGroup

  /// Starts `count` loops (held to 1...64). One is best where the load comes from the same machine.
  public init(count: Int = 1, clock: any Clock = SystemClock()) {
    let count = min(max(count, 1), 64)
    // NIO traps if it can't have its threads.
    ThreadWorker.require(count, for: "loop")
    group = MultiThreadedEventLoopGroup(numberOfThreads: count)
    var loops: [ServerLoop] = []
    for loop in group.makeIterator() { loops.append(ServerLoop(loop: loop, clock: clock)) }
    all = loops
  }

  /// The loop whose thread calls; the first one when called from elsewhere.
  public var current: ServerLoop {
    guard let loop = MultiThreadedEventLoopGroup.currentEventLoop else { return all[0] }
    return home(of: loop)
  }

  func home(of loop: any EventLoop) -> ServerLoop {
    for candidate in all where candidate.loop === loop { return candidate }
    return all[0]
  }

  /// Ends the threads, once nothing runs on them any more.
  public func shutdown() async {
    try? await group.shutdownGracefully()
  }
}
