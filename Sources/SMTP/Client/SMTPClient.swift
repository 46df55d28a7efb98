import InternetMessage
import NIOCore

/// The client's side of an SMTP or LMTP conversation, as a value: replies in, commands and steps out.
///
/// What it is: greeting, EHLO (HELO where a host knows no better), STARTTLS, AUTH, then one transaction after the other, two
/// under way at a time: where PIPELINING is offered, MAIL and RCPT of the next ride behind the final dot or chunk of the last
/// (RFC 2920, 3.1).
///
/// What it promises:
/// - Every transaction that was started is completed exactly once, with one result a recipient, whatever the host does.
/// - A recipient is `.accepted` only by a positive reply to the end of the message (its own one in LMTP; RFC 2033, 4.2). A
///   connection lost between the end and its reply is `.transient`: tried again, never lost (RFC 5321, 4.5.4.1).
/// - Nothing from before TLS counts after it. Credentials go out under TLS only, unless it was explicitly allowed.
/// - A message that the host can't take unharmed is not sent to it.
/// - Whatever the host makes of a transaction that failed, no body goes out behind an envelope that is not its own: behind another
///   transaction a body waits until its MAIL was accepted, and a state that was not expected (503) condemns no message.
///
/// Limits: replies are bounded by `SMTPReplyParser`; the host's LIMITS and SIZE are kept. Deadlines are the transport's.
///
/// How it fails: `.end(failure)` after completing what was under way.
///
/// RFC 5321, RFC 2033, RFC 2920, RFC 3030, RFC 3207, RFC 3461, RFC 4954, RFC 6531, RFC 8689, RFC 9422.
public struct SMTPClient: Sendable {
  enum Phase: Hashable, Sendable {
    case greeting
    case hello
    case startTLS
    case handshake
    case authentication
    case ready
    case quitting
    case ended
  }

  /// What the next reply answers.
  enum Expected: Hashable, Sendable {
    case greeting
    case hello
    case helo
    case startTLS
    case plain
    case loginStart
    case loginUser
    case loginPassword
    case reset
    case mail(UInt64)
    case recipient(UInt64, Int)
    case data(UInt64)
    /// In LMTP once for each accepted recipient (RFC 2033, 4.2).
    case end(UInt64)
    case quit

    var stage: SMTPClientStage {
      switch self {
      case .greeting: .greeting
      case .hello, .helo: .hello
      case .startTLS: .startTLS
      case .plain, .loginStart, .loginUser, .loginPassword: .authentication
      case .reset: .reset
      case .mail: .mail
      case .recipient: .recipient
      case .data: .data
      case .end: .end
      case .quit: .quit
      }
    }
  }

  public let settings: SMTPClientSettings
  public internal(set) var capabilities = SMTPCapabilities()
  /// Whether TLS stands.
  public internal(set) var isEncrypted: Bool
  /// Whether the certificate was checked and found good.
  public internal(set) var isVerified = false
  /// Messages that were started on this connection.
  public internal(set) var started: UInt64 = 0
  /// STARTTLS was answered with a refusal, and the conversation went on in clear.
  public internal(set) var startTLSRefusal: SMTPReply?
  /// BDAT was offered, and then not understood: not to be used with this host.
  public internal(set) var chunkingRefused = false

  var phase = Phase.greeting
  var expected = ReplyQueue()
  var active: [ActiveTransaction] = []
  var completed: [SMTPTransactionResult] = []
  /// Why the conversation ended, once it has.
  public internal(set) var failure: SMTPClientFailure?
  var needsReset = false
  var usedHELO = false
  /// Commands to be written at the next step.
  var pendingOutput = ByteBuffer()

  public init(_ settings: SMTPClientSettings) {
    self.settings = settings
    self.isEncrypted = false
    if settings.isImplicitTLS { phase = .handshake }
    expected.append(.greeting)
  }

  /// Whether another transaction may be started now.
  public var canStart: Bool {
    guard phase == .ready, failure == nil, active.count < 2 else { return false }
    if capabilities.maximumMessages > 0, started >= capabilities.maximumMessages { return false }
    guard let last = active.last else { return completed.isEmpty }
    // RFC 2920, 3.1: the next may be sent with the end of this one. But BDAT for nobody ends no transaction, nor does every host end
    // one at an empty message that is for nobody: the next MAIL would be refused and its RCPT added to what is still open.
    return capabilities.pipelining && last.phase == .waitingForEnd && last.acceptedCount > 0
  }

  /// Whether the host's limit of messages a connection is reached (RFC 9422, 4.1): quit when all is done.
  public var isExhausted: Bool { capabilities.maximumMessages > 0 && started >= capabilities.maximumMessages }

  /// Whether something is under way that a lost connection would leave open.
  public var isBusy: Bool { !active.isEmpty }

  /// What to do next. `output` gets the commands that go out before.
  public mutating func step(into output: inout ByteBuffer) -> SMTPClientStep {
    if pendingOutput.readableBytes > 0 { output.writeBuffer(&pendingOutput) }
    if !completed.isEmpty { return .completed(completed.removeFirst()) }
    if phase == .ended { return .end(failure) }
    if phase == .handshake { return .startTLS }
    if let sending = active.first(where: { $0.phase == .sendingBody }) {
      return .sendBody(id: sending.transaction.id, sending.terms.framing)
    }
    if let next = expected.first { return .receive(next.stage) }
    return phase == .ready ? .ready : .end(failure)
  }

  /// Says QUIT (RFC 5321, 4.1.1.10). Only while nothing is under way.
  public mutating func quit() {
    guard phase == .ready, active.isEmpty, expected.isEmpty else { return }
    phase = .quitting
    expected.append(.quit)
    pendingOutput.writeStaticString("QUIT\r\n")
  }

  /// The connection can't be used any more: closed, deadline passed, reply unreadable. Completes what was under way.
  ///
  /// - Parameter reason: what happened, without a code: `connection closed`.
  public mutating func connectionLost(_ reason: String) {
    guard phase != .ended else { return }
    let stage = phase == .handshake ? .handshake : expected.first?.stage ?? .body
    end(SMTPClientFailure(stage: stage, reason: "451 4.4.2 \(reason) (\(stage.rawValue))"))
  }

  /// Ends the conversation; transactions under way get what is known of them.
  mutating func end(_ failure: SMTPClientFailure?) {
    guard phase != .ended else { return }
    self.failure = failure ?? self.failure
    phase = .ended
    expected.removeAll()
    for index in active.indices {
      // What stood behind the first had not been looked at by the host, as far as can be told.
      let isFirst = index == active.startIndex
      active[index].giveUp(failure, isFirst: isFirst)
      completed.append(active[index].result)
    }
    active.removeAll()
  }
}

/// The replies that are waited for, first in first out. At most two transactions' worth.
struct ReplyQueue: Hashable, Sendable {
  private var items: [SMTPClient.Expected] = []
  private var head = 0

  var isEmpty: Bool { head >= items.count }
  var first: SMTPClient.Expected? { head < items.count ? items[head] : nil }

  mutating func append(_ item: SMTPClient.Expected) { items.append(item) }

  /// Puts `item` before all others.
  mutating func prepend(_ item: SMTPClient.Expected) { items.insert(item, at: min(head, items.count)) }

  mutating func next() -> SMTPClient.Expected? {
    guard head < items.count else { return nil }
    let item = items[head]
    head += 1
    if head == items.count {
      items.removeAll(keepingCapacity: true)
      head = 0
    }
    return item
  }

  mutating func removeAll() {
    items.removeAll(keepingCapacity: true)
    head = 0
  }
}
