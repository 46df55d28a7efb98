import NIOCore
import SMTP

/// A header is taken whole, with nothing behind it, and a cut one asks for more or is refused, never misread.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: start, count: count))
  var input = ByteBuffer(bytes: bytes)
  guard let header = try? ProxyHeader.take(from: &input) else { return 0 }
  let length = bytes.count - input.readableBytes
  var exact = ByteBuffer(bytes: bytes[..<length])
  guard (try? ProxyHeader.take(from: &exact)) == header, exact.readableBytes == 0 else {
    fatalError("\(header) hangs on what follows it")
  }
  for end in 0..<length {
    var short = ByteBuffer(bytes: bytes[..<end])
    if let early = try? ProxyHeader.take(from: &short) { fatalError("\(early) was read from \(end) of \(length) octets") }
  }
  return 0
}
