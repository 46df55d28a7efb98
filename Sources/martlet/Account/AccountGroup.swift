import ArgumentParser

/// `martlet account`
struct AccountGroup: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "account", abstract: "Accounts: who has mailboxes here.",
    subcommands: [
      AccountAdd.self, AccountImport.self, AccountList.self, AccountPassword.self, AccountEnable.self, AccountDisable.self,
      AccountQuota.self,
      AccountRemove.self,
    ])
}
