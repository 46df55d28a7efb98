import Configuration
import Foundation
import Identity
import InternetMessage
import MailModel
import MailStore
import Outside

/// One administrative command as a value: what `martlet domain add ...` means once its words are read.
///
/// It runs in the process that holds the store: the server, when one runs (the command line sends its words over the control socket),
/// else the command line itself. It says what it does through the context and knows nothing of sockets or terminals.
public protocol AdminCommand: Sendable {
  /// Does it. Returning means success; a failure is told to the person who asked and ends with its exit code.
  func run(_ context: AdminContext) async throws(AdminFailure)
}

/// Why a command failed, in words for the person who gave it.
public struct AdminFailure: Error, Hashable, Sendable, CustomStringConvertible {
  /// What happened, to what, and what to do. Without a final stop.
  public var message: String
  /// What the process ends with: 1 in general, 64 for words that can't be understood, 75 for what may work later.
  public var exitCode: UInt8
  /// The store said so: what was asked can't be read or written, whoever listens.
  public private(set) var isOfStore = false

  public init(_ message: String, exitCode: UInt8 = 1) {
    self.message = message
    self.exitCode = exitCode
  }

  /// What the store's answer means to a postmaster.
  public init(_ error: StoreError) {
    switch error {
    case .notFound(let what): self.init("no such \(what)")
    case .exists(let what): self.init("\(what) exists already")
    case .notEmpty(let what): self.init("\(what) is not empty")
    case .invalid(let what): self.init(what)
    case .overQuota: self.init("the account or its domain is over its quota")
    case .stale: self.init("the change log no longer reaches back that far")
    case .full: self.init("the disk is full", exitCode: 75)
    case .unavailable(let reason): self.init("the store is unavailable: \(reason)", exitCode: 75)
    case .damaged: self.init("the message is damaged and quarantined; \"martlet store verify\" tells more")
    case .closed: self.init("the store is closed", exitCode: 75)
    }
    isOfStore = true
  }

  public var description: String { message }
}

/// What a command runs with.
///
/// Confined to the one task that runs the command.
public final class AdminContext {
  public let store: any MailStore
  public let configuration: Configuration
  /// The running server; nil when the command line opened the store itself.
  public let live: (any LiveServer)?
  public let clock: any Clock
  /// What stood on standard input, for commands that read it.
  public let input: [UInt8]
  public let output: any AdminOutput
  /// The zone in which the person who asked reads times.
  public let timeZone: TimeZone

  public init(
    store: any MailStore, configuration: Configuration, live: (any LiveServer)?, clock: any Clock, input: [UInt8] = [],
    output: any AdminOutput, timeZone: TimeZone = .gmt
  ) {
    self.store = store
    self.configuration = configuration
    self.live = live
    self.clock = clock
    self.input = input
    self.output = output
    self.timeZone = timeZone
  }
}

extension AdminContext {
  /// Says a line on standard output.
  func say(_ line: String) async throws(AdminFailure) {
    try await output.write(Array((line + "\n").utf8), to: .output)
  }

  /// Says a line on standard error: what went on beside the result.
  func warn(_ line: String) async throws(AdminFailure) {
    try await output.write(Array(("martlet: " + line + "\n").utf8), to: .error)
  }

  /// Says a value as JSON: keys sorted, indented, times in ISO 8601.
  func sayJSON(_ value: some Encodable) async throws(AdminFailure) {
    try await write(try JSONPieces.encoded(value) + [0x0A])
  }

  /// Writes bytes to standard output as they are.
  func write(_ bytes: [UInt8]) async throws(AdminFailure) { try await output.write(bytes, to: .output) }

  /// Asks the store, its refusals put into words.
  func asking<Value>(_ call: () async throws(StoreError) -> Value) async throws(AdminFailure) -> Value {
    do throws(StoreError) {
      return try await call()
    } catch {
      throw AdminFailure(error)
    }
  }

  func directory() async throws(AdminFailure) -> DirectoryContents {
    try await asking { () async throws(StoreError) in try await store.directory() }
  }

  /// Makes the running server know what was changed before the command says so.
  func directoryChanged() async throws(AdminFailure) {
    guard let live else { return }
    try await asking { () async throws(StoreError) in try await live.directoryChanged() }
  }

  /// Reads an address, with its domain in A-labels.
  func address(_ text: String) throws(AdminFailure) -> EmailAddress {
    do {
      let address = try AddressParser(allowsUTF8: true).mailbox(text)
      guard let plain = address.withASCIIDomain else { throw AdminFailure("\(text) has a domain that can't be looked up") }
      return plain
    } catch let failure as AdminFailure {
      throw failure
    } catch {
      throw AdminFailure("\(text) is not an address: \(error)")
    }
  }

  /// The account of an address, which must be one.
  func account(_ text: String) async throws(AdminFailure) -> Account {
    let key = try address(text).lookupKey
    guard let account = try await directory().accounts.first(where: { $0.address.lookupKey == key }) else {
      throw AdminFailure("no such account: \(text)")
    }
    return account
  }
}
