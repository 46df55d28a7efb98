import ArgumentParser

/// `martlet alias`
struct AliasGroup: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "alias", abstract: "Addresses that stand for others, here or elsewhere.",
    subcommands: [AliasAdd.self, AliasList.self, AliasRemove.self])
}
