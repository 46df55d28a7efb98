import ArgumentParser
import Configuration
import MartletServer

/// `martlet store compact`
struct StoreCompact: AdminSubcommand {
  static let configuration = CommandConfiguration(
    commandName: "compact", abstract: "Give space back that removed mail took.")

  @OptionGroup var configuration: ConfigurationOption
  @OptionGroup var format: JSONOption

  func command() throws(AdminFailure) -> any AdminCommand {
    CompactStore(isJSON: format.json)
  }
}
