import NIOCore
import Outside

/// One connection between two hosts of the simulated internet, with both of its ends.
///
/// Confined to the simulation's one thread, as is everything of it: that is what makes `@unchecked Sendable` true.
final class Wire: @unchecked Sendable {
  /// What ended it, if it did not end by itself.
  enum Ending: String {
    case open, finished, cutByFault, clientDied, serverDied, timedOut, aborted
  }

  let number: Int
  let network: SimulatedNetwork
  let client: WireEnd
  let server: WireEnd
  let opened: MonotonicInstant
  private(set) var ending = Ending.open
  /// What broke it, whoever had ended it by then, and when.
  private(set) var broken: (why: Ending, at: MonotonicInstant)?
  /// When it ended, whether the client did it, and how long it had to wait at least before it might.
  private(set) var ended: (at: MonotonicInstant, byClient: Bool, patience: Duration)?
  /// How long the client has to wait for what it is owed now.
  var patience = Duplicates.patience
  /// When the client sent last.
  var clientSpoke: MonotonicInstant
  /// How the way between them was when it was opened.
  let way: Way
  /// Nothing that is written after this many octets arrives: the connection breaks there.
  var octetsLeft = Int.max
  /// The handshake fails, if there is one.
  var breaksTLS = false

  init(
    number: Int, network: SimulatedNetwork, from client: NetworkHost, source: Endpoint, to server: NetworkHost, at target: Endpoint,
    way: Way
  ) {
    self.number = number
    self.network = network
    self.way = way
    opened = network.executor.clock.monotonic()
    clientSpoke = opened
    self.client = WireEnd(host: client, isClient: true)
    self.server = WireEnd(host: server, isClient: false)
    self.client.attach(self, Connection(remote: target, local: source, driver: self.client))
    self.server.attach(self, Connection(remote: source, local: target, driver: self.server))
  }

  func other(_ end: WireEnd) -> WireEnd { end.isClient ? server : client }

  /// Both ends see it broken, now.
  func cut(_ why: Ending) {
    if broken == nil { broken = (why, network.executor.clock.monotonic()) }
    end(why, byClient: false)
    client.breakOff()
    server.breakOff()
  }

  func end(_ why: Ending, byClient: Bool) {
    guard ending == .open else { return }
    ending = why
    ended = (network.executor.clock.monotonic(), byClient, patience)
  }
}

/// What travels.
enum WireItem {
  case data(ByteBuffer)
  /// The first flight of a TLS handshake.
  case handshake(TLSRequest.Role)
  case end
  case reset
}

/// One end of a wire: what moves a `Connection`'s bytes.
///
/// Confined to the simulation's one thread: that is what makes `@unchecked Sendable` true.
final class WireEnd: ConnectionDriver, @unchecked Sendable {
  /// Octets that may be on their way before the writer has to wait: 64 KiB.
  static let window = 65_536
  /// Octets that one read gives at most: 16 KiB.
  static let read = 16_384

  let host: NetworkHost
  let isClient: Bool
  private(set) var wire: Wire?
  private(set) var connection: Connection?
  private var inbox: [WireItem] = []
  /// What waits until the way is whole again.
  private var held: [WireItem] = []
  private var wantsRead = false
  private var tlsRole: TLSRequest.Role?
  private var deadline = MonotonicInstant.never
  private var armed = MonotonicInstant.never
  private var lastArrival = MonotonicInstant(nanoseconds: 0)
  /// Octets the other end has not read yet, and those of them that our writer was not told of.
  private var unread = 0
  private var untold = 0
  private var isClosed = false
  /// The process behind it is gone and its host is silent: nothing is answered.
  private var isSilent = false
  private var acknowledgements = AcknowledgementScan()

  init(host: NetworkHost, isClient: Bool) {
    self.host = host
    self.isClient = isClient
  }

  func attach(_ wire: Wire, _ connection: Connection) {
    self.wire = wire
    self.connection = connection
  }

  /// Octets that the process holds for it: what it has read and not used, and what it has not handed over.
  var octets: Int { (connection?.input.readableBytes ?? 0) + (connection?.output.readableBytes ?? 0) }

  // MARK: ConnectionDriver

  func requestRead() {
    wantsRead = true
    hand()
  }

  var hasUnreadInput: Bool {
    guard case .data? = inbox.first else { return false }
    return true
  }

  func write(_ bytes: ByteBuffer) {
    guard let wire, !isClosed else { return }
    if isClient {
      wire.clientSpoke = wire.network.executor.clock.monotonic()
    } else if let id = acknowledgements.find(in: bytes) {
      wire.network.history.said.insert(id)
    }
    unread += bytes.readableBytes
    untold += bytes.readableBytes
    send(.data(bytes), in: wire)
    release()
  }

  func setDeadline(_ deadline: MonotonicInstant) {
    self.deadline = deadline
    guard deadline != .never, deadline < armed else { return }
    arm(deadline)
  }

  func startTLS(_ request: TLSRequest) {
    guard let wire else { return }
    tlsRole = request.role
    send(.handshake(request.role), in: wire)
    hand()
  }

  func close(abruptly: Bool) {
    guard let wire, !isClosed else { return }
    isClosed = true
    wire.end(abruptly ? .aborted : .finished, byClient: isClient)
    send(abruptly ? .reset : .end, in: wire)
    finish()
  }

  // MARK: The network's side

  /// The process behind this end is gone: its kernel resets the connection, or, if the power is gone too, nobody says anything.
  func die(silently: Bool) {
    guard let wire, !isClosed else { return }
    wire.end(isClient ? .clientDied : .serverDied, byClient: isClient)
    isClosed = true
    isSilent = silently
    if !silently { send(.reset, in: wire) }
    let gone = connection
    finish()
    gone?.peerClosed()
  }

