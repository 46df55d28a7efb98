import Glibc
import Outside
import Synchronization

/// A command's output straight to this process's own streams and files: without a server in between, and at the client's end of the
/// control socket.
///
/// Everything it holds is immutable, behind a lock, or (the files) used by the command's own task only; that is what makes
/// `@unchecked Sendable` true. Reports of progress come from other threads.
public final class ConsoleOutput: AdminOutput, @unchecked Sendable {
  private let files: FileSink?
  private let printer: Mutex<ProgressPrinter>
  private let outputDescriptor: CInt
  private let errorDescriptor: CInt

  /// - Parameters:
  ///   - files: where the command's files go; nil if it makes none.
  ///   - output: the descriptor of standard output, or what stands for it.
  ///   - error: the same for standard error.
  public init(files: FileSink?, output: CInt = STDOUT_FILENO, error: CInt = STDERR_FILENO) {
    self.files = files
    self.outputDescriptor = output
    self.errorDescriptor = error
    self.printer = Mutex(ProgressPrinter(isTerminal: isatty(error) == 1, width: Self.terminalWidth(error)))
  }

  public func write(_ bytes: [UInt8], to stream: AdminStream) async throws(AdminFailure) { try put(bytes, to: stream) }

  public func page(_ text: String) async throws(AdminFailure) { try show(page: text) }

  public func pause(_ duration: Duration) async throws(AdminFailure) { try? await Task.sleep(for: duration) }

  public func progress(_ progress: AdminProgress) async throws(AdminFailure) { show(progress) }

  public func file(_ action: FileAction) async throws(AdminFailure) { try act(action) }

  public func watching<Value: Sendable>(
    _ work: @escaping @Sendable (_ report: @escaping @Sendable (AdminProgress) -> Void) async -> Value
  ) async throws(AdminFailure) -> Value {
    let console = self
    return await work { console.show($0) }
  }

  /// Writes at once; a bar that stands on the terminal is wiped first.
  func put(_ bytes: [UInt8], to stream: AdminStream) throws(AdminFailure) {
    let wipe = printer.withLock { $0.wipe() }
    if !wipe.isEmpty { try Self.writeAll(Array(wipe.utf8), to: errorDescriptor) }
    try Self.writeAll(bytes, to: stream == .output ? outputDescriptor : errorDescriptor)
  }

  func show(page text: String) throws(AdminFailure) {
    guard isatty(outputDescriptor) == 1 else { return try put(Array((text + "\n\n").utf8), to: .output) }
    let (width, height) = Self.terminalSize(outputDescriptor)
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false).prefix(max(height - 1, 1)).map { $0.prefix(width) }
    // Home, then each line with the rest of the old one wiped, then all below.
    try put(Array(("\u{1B}[H" + lines.map { "\($0)\u{1B}[K\n" }.joined() + "\u{1B}[J").utf8), to: .output)
  }

  func act(_ action: FileAction) throws(AdminFailure) {
    guard let files else { throw AdminFailure("this command makes no files") }
    try files.act(action)
  }

  func show(_ progress: AdminProgress) {
    let text = printer.withLock { $0.text(for: progress, now: SystemClock().monotonic()) }
    guard !text.isEmpty else { return }
    // A terminal that is gone does not stop the work.
    try? Self.writeAll(Array(text.utf8), to: errorDescriptor)
  }

  /// Writes all of `bytes`, however often that takes.
  public static func writeAll(_ bytes: [UInt8], to descriptor: CInt) throws(AdminFailure) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let written = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if written > 0 {
        rest = rest.dropFirst(written)
      } else if errno != EINTR {
        throw AdminFailure("can't write: \(String(cString: strerror(errno)))")
      }
    }
  }

  private static func terminalWidth(_ descriptor: CInt) -> Int { terminalSize(descriptor).width }

  private static func terminalSize(_ descriptor: CInt) -> (width: Int, height: Int) {
    var size = winsize()
    guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 20 else { return (80, 24) }
    return (Int(size.ws_col), max(Int(size.ws_row), 3))
  }
}
