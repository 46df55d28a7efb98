import ArgumentParser
import Foundation
import Glibc
import MartletServer

/// Where the process begins.
///
/// `main` is no async function, so that no thread exists before signals are blocked and the supervisor has what it needs: a process of
/// one thread.
@main
enum Entry {
  static func main() {
    // A reader that goes away (the journal, `| head`) is told by write, not by a signal.
    signal(SIGPIPE, SIG_IGN)
    var serve: Serve?
    if CommandLine.arguments.dropFirst().first == "serve" {
      do {
        serve = try Martlet.parseAsRoot() as? Serve
      } catch {
        Martlet.exit(withError: error)
      }
    }
    if let serve { serve.start() }
    // Who waits for signals by itself must have them blocked in every thread.
    if CommandLine.arguments.dropFirst().first == "demo" { ProcessSignals.block() }
    Task.detached {
      await Martlet.main(nil)
      exit(EXIT_SUCCESS)
    }
    ServerProcess.park()
  }
}
