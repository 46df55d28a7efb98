import NIOCore
import SMTP

private func replies(_ pieces: [ArraySlice<UInt8>]) -> [String] {
  var parser = SMTPReplyParser()
  var input = ByteBuffer()
  var found: [String] = []
  for piece in pieces {
    input.writeBytes(piece)
    do {
      while let reply = try parser.next(from: &input) { found.append("\(reply)") }
    } catch {
      return found + ["\(error)"]
    }
  }
  return found
}

/// What a next hop says is understood the same, however it was cut.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: start, count: count))
  guard let first = bytes.first else { return 0 }
  let text = bytes.dropFirst()
  let cut = text.startIndex + Int(first) % (text.count + 1)
  let whole = replies([text])
  let inTwo = replies([text[..<cut], text[cut...]])
  guard whole == inTwo else { fatalError("cut at \(cut): \(whole) against \(inTwo)") }
  return 0
}
