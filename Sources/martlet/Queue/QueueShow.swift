import ArgumentParser
import Configuration
import MartletServer

/// `martlet queue show`
struct QueueShow: AdminSubcommand {
  static let configuration = CommandConfiguration(
    commandName: "show", abstract: "Show a message that waits, with its history.")

  @OptionGroup var configuration: ConfigurationOption
  @OptionGroup var format: JSONOption

  @Argument(help: "The queue id.")
  var id: String

  func command() throws(AdminFailure) -> any AdminCommand {
    ShowQueued(id: id, isJSON: format.json)
  }
}
