import Bytes
import MailModel
import SMTP

/// What is encoded decodes to itself (base 64, quoted-printable, xtext, queue ids); decoding gives the same however its input is cut; strict
/// base 64 agrees with its encoder.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: start, count: count))
  let cut = bytes.first.map { min(Int($0), bytes.count) } ?? 0
  guard Base64.decodeStrict(Base64.encode(bytes)) == bytes else { fatalError("base 64") }
  if let decoded = Base64.decodeStrict(bytes), Base64.encode(decoded) != bytes {
    fatalError("strict base 64 took another spelling")
  }
  guard decode64(bytes, cut: cut) == decode64(bytes, cut: 0) else { fatalError("base 64 cut at \(cut)") }
  guard decodeQP(bytes, cut: cut) == decodeQP(bytes, cut: 0) else { fatalError("quoted-printable cut at \(cut)") }
  var encoder = QuotedPrintableEncoder()
  var encoded: [UInt8] = []
  encoder.encode(bytes[..<cut], into: &encoded)
  encoder.encode(bytes[cut...], into: &encoded)
  encoder.finish(into: &encoded)
  guard decodeQP(encoded, cut: 0) == bytes else { fatalError("quoted-printable") }
  var lines = Base64Encoder(lineLength: 76)
  var wrapped: [UInt8] = []
  lines.encode(bytes[..<cut], into: &wrapped)
  lines.encode(bytes[cut...], into: &wrapped)
  lines.finish(into: &wrapped)
  guard decode64(wrapped, cut: 0) == bytes else { fatalError("lines of base 64") }
  let scan = bytes.withUnsafeBytes { ByteScan.census($0) }
  guard scan.hasNUL == bytes.contains(0), scan.hasEightBit == bytes.contains(where: { $0 >= 0x80 }),
    scan.carriageReturns == bytes.filter({ $0 == 0x0D }).count
  else { fatalError("census") }
  if let text = XText.decode(bytes, limit: 1_000) {
    guard XText.decode(Array(XText.encode(text).utf8), limit: .max) == text else { fatalError("xtext of \(text)") }
  }
  if let id = QueueID(parsing: bytes) {
    guard QueueID(parsing: id.utf8) == id, QueueID(id.description) == id else { fatalError("the queue id \(id)") }
  }
  return 0
}

func decode64(_ bytes: [UInt8], cut: Int) -> [UInt8] {
  var decoder = Base64Decoder()
  var output: [UInt8] = []
  decoder.decode(bytes[..<cut], into: &output)
  decoder.decode(bytes[cut...], into: &output)
  return output
}

func decodeQP(_ bytes: [UInt8], cut: Int) -> [UInt8] {
  var decoder = QuotedPrintableDecoder()
  var output: [UInt8] = []
  decoder.decode(bytes[..<cut], into: &output)
  decoder.decode(bytes[cut...], into: &output)
  decoder.finish(into: &output)
  return output
}
