import Configuration
import Outside
import Reception
import SMTP
import Sessions
import Synchronization

/// What one listener's sessions start with; a reload replaces it for the sessions to come.
final class ListenerService: Sendable {
  private let holder: Mutex<SMTPListener>

  init(
    section: Configuration.Listener, server: Server, fullMailboxes: FullMailboxes, contentMemory: ContentMemory,
    _ configuration: Configuration
  ) {
    let parts = server.parts
    let context = section.security == .none ? nil : parts.tls.server
    self.holder = Mutex(
      SMTPListener(
        service: Settings.service(section, configuration, offersTLS: context != nil), reception: parts.reception,
        store: parts.store,
        overload: parts.overload, clock: parts.clock, sleeper: LoopSleeper(loops: parts.loops), tls: context,
        isImplicitTLS: section.security == .implicit, limits: Settings.session(configuration),
        outbound: parts.outbound, fullMailboxes: fullMailboxes, contentMemory: contentMemory,
        notes: server.notes, log: parts.log))
    holder.withLock { listener in
      listener.isDraining = { [weak server] in server?.isDraining ?? false }
    }
  }

  var current: SMTPListener { holder.withLock { $0 } }

  /// A session as the listener is configured just now.
  @inline(never)
  func session(_ connection: Connection) -> SMTPSession { SMTPSession(current, connection) }

  /// What a client is told that is one too many.
  var refusal: [UInt8] { refusal(isDraining: false) }

  /// What a client is told for whom there is no session; nothing where it waits for TLS.
  ///
  /// - Parameter isDraining: nobody has one just now.
  func refusal(isDraining: Bool) -> [UInt8] {
    let listener = current
    guard !listener.isImplicitTLS else { return [] }
    let why = isDraining ? "Takes no mail just now" : "Too many connections"
    return Array("421 4.3.2 \(listener.service.hostname) \(why), try again later\r\n".utf8)
  }

  func update(_ section: Configuration.Listener, _ configuration: Configuration, tls: OpenSSLContext?) {
    let context = section.security == .none ? nil : tls
    holder.withLock { listener in
      listener.tls = context
      listener.isImplicitTLS = section.security == .implicit
      listener.service = Settings.service(section, configuration, offersTLS: context != nil)
      listener.limits = Settings.session(configuration)
    }
  }
}
