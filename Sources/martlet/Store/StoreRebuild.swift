import ArgumentParser
import Configuration
import MartletServer

/// `martlet store rebuild`
struct StoreRebuild: AdminSubcommand {
  static let configuration = CommandConfiguration(
    commandName: "rebuild", abstract: "Build anew what is derived: the look-ups of the trace by address and Message-ID.")

  @OptionGroup var configuration: ConfigurationOption

  func command() throws(AdminFailure) -> any AdminCommand {
    RebuildStore()
  }
}
