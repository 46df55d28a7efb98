import ArgumentParser

/// `martlet export`
struct ExportGroup: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export", abstract: "Write mail to files.", subcommands: [ExportMaildirCommand.self, ExportMboxCommand.self])
}
