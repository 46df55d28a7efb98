import ArgumentParser
import Foundation
import Glibc
import MartletServer

/// `martlet demo`
struct Demo: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "demo", abstract: "Run a complete server on this machine and send mail through it.",
    discussion: """
      Starts two hosts on loopback, mx.example.test with the accounts alice and bob and mx.example.net with carol, sends one message \
      that is delivered, one that is relayed and one that is refused, and shows where each went. Stays up until interrupted.
      """)

  @Option(name: .long, help: "A new or empty folder for everything; by default a fresh one in the temporary folder.")
  var data: String?

  @Option(name: .long, help: "Ports count from here: SMTP on this + 25, the other host on this + 2525.")
  var basePort: UInt16 = 10_000

  @Flag(name: .long, help: "End after showing.")
  var once = false

  func validate() throws {
    guard basePort > 0, basePort <= 60_000 else { throw ValidationError("--base-port is a number from 1 to 60000") }
  }

  func run() async throws {
    Privileges.prepare()
    do {
      let stage = try DemoStage(folder: data, basePort: basePort)
      let hosts = try await DemoHosts.start(stage)
      do {
        try await DemoStory(hosts: hosts).tell()
        if !once {
          hosts.sayHowToConnect()
          await Self.interruption()
        }
      } catch {
        await hosts.stop()
        throw error
      }
      await hosts.stop()
      if once, data == nil { try? FileManager.default.removeItem(atPath: stage.folder) }
    } catch let failure as AdminFailure {
      throw failure.exit()
    } catch {
      throw AdminFailure("\(error)").exit()
    }
  }

  private static func interruption() async {
    let signals = ProcessSignals()
    while await signals.next() != .terminate {}
    Console.say("")
  }
}
