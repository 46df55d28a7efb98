import Configuration
import Logging
import Outside

/// Listens on the control socket of the data folder, mode 0600: for root and the server's user.
public final class ControlListener: Sendable {
  private let listener: Listener

  private init(_ listener: Listener) { self.listener = listener }

  /// Connections at one time: more are closed at once.
  static let connections = 64

  /// Starts listening.
  public static func start(path: String, service: ControlService, loops: ServerLoops, log: Logger) async throws -> ControlListener {
    let socket = try ListeningSocket.bind(.unix(path: path), unixMode: 0o600)
    var options = ListenerOptions(name: "control")
    options.limits.connections = connections
    options.limits.shutdownTime = .seconds(2)
    let listener = try await Listener.start(on: socket, options: options, loops: loops, logger: log) { connection in
      await service.serve(connection)
    }
    return ControlListener(listener)
  }

  /// Lets commands that run end, and stops.
  public func stop() async { await listener.stop() }
}
