import ArgumentParser
import Configuration
import MartletServer

/// `martlet domain add`
struct DomainAdd: AdminSubcommand {
  static let configuration = CommandConfiguration(
    commandName: "add", abstract: "Add a domain.")

  @OptionGroup var configuration: ConfigurationOption

  @Argument(help: "The domain's name.")
  var name: String

  @Flag(name: .long, help: "Its mail is accepted and passed on by route or MX, not delivered here.")
  var relay = false

  @Option(name: .long, help: "What all its accounts together may hold, like 50GB; 0 is unlimited.")
  var quota = ByteCount(octets: 0)

  @Option(name: .long, help: "Who gets mail for unknown names.")
  var catchAll: String?

  var storeUse: StoreUse { .making }

  func command() throws(AdminFailure) -> any AdminCommand {
    AddDomain(name: name, isRelay: relay, quota: quota, catchAll: catchAll)
  }
}
