import Bytes
import InternetMessage

/// What is converted needs 7 bits only, but for the message's own header, converting it again changes nothing, and what a reader
/// decodes is the same, octet for octet.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: start, count: count))
  guard let result = try? SevenBitDowngrade.convert(bytes) else { return 0 }
  var observer = MessageObserver()
  result.withUnsafeBytes { observer.observe($0) }
  let census = observer.finish().census
  guard !census.hasEightBitBody, !census.isBinary else { fatalError("not 7-bit") }
  if let again = try? SevenBitDowngrade.convert(result), again != result { fatalError("not stable") }
  let (before, after) = (observe(bytes), observe(result))
  guard before.count == after.count else { fatalError("\(before.count) parts became \(after.count)") }
  for (old, new) in zip(before, after) {
    guard old.parent == new.parent, old.kind == new.kind, old.type == new.type, old.subtype == new.subtype else {
      fatalError("another part: \(old) \(new)")
    }
    guard old.kind == .text || old.kind == .leaf else { continue }
    guard decoded(bytes, old) == decoded(result, new) else { fatalError("another content: \(old) \(new)") }
  }
  return 0
}

private func observe(_ bytes: [UInt8]) -> [MessagePart] {
  var observer = MessageObserver()
  bytes.withUnsafeBytes { observer.observe($0) }
  return observer.finish().parts
}

private func decoded(_ bytes: [UInt8], _ part: MessagePart) -> [UInt8] {
  let body = bytes[part.bodyStart..<part.bodyEnd]
  var output: [UInt8] = []
  switch part.encoding {
  case .base64:
    var decoder = Base64Decoder()
    decoder.decode(body, into: &output)
  case .quotedPrintable:
    var decoder = QuotedPrintableDecoder()
    decoder.decode(body, into: &output)
    decoder.finish(into: &output)
  default: output = Array(body)
  }
  return output
}
