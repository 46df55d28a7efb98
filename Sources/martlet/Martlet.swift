import ArgumentParser
import MartletServer

/// The command line. One subcommand a file; what administrative ones do stands in `MartletServer/Control/Commands`.
@main
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
      StoreGroup.self, StatusCommand.self, TraceCommand.self, Demo.self, VersionCommand.self,
    ])
}
