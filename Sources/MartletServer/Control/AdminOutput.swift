import MailModel
import Outside

/// Where a command's words, files and progress go: a terminal, or through the control socket to one.
public protocol AdminOutput: AnyObject {
  /// Writes text. Throws when nobody listens any more.
  func write(_ bytes: [UInt8], to stream: AdminStream) async throws(AdminFailure)

  /// Shows text in the place of what was shown so before: on a terminal from its upper corner, elsewhere as one more block, with a line
  /// left empty behind it.
  func page(_ text: String) async throws(AdminFailure)

  /// Waits. Throws when nobody listens any more.
  func pause(_ duration: Duration) async throws(AdminFailure)

  /// Tells how far the work is.
  func progress(_ progress: AdminProgress) async throws(AdminFailure)

  /// Does something to the files that the command makes, with the rights of the person who asked.
  func file(_ action: FileAction) async throws(AdminFailure)

  /// Runs work that reports from another thread, and passes its reports on meanwhile.
  func watching<Value: Sendable>(
    _ work: @escaping @Sendable (_ report: @escaping @Sendable (AdminProgress) -> Void) async -> Value
  ) async throws(AdminFailure) -> Value
}

public enum AdminStream: UInt8, Hashable, Sendable {
  case output = 16
  case error = 17
}

/// How far long work is.
public struct AdminProgress: Hashable, Sendable, Codable {
  public enum Unit: String, Hashable, Sendable, Codable {
    case items
    case octets
  }

  public var done: Int64
  public var total: Int64
  public var unit: Unit
  /// `bodies`, `Sent`: what is being done.
  public var what: String
  /// The last report of this work.
  public var isLast: Bool

  public init(done: Int64, total: Int64, unit: Unit = .items, what: String, isLast: Bool = false) {
    self.done = done
    self.total = total
    self.unit = unit
    self.what = what
    self.isLast = isLast
  }
}

/// What happens to the files a command makes. Paths are relative to the target the person named, without `..`.
public enum FileAction: Hashable, Sendable {
  /// Makes a folder and those above it.
  case folder(path: String)
  /// Begins a new file, which must not exist. It appears whole at `end`.
  case begin(path: String, modified: Timestamp?)
  case data([UInt8])
  case end
}
