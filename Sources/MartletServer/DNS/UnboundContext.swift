import CUnbound
import Glibc
import Outside
import Synchronization

/// One libunbound context with its cache, its questions on their way, and the thread that takes the answers.
///
/// - Confinement: `pending` is behind a lock; `context` is thread-safe by libunbound's own locks; answers and time-outs are
///   handled on one thread, so a question that timed out can't be answered meanwhile. That is what makes
///   `@unchecked Sendable` true.
/// - Continuations: each waiter is taken out of `pending` by whoever resumes it, so it is resumed once.
final class UnboundContext: @unchecked Sendable {
  private struct Question {
    var id: CInt?
    var deadline: MonotonicInstant
    var waiters: [UnsafeContinuation<DNSAnswer, Never>]
    var ticket: Unmanaged<Ticket>
  }

  /// What libunbound hands back with an answer.
  private final class Ticket: Sendable {
    let question: DNSQuestion
    let owner: UnboundContext
    init(_ question: DNSQuestion, _ owner: UnboundContext) {
      self.question = question
      self.owner = owner
    }
  }

  private struct Pending {
    var questions: [DNSQuestion: Question] = [:]
    var isStopped = false
  }

  /// How often time-outs are looked for, in milliseconds.
  private static let tick: CInt = 250

  let isValidating: Bool
  private let context: OpaquePointer
  private let clock = SystemClock()
  private let limits: ResolverConfiguration
  private let pending = Mutex(Pending())

  init(_ configuration: ResolverConfiguration, anchors: ResolverConfiguration.TrustAnchors) throws(ResolverSetupError) {
    guard let context = ub_ctx_create() else { throw ResolverSetupError(what: "libunbound", reason: "no memory") }
    self.context = context
    self.limits = configuration
    do throws(ResolverSetupError) {
      isValidating = try Self.prepare(context, configuration, anchors)
    } catch {
      ub_ctx_delete(context)
      throw error
    }
    let status = startThreads()
    guard status == 0 else {
      ub_ctx_delete(context)
      throw ResolverSetupError(what: ResolverSetupError.noThread, reason: String(cString: strerror(status)))
    }
  }

  /// Starts our thread and libunbound's: 0, or why there is none (`errno`).
  ///
  /// libunbound makes its thread at the first question, and if it can't, it never answers any: so it is asked something that it knows
  /// itself, at once, while there is room for a thread.
  private func startThreads() -> CInt {
    var status = ThreadWorker.probe(1)
    guard status == 0 else { return status }
    ub_resolve_async(context, "localhost.", 1, 1, nil, { _, _, result in ub_resolve_free(result) }, nil)
    var thread = pthread_t()
    status = ThreadWorker.tryThread(&thread, named: "resolver") { self.run() }
    if status == 0 { pthread_detach(thread) }
    return status
  }

  /// Asks, or joins whoever already asked the same.
  func resolve(_ question: DNSQuestion, timeLimit: Duration) async -> DNSAnswer {
    guard question.name.utf8.count <= 253, !question.name.utf8.contains(0) else {
      return Self.failure(question, "not a domain name")
    }
    let deadline = clock.monotonic().advanced(by: timeLimit)
    return await withUnsafeContinuation { continuation in
      enum Turn {
        case ask(Unmanaged<Ticket>)
        case joined
        case refused(String)
      }
      let turn = pending.withLock { pending -> Turn in
        if pending.isStopped { return .refused("the resolver is stopped") }
        if pending.questions[question] != nil {
          pending.questions[question]?.waiters.append(continuation)
          return .joined
        }
        guard pending.questions.count < limits.outstanding else { return .refused("too many questions at a time") }
        let ticket = Unmanaged.passRetained(Ticket(question, self))
        pending.questions[question] = Question(id: nil, deadline: deadline, waiters: [continuation], ticket: ticket)
        return .ask(ticket)
      }
      switch turn {
      case .joined: break
      case .refused(let reason): continuation.resume(returning: Self.failure(question, reason))
      case .ask(let ticket): ask(question, ticket)
      }
    }
  }

  /// Answers all with failures; the thread ends within a tick and takes libunbound down.
  func stop() {
    let left = pending.withLock { pending in
      pending.isStopped = true
      let waiters = pending.questions.sorted { $0.value.deadline < $1.value.deadline }.map { ($0.key, $0.value.waiters) }
      for key in pending.questions.keys { pending.questions[key]?.waiters = [] }
      return waiters
    }
    for (question, waiters) in left {
      for waiter in waiters { waiter.resume(returning: Self.failure(question, "the resolver is stopped")) }
    }
  }

  private func ask(_ question: DNSQuestion, _ ticket: Unmanaged<Ticket>) {
    var id: CInt = 0
    let status = ub_resolve_async(
      context, question.name + ".", CInt(question.type.rawValue), 1, ticket.toOpaque(),
      { data, status, result in
        guard let data else { return }
        let ticket = Unmanaged<Ticket>.fromOpaque(data).takeRetainedValue()
        ticket.owner.answered(ticket.question, status, result)
        ub_resolve_free(result)
      }, &id)
    if status == 0 {
      // It may be answered already, and asked again by another.
      pending.withLock { pending in
        guard pending.questions[question]?.ticket.toOpaque() == ticket.toOpaque() else { return }
        pending.questions[question]?.id = id
      }
    } else {
      ticket.release()
      finish(question, Self.failure(question, String(cString: ub_strerror(status))))
    }
  }

  private func finish(_ question: DNSQuestion, _ answer: DNSAnswer) {
    let waiters = pending.withLock { $0.questions.removeValue(forKey: question)?.waiters ?? [] }
    for waiter in waiters { waiter.resume(returning: answer) }
  }

