import ArgumentParser
import MartletServer

/// `martlet version`
struct VersionCommand: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "version", abstract: "Tell the release.")

  func run() { Console.say("martlet \(MartletVersion.text)") }
}
