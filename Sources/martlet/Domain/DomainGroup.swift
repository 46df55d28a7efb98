import ArgumentParser

/// `martlet domain`
struct DomainGroup: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "domain", abstract: "Domains that are delivered here or relayed.",
    subcommands: [DomainAdd.self, DomainList.self, DomainUpdate.self, DomainRemove.self])
}
