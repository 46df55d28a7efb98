import NIOCore
import SMTP

private func commands(_ pieces: [ArraySlice<UInt8>], _ dialect: SMTPDialect) -> [SMTPInput] {
  var parser = SMTPCommandParser(dialect: dialect, limits: SMTPLimits())
  var input = ByteBuffer()
  var found: [SMTPInput] = []
  for piece in pieces {
    input.writeBytes(piece)
    while let next = parser.next(from: &input) {
      switch next {
      case .command(let command, _): found.append(.command(command, isLast: false))
      case .foreign, .flooded:
        found.append(next)
        return found
      default: found.append(next)
      }
    }
  }
  return found
}

/// What is found does not depend on how the input was cut: the first octet says where.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: start, count: count))
  guard let first = bytes.first else { return 0 }
  let text = bytes.dropFirst()
  let cut = text.startIndex + Int(first) % (text.count + 1)
  for dialect in [SMTPDialect.smtp, .lmtp] {
    let whole = commands([text], dialect)
    let inTwo = commands([text[..<cut], text[cut...]], dialect)
    guard whole == inTwo else { fatalError("cut at \(cut): \(whole) against \(inTwo)") }
  }
  return 0
}