  func breakOff() {
    guard !isClosed else { return }
    isClosed = true
    let gone = connection
    finish()
    gone?.peerClosed()
  }

  private func finish() {
    host.wires[ObjectIdentifier(self)] = nil
    inbox = []
    held = []
    connection = nil
  }

  private func send(_ item: WireItem, in wire: Wire) {
    let network = wire.network
    let now = network.executor.clock.monotonic()
    guard let travel = network.travel(item, on: wire, now: now) else { return }
    let arrival = max(now.advanced(by: travel), lastArrival.advanced(by: .nanoseconds(1)))
    lastArrival = arrival
    let other = wire.other(self)
    network.executor.wake(at: arrival) { other.arrive(item, wire) }
  }

  private func arrive(_ item: WireItem, _ wire: Wire) {
    let network = wire.network
    guard !isClosed else {
      // Who closed answers what still comes with a reset, once it can speak at all.
      if !isSilent || host.isUp, case .data = item { wire.other(self).reset() }
      return
    }
    if !held.isEmpty || network.weather.isParted(wire.client.host, wire.server.host) {
      held.append(item)
      if held.count == 1 { network.hold(self, on: wire) }
      return
    }
    take(item, wire)
  }

  /// The way is whole again: what waited for it comes, in order.
  func heal(_ wire: Wire) {
    guard !isClosed else { return }
    if wire.network.weather.isParted(wire.client.host, wire.server.host) { return wire.network.hold(self, on: wire) }
    let items = held
    held = []
    for item in items where !isClosed { take(item, wire) }
  }

  private func take(_ item: WireItem, _ wire: Wire) {
    let network = wire.network
    if case .data(let bytes) = item {
      if isClient, let id = acknowledgements.find(in: bytes) {
        if network.losesAcknowledgement(on: wire, id) { return }
        network.history.acknowledged(id, to: host, on: wire)
      }
      network.history.digest.add(wire.number, isClient ? 1 : 2, bytes)
    }
    if case .reset = item { return reset() }
    inbox.append(item)
    hand()
  }

  private func reset() {
    guard !isClosed else { return }
    wire?.end(.aborted, byClient: !isClient)
    breakOff()
  }

  /// Gives the session what it asked for, if it is there.
  private func hand() {
    guard let connection, let first = inbox.first else { return }
    if let role = tlsRole {
      inbox.removeFirst()
      tlsRole = nil
      return shake(first, role, connection)
    }
    guard wantsRead else { return }
    wantsRead = false
    switch first {
    case .data(var bytes):
      guard let part = bytes.readSlice(length: min(bytes.readableBytes, Self.read)) else { return }
      if bytes.readableBytes > 0 { inbox[0] = .data(bytes) } else { inbox.removeFirst() }
      wire?.other(self).taken(part.readableBytes)
      connection.deliver(part)
    case .handshake:
      // Bytes of a handshake that nobody asked for are no commands.
      inbox.removeFirst()
      connection.deliver(ByteBuffer(bytes: [0x16, 0x03, 0x01, 0x0D, 0x0A]))
    case .end:
      inbox.removeFirst()
      connection.peerFinished()
    case .reset: break
    }
  }

  private func shake(_ item: WireItem, _ role: TLSRequest.Role, _ connection: Connection) {
    guard case .handshake(let theirs) = item, let wire else { return connection.tlsFinished(.failed("no TLS record came")) }
    guard !wire.breaksTLS else {
      wire.network.counts.note(.brokenTLS)
      return connection.tlsFinished(.failed("handshake failure"))
    }
    var facts = TLSFacts(version: "TLSv1.3", cipher: "TLS_AES_256_GCM_SHA384")
    switch role {
    case .client(_, let verifyName): facts.isPeerVerified = verifyName != nil
    case .server: if case .client(let name, _) = theirs { facts.serverName = name }
    }
    connection.tlsFinished(.established(facts))
  }

  /// The other end has read so many octets of ours.
  private func taken(_ count: Int) {
    unread = max(unread - count, 0)
    release()
  }

  private func release() {
    guard untold > 0, unread <= Self.window else { return }
    let count = untold
    untold = 0
    connection?.sent(count)
  }

  // MARK: Deadlines

  private func arm(_ at: MonotonicInstant) {
    armed = at
    wire?.network.executor.wake(at: at) { [weak self] in self?.ring(at) }
  }

  private func ring(_ at: MonotonicInstant) {
    guard armed == at else { return }
    armed = .never
    guard !isClosed, let wire, deadline != .never else { return }
    guard wire.network.executor.clock.monotonic() >= deadline else { return arm(deadline) }
    deadline = .never
    connection?.deadlinePassed()
  }
}

/// Finds `queued as ID` in what a client is told, wherever the bytes were cut.
struct AcknowledgementScan {
  private static let words = Array("queued as ".utf8)
  private var tail: [UInt8] = []

  /// The id of a message whose acknowledgement is complete with these bytes.
  mutating func find(in bytes: ByteBuffer) -> String? {
    var text = tail + bytes.readableBytesView
    var found: String?
    if let start = text.firstIndex(of: Self.words), let end = text[start...].firstIndex(of: 0x0D) {
      found = String(decoding: text[(start + Self.words.count)..<end], as: UTF8.self)
      text = Array(text[end...])
    }
    tail = Array(text.suffix(60))
    return found
  }
}

extension [UInt8] {
  /// Where `other` begins first.
  func firstIndex(of other: [UInt8]) -> Int? {
    guard !other.isEmpty, count >= other.count else { return nil }
    return (0...(count - other.count)).first { self[$0] == other[0] && self[$0..<$0 + other.count].elementsEqual(other) }
  }
}
