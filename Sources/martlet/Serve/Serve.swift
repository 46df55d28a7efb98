import ArgumentParser
import Configuration
import Dispatch
import Foundation
import Glibc
import Logging
import MartletServer
import Outside

/// `martlet serve`
///
/// Two processes of the same program. The first binds the listeners, gives up root, and keeps the second running; the second, which
/// inherits the sockets, is the server.
struct Serve: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "serve", abstract: "Run the server.",
    discussion: "Stays in the foreground. SIGHUP reads the configuration again, SIGTERM ends politely within 10 s.")

  @OptionGroup var configuration: ConfigurationOption

  @Flag(name: .long, help: "One process, without the supervisor that starts it again after a crash.")
  var single = false

  /// Runs until the end of the process. Called on a process of one thread.
  func start() -> Never {
    ProcessSignals.block()
    Privileges.prepare()
    do throws(AdminFailure) {
      let file = try ConfigurationFile(path: configuration.path)
      if let inheritance = Inheritance() {
        ServerProcess.run(file, sockets: try sockets(file.configuration, inheritance), notes: inheritance.sharedNotes())
      }
      let sockets = try bind(file.configuration)
      if single { ServerProcess.run(file, sockets: sockets) }
      supervise(file.configuration, sockets)
    } catch {
      for line in error.message.split(separator: "\n") { Console.error("martlet: \(line)") }
      Glibc.exit(CInt(error.exitCode))
    }
  }

  private func supervise(_ configuration: Configuration, _ sockets: [ListeningSocket]) -> Never {
    let supervisor = Supervisor(
      arguments: CommandLine.arguments, sockets: Array(zip(configuration.listeners.map(\.address), sockets).map { ($0, $1) })
    ) { Console.error("martlet: \($0)") }
    Glibc.exit(supervisor.run())
  }

  /// Binds the listeners, makes the data folder, and becomes the user of the configuration.
  private func bind(_ configuration: Configuration) throws(AdminFailure) -> [ListeningSocket] {
    let user = configuration.process.user
    do {
      try DataOwner.check(user)
      let sockets = try configuration.listeners.map { try ListeningSocket.bind($0.address) }
      for listener in configuration.listeners {
        if case .unix(let path) = listener.address { try Privileges.give(path, to: user) }
      }
      try DataFolder.make(configuration.data)
      DataOwner.restore(configuration.data, user: user)
      if !configuration.log.file.isEmpty { try DataFolder.makeLog(configuration.log.file, user: user) }
      try Privileges.become(user)
      return sockets
    } catch let failure as AdminFailure {
      throw failure
    } catch {
      throw AdminFailure("\(error)", exitCode: 71)
    }
  }

  private func sockets(_ configuration: Configuration, _ inheritance: Inheritance) throws(AdminFailure) -> [ListeningSocket] {
    var inheritance = inheritance
    var sockets: [ListeningSocket] = []
    for listener in configuration.listeners {
      do {
        sockets.append(try inheritance.takeSocket(for: listener.address) ?? ListeningSocket.bind(listener.address))
      } catch {
        throw AdminFailure("\(error)", exitCode: 71)
      }
    }
    return sockets
  }
}
