import Bytes

/// Tells header and body of a message apart while it passes by, and keeps the header.
///
/// The header ends before the first empty line (RFC 5322, 2.1); a message without one is all header.
public struct MessageSplitter: Sendable {
  private let limit: Int
  /// The line that is being read has no octet yet but, perhaps, a CR.
  private var isAtLineStart = true
  private var hasReturn = false

  /// The header so far, with its line ends, without the empty line.
  public private(set) var header: [UInt8] = []
  /// The empty line has come: what follows is body.
  public private(set) var isComplete = false
  /// The header is longer than the limit, and the excess was thrown away: neither sign nor verify.
  public private(set) var isTooLong = false

  /// `limit` in octets; 1 MiB, as for a `MessageObserver`.
  public init(limit: Int = 1_048_576) { self.limit = limit }

  /// Takes the next piece; gives the offset in it at which the body begins or goes on, its length if it is header to its end.
  public mutating func take(_ bytes: UnsafeRawBufferPointer) -> Int {
    var start = 0
    while !isComplete, start < bytes.count {
      let end = ByteScan.firstIndex(of: 0x0A, in: bytes, from: start)
      let line = UnsafeRawBufferPointer(rebasing: bytes[start..<(end.map { $0 + 1 } ?? bytes.count)])
      start += line.count
      if isEmptyLine(line, isEnded: end != nil) {
        isComplete = true
        if hasReturn, header.last == 0x0D { header.removeLast() }
        break
      }
      keep(line)
      if end != nil { (isAtLineStart, hasReturn) = (true, false) }
    }
    return start
  }

  /// Whether `line`, or the rest of a line, ends an empty one. Notes what it is for the next piece if it does not end.
  private mutating func isEmptyLine(_ line: UnsafeRawBufferPointer, isEnded: Bool) -> Bool {
    guard isAtLineStart else { return false }
    if isEnded { return line.count == 1 || (line.count == 2 && !hasReturn && line.first == 0x0D) }
    if line.count == 1, line.first == 0x0D, !hasReturn { hasReturn = true } else if !line.isEmpty { isAtLineStart = false }
    return false
  }

  private mutating func keep(_ line: UnsafeRawBufferPointer) {
    let room = max(limit - header.count, 0)
    if line.count > room { isTooLong = true }
    header += line.prefix(room)
  }
}
