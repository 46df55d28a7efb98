/// A command's output kept in memory: for programs that show it their own way, and for tests.
public final class CapturedOutput: AdminOutput {
  public private(set) var output: [UInt8] = []
  public private(set) var errors: [UInt8] = []
  public private(set) var files: [FileAction] = []
  /// How often something was written on standard output.
  public private(set) var pieces = 0
  public private(set) var reports: [AdminProgress] = []

  public init() {}

  /// What stood on standard output.
  public var text: String { String(decoding: output, as: UTF8.self) }

  /// What stood on standard error.
  public var errorText: String { String(decoding: errors, as: UTF8.self) }

  public func write(_ bytes: [UInt8], to stream: AdminStream) async throws(AdminFailure) {
    guard stream == .output else { return errors += bytes }
    output += bytes
    pieces += 1
  }

  /// What was shown in one place.
  public private(set) var pages: [String] = []
  /// Pauses left; behind them nobody listens.
  public var pausesLeft = 3

  public func page(_ text: String) async throws(AdminFailure) { pages.append(text) }

  public func pause(_ duration: Duration) async throws(AdminFailure) {
    guard pausesLeft > 0 else { throw AdminFailure("nobody listens") }
    pausesLeft -= 1
  }

  public func progress(_ progress: AdminProgress) async throws(AdminFailure) { reports.append(progress) }

  public func file(_ action: FileAction) async throws(AdminFailure) { files.append(action) }

  public func watching<Value: Sendable>(
    _ work: @escaping @Sendable (_ report: @escaping @Sendable (AdminProgress) -> Void) async -> Value
  ) async throws(AdminFailure) -> Value {
    await work { _ in }
  }
}
