import ArgumentParser
import Foundation
import MartletServer

/// `martlet account import`
struct AccountImport: AdminSubcommand {
  static let configuration = CommandConfiguration(
    commandName: "import", abstract: "Add many accounts from standard input.",
    discussion:
      "A line is ADDRESS, ADDRESS,QUOTA or ADDRESS,QUOTA,HASH (Argon2id). Accounts that are there already stay as they are.")

  @OptionGroup var configuration: ConfigurationOption
  @OptionGroup var format: JSONOption

  var storeUse: StoreUse { .making }

  func command() throws(AdminFailure) -> any AdminCommand { ImportAccounts(isJSON: format.json) }

  /// Octets of a list: what one order to the server may have, less its words.
  private static let longest = 1_000_000

  func input(_ file: ConfigurationFile) throws(AdminFailure) -> [UInt8] {
    var list: [UInt8] = []
    while list.count <= Self.longest {
      let more = FileHandle.standardInput.availableData
      if more.isEmpty { return list }
      list += more
    }
    throw AdminFailure("the list is longer than \(Self.longest) bytes; give it in parts", exitCode: 65)
  }
}
