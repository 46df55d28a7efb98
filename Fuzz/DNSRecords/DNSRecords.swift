import Bytes
import DNSTypes

/// A name that is read is written so that it reads as the same name, in both of its forms.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: start, count: count))
  var cursor = ByteCursor(bytes)
  check(DNSName(&cursor))
  check(DNSName(String(decoding: bytes, as: UTF8.self)))
  check(MXRecord(bytes)?.exchange)
  check(SRVRecord(bytes)?.target)
  check(NameRecord.parse(bytes))
  _ = TXTRecord(bytes)
  _ = TLSARecord(bytes)?.isUsable
  _ = AddressRecord.a(bytes)
  _ = AddressRecord.aaaa(bytes)
  return 0
}

func check(_ name: DNSName?) {
  guard let name else { return }
  var cursor = ByteCursor(name.wire)
  guard name.wire.count <= DNSName.longest, DNSName(&cursor) == name, cursor.isAtEnd else { fatalError("wire form of \(name)") }
  guard DNSName(name.description) == name else { fatalError("presentation form of \(name)") }
}
