import NIOCore
import SMTP

/// PROXY headers: total, bounded, and the same whether the bytes come at once or one by one.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzProxyHeader(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: start, count: count))
  var whole = ByteBuffer(bytes: bytes)
  let atOnce = take(&whole)
  var input = ByteBuffer()
  for (offset, byte) in bytes.enumerated() {
    input.writeInteger(byte)
    switch take(&input) {
    case .more: continue
    case .failed:
      guard case .failed = atOnce, input.readableBytes == offset + 1 else { fatalError("refused only in pieces") }
      return 0
    case .header(let header):
      guard case .header(header) = atOnce, whole.readableBytes == count - offset - 1 else { fatalError("another header in pieces") }
      return 0
    }
  }
  guard case .more = atOnce, count <= 16 + ProxyHeader.maximumPayloadOctets else { fatalError("more is wanted than may come") }
  return 0
}

private enum Result {
  case more, failed
  case header(ProxyHeader)
}

private func take(_ input: inout ByteBuffer) -> Result {
  do {
    return try ProxyHeader.take(from: &input).map { .header($0) } ?? .more
  } catch {
    return .failed
  }
}
