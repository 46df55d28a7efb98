import ArgumentParser
import Configuration
import MartletServer

/// `martlet domain update`
struct DomainUpdate: AdminSubcommand {
  static let configuration = CommandConfiguration(
    commandName: "update", abstract: "Change a domain.")

  @OptionGroup var configuration: ConfigurationOption

  @Argument(help: "The domain's name.")
  var name: String

  @Option(name: .long, help: "What all its accounts together may hold, like 50GB; 0 is unlimited.")
  var quota: ByteCount?

  @Option(name: .long, help: "Who gets mail for unknown names; an empty text takes it away.")
  var catchAll: String?

  func command() throws(AdminFailure) -> any AdminCommand {
    UpdateDomain(name: name, quota: quota, catchAll: catchAll)
  }
}
