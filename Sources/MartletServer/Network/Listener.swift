import Logging
import NIOCore
import NIOPosix
import Outside
import Synchronization

/// How a listener treats its connections.
public struct ListenerOptions: Sendable {
  /// What logs call it, `smtp 127.0.0.1:25`.
  public var name: String
  /// TLS from the first byte, with this context (RFC 8314, 3).
  public var implicitTLS: (any TLSContext)?
  /// What a connection is told that can't be served (too many, no descriptors), `421 4.3.2 ...` and its line end; asked for each, any
  /// thread. Not sent where TLS is implicit.
  public var refusal: @Sendable () -> [UInt8]
  public var limits: ServerLimits

  /// The documented defaults.
  public init(
    name: String, implicitTLS: (any TLSContext)? = nil, refusal: @escaping @Sendable () -> [UInt8] = { [] },
    limits: ServerLimits = ServerLimits()
  ) {
    self.name = name
    self.implicitTLS = implicitTLS
    self.refusal = refusal
    self.limits = limits
  }
}

/// What a listener has done.
public struct ListenerCounts: Hashable, Sendable {
  /// Connections that are open now.
  public var open = 0
  /// Connections accepted so far.
  public var accepted: UInt64 = 0
  /// Connections refused because there were too many, or no descriptors.
  public var refused: UInt64 = 0
  /// Implicit TLS handshakes that failed.
  public var failedHandshakes: UInt64 = 0
}

/// Accepts connections on one socket and runs a session for each, on the loop the connection belongs to.
///
/// - Bounds: `limits.connections` open at a time; without descriptors accepting rests for `limits.acceptBackoff`, and one
///   reserve descriptor serves to tell the next in line (HOSTILE 60).
/// - Shutdown: `stop` closes the socket, asks every session to end, and after `limits.shutdownTime` cuts those that have not.
public final class Listener: Sendable {
  /// What runs for each connection; the connection is closed when it returns.
  public typealias Session = @Sendable (Connection) async -> Void

  /// Where it listens.
  public let endpoint: Endpoint
  let options: ListenerOptions
  let counters = Mutex(ListenerCounts())
  private let loops: ServerLoops
  private let clock: any Clock
  private let tables: [ConnectionTable]
  private let session: Session
  private let logger: Logger
  private let server = Mutex<(any Channel)?>(nil)
  /// Every new connection gets the refusal.
  private let isDraining = Mutex(false)

  private init(
    endpoint: Endpoint, options: ListenerOptions, loops: ServerLoops, clock: any Clock, logger: Logger, session: @escaping Session
  ) {
    self.endpoint = endpoint
    self.options = options
    self.loops = loops
    self.clock = clock
    self.logger = logger
    self.session = session
    self.tables = loops.all.map { ConnectionTable(home: $0) }
  }

