import ArgumentParser
import MartletServer

/// The command line. One subcommand a file; what administrative ones do stands in `MartletServer/Control/Commands`.
struct Martlet: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "martlet", abstract: "A complete mail server.",
    discussion: """
      Every command takes --config FILE; without it $MARTLET_CONFIG counts, else /etc/martlet/martlet.toml. Commands work while the \
      server runs, through its control socket, and while it does not.
      """,
    version: MartletVersion.text,
    subcommands: [
      Serve.self, Check.self, DomainGroup.self, AccountGroup.self, AliasGroup.self, QueueGroup.self, MailboxGroup.self,
      ExportGroup.self,
      StoreGroup.self, StatusCommand.self, DrainCommand.self, TraceCommand.self, ExplainCommand.self, RehearseCommand.self,
      Demo.self, Simulate.self,
      VersionCommand.self,
    ])

  /// What administrative words mean; the server asks this of what the control socket brings.
  static let parse: @Sendable ([String]) throws(AdminFailure) -> any AdminCommand = { words throws(AdminFailure) in
    let parsed: any ParsableCommand
    do {
      parsed = try parseAsRoot(words)
    } catch {
      throw AdminFailure(message(for: error), exitCode: 64)
    }
    guard let subcommand = parsed as? any AdminSubcommand else {
      throw AdminFailure("the server does not run this command", exitCode: 64)
    }
    return try subcommand.command()
  }
}
