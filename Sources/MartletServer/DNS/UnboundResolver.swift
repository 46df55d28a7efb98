import Outside
import Synchronization

/// What the resolver asks, and whom it believes.
public struct ResolverConfiguration: Sendable {
  /// The keys from which DNSSEC is validated.
  public enum TrustAnchors: Hashable, Sendable {
    /// Debian's root key, if the servers give a signed root; if they don't, answers are taken unvalidated.
    case automatic
    /// None: every answer is `.insecure`.
    case none
    /// Files of DS or DNSKEY records. What doesn't validate is `.bogus`.
    case files([String])
    /// DS or DNSKEY records as text.
    case records([String])
  }

  /// Servers that resolve for us; empty means those of /etc/resolv.conf.
  public var servers: [Endpoint]
  public var trustAnchors: TrustAnchors
  /// How long one question may take.
  public var timeLimit: Duration = .seconds(20)
  /// How long `.automatic` looks for a signed root, at the first question.
  public var probeTime: Duration = .seconds(3)
  /// Different questions on their way at a time; more are answered with a failure at once.
  public var outstanding = 1_000
  /// Records an answer may have; the rest is dropped.
  public var records = 500

  /// The documented defaults.
  public init(servers: [Endpoint] = [], trustAnchors: TrustAnchors = .automatic) {
    self.servers = servers
    self.trustAnchors = trustAnchors
  }
}

/// DNS by libunbound: asynchronous, caching, validating.
///
/// libunbound resolves on its own thread; a second one takes its answers. Equal questions that are asked at the same time
/// become one. Nothing here blocks the caller's thread.
///
/// - Fails: a question that can't be answered is a `.failure` that says why; `.bogus` answers carry no records.
public final class UnboundResolver: Resolver {
  /// Debian's root key.
  public static let rootKeyFile = "/usr/share/dns/root.key"

  private enum State {
    case undecided
    case probing([UnsafeContinuation<UnboundContext?, Never>])
    case ready(UnboundContext)
    case failed(String)
    case stopped
  }

  private let configuration: ResolverConfiguration
  private let state: Mutex<State>

  /// Sets libunbound up.
  public init(_ configuration: ResolverConfiguration = ResolverConfiguration()) throws(ResolverSetupError) {
    self.configuration = configuration
    switch configuration.trustAnchors {
    case .automatic: state = Mutex(.undecided)
    case .none, .files, .records: state = Mutex(.ready(try UnboundContext(configuration, anchors: configuration.trustAnchors)))
    }
  }

  deinit { stop() }

  /// Whether answers are validated; nil as long as no question was asked (`.automatic`).
  public var isValidating: Bool? {
    state.withLock {
      if case .ready(let context) = $0 { context.isValidating } else { nil }
    }
  }

  public func resolve(_ question: DNSQuestion) async -> DNSAnswer {
    guard let context = await context() else {
      let reason = state.withLock {
        if case .failed(let reason) = $0 { reason } else { "the resolver is stopped" }
      }
      return DNSAnswer(status: .failure(reason), canonicalName: question.name)
    }
    return await context.resolve(question, timeLimit: configuration.timeLimit)
  }

  /// Answers what is on its way with failures, and ends the threads soon after.
  public func stop() {
    let (context, waiting) = state.withLock { state -> (UnboundContext?, [UnsafeContinuation<UnboundContext?, Never>]) in
      defer { state = .stopped }
      switch state {
      case .ready(let context): return (context, [])
      case .probing(let waiting): return (nil, waiting)
      case .undecided, .failed, .stopped: return (nil, [])
      }
    }
    for continuation in waiting { continuation.resume(returning: nil) }
    context?.stop()
  }

  // MARK: Whether the root is signed

  /// The context; the first to ask finds out which.
  private func context() async -> UnboundContext? {
    enum Turn {
      case use(UnboundContext?)
      case probe
      case wait
    }
    let turn = state.withLock { state -> Turn in
      switch state {
      case .ready(let context): return .use(context)
      case .stopped: return .use(nil)
      case .probing: return .wait
      // What failed for want of memory or threads may succeed now.
      case .undecided, .failed:
        state = .probing([])
        return .probe
      }
    }
    switch turn {
    case .use(let context): return context
    case .probe:
      settle(await probe())
      return readyContext
    case .wait:
      return await withUnsafeContinuation { continuation in
        let isOver = state.withLock { state in
          guard case .probing(let waiting) = state else { return true }
          state = .probing(waiting + [continuation])
          return false
        }
        if isOver { continuation.resume(returning: readyContext) }
      }
    }
  }

  private var readyContext: UnboundContext? {
    state.withLock {
      if case .ready(let context) = $0 { context } else { nil }
    }
  }

  private func probe() async -> State {
    do throws(ResolverSetupError) {
      if let validating = try validatingContext() {
        let answer = await validating.resolve(DNSQuestion("", .ns), timeLimit: configuration.probeTime)
        if answer.security == .secure { return .ready(validating) }
        validating.stop()
      }
      return .ready(try UnboundContext(configuration, anchors: .none))
    } catch {
      return .failed("\(error)")
    }
  }

  /// Nil where the root's key can't be used. A thread that can't be made is thrown: it is no reason to validate nothing from then on.
  private func validatingContext() throws(ResolverSetupError) -> UnboundContext? {
    do throws(ResolverSetupError) {
      return try UnboundContext(configuration, anchors: .files([Self.rootKeyFile]))
    } catch {
      if error.what == ResolverSetupError.noThread { throw error }
      return nil
    }
  }

  private func settle(_ result: State) {
    let (waiting, isStopped) = state.withLock { state -> ([UnsafeContinuation<UnboundContext?, Never>], Bool) in
      guard case .probing(let waiting) = state else { return ([], true) }
      state = result
      return (waiting, false)
    }
    guard case .ready(let context) = result else {
      for continuation in waiting { continuation.resume(returning: nil) }
      return
    }
    if isStopped { context.stop() }
    for continuation in waiting { continuation.resume(returning: context) }
  }
}

/// Why libunbound can't be set up.
public struct ResolverSetupError: Error, Hashable, Sendable, CustomStringConvertible {
  /// `what` when the machine has no thread left for it.
  static let noThread = "no thread"

  /// What was being set.
  public var what: String
  public var reason: String

  public var description: String { "resolver: \(what): \(reason)" }
}