  /// Starts accepting on `socket`. The descriptor now belongs to the listener.
  public static func start(
    on socket: ListeningSocket, options: ListenerOptions, loops: ServerLoops, clock: any Clock = SystemClock(), logger: Logger,
    session: @escaping Session
  ) async throws -> Listener {
    let listener = Listener(
      endpoint: socket.endpoint, options: options, loops: loops, clock: clock, logger: logger, session: session)
    let guardian = AcceptGuard(listener: listener, descriptor: socket.descriptor, limits: options.limits)
    let channel = try await ServerBootstrap(group: loops.group)
      .serverChannelOption(.backlog, value: options.limits.backlog)
      .serverChannelOption(.maxMessagesPerRead, value: 16)
      .serverChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(guardian) }
      }
      .childChannelInitializer { channel in listener.accepted(channel) }
      .withBoundSocket(socket.descriptor)
      .get()
    listener.server.withLock { $0 = channel }
    return listener
  }

  /// What it has done so far.
  public var counts: ListenerCounts {
    counters.withLock { $0 }
  }

  /// Stops accepting, lets sessions end, and cuts those that take longer than `limits.shutdownTime`. Returns when all are gone.
  public func stop() async {
    await stopAccepting()
    for table in tables {
      table.home.loop.execute { table.forEach { $0.withConnection { $0.requestShutdown() } } }
    }
    let sleeper = LoopSleeper(loops: loops)
    let end = clock.monotonic().advanced(by: options.limits.shutdownTime)
    while counts.open > 0 {
      if clock.monotonic() >= end {
        logger.warning("sessions cut at shutdown", metadata: ["listener": "\(options.name)", "count": "\(counts.open)"])
        for table in tables {
          table.home.loop.execute { table.forEach { $0.cut() } }
        }
        while counts.open > 0 && clock.monotonic() < end.advanced(by: .seconds(1)) {
          await sleeper.sleep(until: clock.monotonic().advanced(by: .milliseconds(50)))
        }
        return
      }
      await sleeper.sleep(until: clock.monotonic().advanced(by: .milliseconds(50)))
    }
  }

  /// While draining, each new connection gets `options.refusal` and is closed; sessions that run are asked to end, once.
  public func drain(_ isDraining: Bool) {
    let began = self.isDraining.withLock { held in
      defer { held = isDraining }
      return isDraining && !held
    }
    guard began else { return }
    for table in tables {
      table.home.loop.execute { table.forEach { $0.withConnection { $0.requestShutdown() } } }
    }
  }

  /// Stops accepting only; sessions go on. What waits in the backlog stays there if another process holds the socket too.
  public func stopAccepting() async {
    let channel = server.withLock { held in
      let channel = held
      held = nil
      return channel
    }
    try? await channel?.close()
  }

  private func accepted(_ channel: any Channel) -> EventLoopFuture<Void> {
    let home = loops.home(of: channel.eventLoop)
    let isDraining = isDraining.withLock { $0 }
    let isAdmitted = counters.withLock { counts in
      guard !isDraining, counts.open < options.limits.connections else {
        counts.refused &+= 1
        return false
      }
      counts.open += 1
      counts.accepted &+= 1
      return true
    }
    guard isAdmitted else {
      let refusal = options.implicitTLS == nil ? options.refusal() : []
      return channel.eventLoop.makeCompletedFuture {
        try channel.pipeline.syncOperations.addHandler(Refusal(text: refusal))
      }
    }
    // Here and not by the bootstrap, which makes a future of each.
    do {
      guard let channelOptions = channel.syncOptions else { throw ChannelError.operationUnsupported }
      try channelOptions.setOption(.autoRead, value: false)
      try channelOptions.setOption(.allowRemoteHalfClosure, value: true)
      try channelOptions.setOption(.maxMessagesPerRead, value: 1)
      try channelOptions.setOption(.recvAllocator, value: ReadSizer(limits: options.limits))
    } catch {
      counters.withLock { $0.open -= 1 }
      return channel.eventLoop.makeFailedFuture(error)
    }
    let table = tables.first { $0.home === home }
    let link = TableLink()
    let handler = ConnectionHandler(
      home: home, clock: clock, limits: options.limits,
      started: { connection in
        home.start { await self.serve(connection) }
      },
      ended: {
        if let handler = link.handler { table?.remove(handler) }
        link.handler = nil
        self.counters.withLock { $0.open -= 1 }
      })
    link.handler = handler
    table?.add(handler)
    return channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(handler) }
  }

  private func serve(_ connection: Connection) async {
    if options.implicitTLS != nil {
      guard await shakeHands(connection) else { return connection.abort() }
    }
    await session(connection)
    connection.close()
  }

  /// Apart, so that what waits in `session` stands on nothing large.
  @inline(never)
  private func shakeHands(_ connection: Connection) async -> Bool {
    guard let context = options.implicitTLS else { return true }
    let deadline = clock.monotonic().advanced(by: options.limits.handshakeTime)
    let outcome = await connection.startTLS(TLSRequest(role: .server, context: context), until: deadline)
    if case .established = outcome { return true }
    counters.withLock { $0.failedHandshakes &+= 1 }
    logger.info(
      "handshake failed",
      metadata: ["listener": "\(options.name)", "client": "\(connection.remote)", "reason": "\(outcome)"])
    return false
  }
}

/// Tells one connection too many that it is, and closes it.
///
/// - Confinement: one channel's, on its loop's thread only. That is what makes `@unchecked Sendable` true.
private final class Refusal: ChannelInboundHandler, @unchecked Sendable {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer
  private let text: [UInt8]

  init(text: [UInt8]) {
    self.text = text
  }

  func channelActive(context: ChannelHandlerContext) {
    // A few octets into an empty socket: they leave at once, or never.
    if !text.isEmpty { context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: text)), promise: nil) }
    context.close(promise: nil)
  }
}

/// Lets a handler's end find the handler; on its loop's thread only.
private final class TableLink {
  var handler: ConnectionHandler?
}

/// A listener's connections on one loop.
///
/// - Confinement: used on the loop's thread only. That is what makes `@unchecked Sendable` true.
final class ConnectionTable: @unchecked Sendable {
  let home: ServerLoop
  private var handlers: [ConnectionHandler] = []

  init(home: ServerLoop) {
    self.home = home
  }

  func add(_ handler: ConnectionHandler) {
    handler.tableIndex = handlers.count
    handlers.append(handler)
  }

  func remove(_ handler: ConnectionHandler) {
    guard handler.tableIndex >= 0, let last = handlers.popLast() else { return }
    if last !== handler {
      handlers[handler.tableIndex] = last
      last.tableIndex = handler.tableIndex
    }
    handler.tableIndex = -1
  }

  func forEach(_ body: (ConnectionHandler) -> Void) {
    // A copy: what `body` wakes may close connections.
    for handler in handlers { body(handler) }
  }
}