  // MARK: The answering thread

  private func run() {
    var descriptor = pollfd(fd: ub_fd(context), events: Int16(POLLIN), revents: 0)
    while !pending.withLock({ $0.isStopped }) {
      if poll(&descriptor, 1, Self.tick) > 0 { ub_process(context) }
      expire()
    }
    // No answer comes any more once the context is gone.
    ub_ctx_delete(context)
    let tickets = pending.withLock { pending in
      defer { pending.questions = [:] }
      return pending.questions.values.map(\.ticket)
    }
    for ticket in tickets { ticket.release() }
  }

  private func expire() {
    let now = clock.monotonic()
    let late = pending.withLock { pending in
      pending.questions.filter { $0.value.deadline <= now && $0.value.id != nil }
    }
    for (question, entry) in late {
      // Cancelled, it will not be called back, so its ticket is ours again.
      if let id = entry.id, ub_cancel(context, id) == 0 { entry.ticket.release() }
      finish(question, Self.failure(question, "timed out"))
    }
  }

  private func answered(_ question: DNSQuestion, _ status: CInt, _ result: UnsafeMutablePointer<ub_result>?) {
    guard status == 0, let result else {
      finish(question, Self.failure(question, String(cString: ub_strerror(status))))
      return
    }
    finish(question, Self.answer(question, result.pointee, limits.records))
  }

  static func failure(_ question: DNSQuestion, _ reason: String) -> DNSAnswer {
    DNSAnswer(status: .failure(reason), canonicalName: question.name)
  }

  private static func answer(_ question: DNSQuestion, _ result: ub_result, _ limit: Int) -> DNSAnswer {
    var answer = DNSAnswer(status: .success, canonicalName: question.name)
    if result.bogus != 0 {
      let why = result.why_bogus.map { String(cString: $0) } ?? "DNSSEC validation failed"
      answer.status = .failure(why)
      answer.security = .bogus
      return answer
    }
    answer.security = result.secure != 0 ? .secure : .insecure
    answer.timeToLive = UInt32(clamping: result.ttl)
    if let name = result.canonname {
      let text = String(cString: name).lowercased()
      answer.canonicalName = text.hasSuffix(".") ? String(text.dropLast()) : text
    }
    switch result.rcode {
    case 0: break
    case 3:
      answer.status = .noSuchName
      return answer
    default:
      answer.status = .failure(name(ofCode: result.rcode))
      answer.timeToLive = 0
      return answer
    }
    guard let data = result.data, let lengths = result.len else { return answer }
    var index = 0
    while let record = data[index] {
      guard answer.records.count < limit else {
        answer.truncated = true
        break
      }
      let length = max(0, min(Int(lengths[index]), 65_535))
      answer.records.append(Array(UnsafeRawBufferPointer(start: record, count: length)))
      index += 1
    }
    return answer
  }

  private static func name(ofCode code: CInt) -> String {
    switch code {
    case 1: "FORMERR"
    case 2: "SERVFAIL"
    case 4: "NOTIMP"
    case 5: "REFUSED"
    default: "RCODE \(code)"
    }
  }
}

// MARK: Setting up

extension UnboundContext {
  /// Sets the context up; returns whether it validates.
  private static func prepare(
    _ context: OpaquePointer, _ configuration: ResolverConfiguration, _ anchors: ResolverConfiguration.TrustAnchors
  ) throws(ResolverSetupError) -> Bool {
    for (option, value) in [
      // The servers may be on this host, and may serve names of this network.
      ("do-not-query-localhost:", "no"), ("unblock-lan-zones:", "yes"), ("insecure-lan-zones:", "yes"),
      ("outgoing-range:", "256"), ("num-queries-per-thread:", "1024"), ("msg-cache-size:", "16m"), ("rrset-cache-size:", "32m"),
      ("key-cache-size:", "4m"), ("use-syslog:", "no"), ("harden-below-nxdomain:", "yes"),
    ] {
      try check(ub_ctx_set_option(context, option, value), option)
    }
    if configuration.servers.isEmpty {
      // Without the file libunbound asks the root servers itself.
      _ = ub_ctx_resolvconf(context, nil)
    }
    for server in configuration.servers {
      guard case .ip(let address, let port) = server else {
        throw ResolverSetupError(what: "\(server)", reason: "a name server has an IP address")
      }
      try check(ub_ctx_set_fwd(context, "\(address)@\(port)"), "\(server)")
    }
    let validates: Bool
    switch anchors {
    case .none: validates = false
    case .automatic:
      try check(ub_ctx_add_ta_file(context, UnboundResolver.rootKeyFile), UnboundResolver.rootKeyFile)
      validates = true
    case .files(let paths):
      for path in paths {
        guard access(path, R_OK) == 0 else { throw ResolverSetupError(what: path, reason: String(cString: strerror(errno))) }
        try check(ub_ctx_add_ta_file(context, path), path)
      }
      validates = !paths.isEmpty
    case .records(let records):
      for record in records { try check(ub_ctx_add_ta(context, record), record) }
      validates = !records.isEmpty
    }
    try check(ub_ctx_async(context, 1), "thread")
    // libunbound answers for `test.` by itself. This finalizes the context, so it comes last.
    try check(ub_ctx_zone_add(context, "test.", "transparent"), "test.")
    return validates
  }

  private static func check(_ status: CInt, _ what: String) throws(ResolverSetupError) {
    guard status == 0 else { throw ResolverSetupError(what: what, reason: String(cString: ub_strerror(status))) }
  }
}
