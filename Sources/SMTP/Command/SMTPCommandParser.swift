import Bytes
import NIOCore

/// Cuts the input into lines and reads each as a command; skips what is too long.
///
/// What it gives depends on the bytes alone, never on how they were cut into reads (only `isLast` tells of what stood behind).
public struct SMTPCommandParser: Sendable {
  private let limits: SMTPLimits
  private let dialect: SMTPDialect
  private var scanned = 0
  private var discarded: Int?
  private var isFirst = true

  public init(dialect: SMTPDialect, limits: SMTPLimits) {
    self.dialect = dialect
    self.limits = limits
  }

  /// The next input, consumed; nil if more bytes are needed.
  public mutating func next(from input: inout ByteBuffer) -> SMTPInput? {
    nil
  }
}
