import ArgumentParser
import Configuration
import MartletServer

/// `martlet status`
struct StatusCommand: AdminSubcommand {
  static let configuration = CommandConfiguration(
    commandName: "status", abstract: "Tell how the server is.")

  @OptionGroup var configuration: ConfigurationOption
  @OptionGroup var format: JSONOption

  func command() throws(AdminFailure) -> any AdminCommand {
    ShowStatus(isJSON: format.json)
  }
}
