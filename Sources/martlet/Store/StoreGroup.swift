import ArgumentParser

/// `martlet store`
struct StoreGroup: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "store", abstract: "Care for the data on disk.",
    subcommands: [StoreVerify.self, StoreCompact.self, StoreRebuild.self])
}
