import Bytes
import NIOCore

/// Doubles the dots at the beginning of lines and writes the end of the message (RFC 5321, 4.5.2), page by page.
///
/// What it writes has no CR or LF outside CRLF, whatever it is given (HOSTILE 2): it refuses the first bare one, and then the
/// connection must be closed without the final dot. Copies each page once, into the output, and nothing else.
public struct DotStuffer: Sendable {
  /// A CR without LF, or an LF without CR: nothing more can be sent.
  public struct BareLineEnding: Error, Hashable, Sendable {}

  private var isAtLineStart = true
  /// The last page ended in a CR whose LF must come first in the next.
  private var endsInCarriageReturn = false

  public init() {}

  /// Appends `page`, stuffed, to `output`.
  public mutating func write(_ page: ByteBuffer, to output: inout ByteBuffer) throws(BareLineEnding) {
    var isBroken = false
    var atLineStart = isAtLineStart
    var pending = endsInCarriageReturn
    page.withUnsafeReadableBytes { bytes in
      isBroken = !Self.stuff(bytes, &atLineStart, &pending, into: &output)
    }
    if isBroken { throw BareLineEnding() }
    isAtLineStart = atLineStart
    endsInCarriageReturn = pending
  }

  /// Appends the end: CRLF if the message did not end in one, a dot, CRLF.
  public mutating func finish(to output: inout ByteBuffer) throws(BareLineEnding) {
    if endsInCarriageReturn { throw BareLineEnding() }
    output.writeStaticString(isAtLineStart ? ".\r\n" : "\r\n.\r\n")
    self = DotStuffer()
  }

  private static func stuff(
    _ bytes: UnsafeRawBufferPointer, _ atLineStart: inout Bool, _ pending: inout Bool, into output: inout ByteBuffer
  ) -> Bool {
    // Everything before `copied` is in the output.
    var copied = 0
    var position = 0
    if pending, let first = bytes.first {
      guard first == 0x0A else { return false }
      pending = false
      atLineStart = true
      position = 1
    }
    while position < bytes.count {
      if atLineStart, bytes[position] == 0x2E {
        output.writeBytes(UnsafeRawBufferPointer(rebasing: bytes[copied..<position]))
        output.writeInteger(UInt8(0x2E))
        copied = position
      }
      atLineStart = false
      let lineFeed = ByteScan.firstIndex(of: 0x0A, in: bytes, from: position)
      let end = lineFeed ?? bytes.count
      let line = UnsafeRawBufferPointer(rebasing: bytes[position..<end])
      let carriageReturn = ByteScan.firstIndex(of: 0x0D, in: line)
      guard lineFeed != nil else {
        // The rest of a page: a CR may only be its last byte.
        if let carriageReturn {
          guard carriageReturn == line.count - 1 else { return false }
          pending = true
        }
        break
      }
      guard let carriageReturn, carriageReturn == line.count - 1 else { return false }
      position = end + 1
      atLineStart = true
    }
    output.writeBytes(UnsafeRawBufferPointer(rebasing: bytes[copied..<bytes.count]))
    return true
  }
}
