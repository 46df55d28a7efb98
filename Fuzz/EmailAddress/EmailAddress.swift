import Bytes
import InternetMessage

/// An address that is read is written so that it reads as the same address.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: start, count: count))
  for allowsUTF8 in [false, true] {
    let parser = AddressParser(allowsUTF8: allowsUTF8)
    var cursor = ByteCursor(bytes)
    _ = try? parser.reversePath(&cursor)
    cursor = ByteCursor(bytes)
    _ = try? parser.forwardPath(&cursor)
    cursor = ByteCursor(bytes)
    guard let address = try? parser.mailbox(&cursor) else { continue }
    _ = address.lookupKey
    _ = address.asciiDomain
    _ = address.literalAddress
    guard let again = try? AddressParser(allowsUTF8: true).mailbox(address.wire), again == address else {
      fatalError("\(address) was not read back from \(address.wire)")
    }
  }
  return 0
}
