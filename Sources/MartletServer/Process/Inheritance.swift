import CLinux
import Glibc
import Outside

/// What a server inherits from its supervisor, by descriptor numbers in the environment: `4=127.0.0.1:25,5=unix:/run/x,notes=6`.
public struct Inheritance: Sendable {
  static let variable = "MARTLET_INHERITED"

  private var sockets: [(requested: Endpoint, descriptor: CInt)] = []
  private var notes: CInt?

  init(sockets: [(requested: Endpoint, socket: ListeningSocket)], notes: CInt?) {
    self.sockets = sockets.map { ($0.requested, $0.socket.descriptor) }
    self.notes = notes
  }

  /// What this process inherited; nil if no supervisor started it. It will be told to end (SIGTERM) should the supervisor die.
  public init?() {
    guard let value = getenv(Self.variable) else { return nil }
    self.init(parsing: String(cString: value))
    unsetenv(Self.variable)
    _ = clinux_die_with_parent(SIGTERM)
  }

  init(parsing text: String) {
    for part in text.split(separator: ",") {
      guard let equals = part.firstIndex(of: "=") else { continue }
      let (name, rest) = (part[..<equals], part[part.index(after: equals)...])
      if name == "notes" {
        notes = CInt(rest)
      } else if let descriptor = CInt(name), descriptor > 2, let endpoint = Endpoint(String(rest)) {
        sockets.append((endpoint, descriptor))
      }
    }
  }

  var text: String {
    var parts = sockets.map { "\($0.descriptor)=\($0.requested)" }
    if let notes { parts.append("notes=\(notes)") }
    return parts.joined(separator: ",")
  }

  /// The socket for `endpoint`, once: two listeners of port 0 get two.
  public mutating func takeSocket(for endpoint: Endpoint) throws(ListenError) -> ListeningSocket? {
    guard let index = sockets.firstIndex(where: { $0.requested == endpoint }) else { return nil }
    return try ListeningSocket.inherited(sockets.remove(at: index).descriptor, endpoint: endpoint)
  }

  /// The shared notes; nil if there are none.
  public func sharedNotes() -> SharedNotes? {
    guard let notes else { return nil }
    _ = fcntl(notes, F_SETFD, FD_CLOEXEC)
    return SharedNotes(descriptor: notes)
  }
}
