@testable import MailStore

/// What stands in the database's blobs is read whatever it is; what was read is written so that it reads as the same.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: start, count: count))
  StoredRecords.readAll(bytes)
  check("envelope", bytes) { bytes in
    let (envelope, census) = EnvelopeRecord.unpacked(bytes)
    return EnvelopeRecord.packed(envelope, census)
  }
  check("summary", bytes) { SummaryRecord.packed(SummaryRecord.unpacked($0)) ?? [] }
  check("acceptance", bytes) { AcceptanceRecord($0).packed() }
  check("trace", bytes) { TraceRecord.packed(TraceRecord.unpacked($0)) }
  check("addresses", bytes) { AddressesRecord.packed(AddressesRecord.unpacked($0)) }
  if let location = SegmentLocation(segment: 1, encodedExtents: bytes) {
    _ = location.length &+ Int(truncatingIfNeeded: location.footprint &+ location.end)
    guard SegmentLocation(segment: 1, encodedExtents: location.encodedExtents) == location else { fatalError("\(location)") }
  }
  return 0
}

private func check(_ what: String, _ bytes: [UInt8], _ rewrite: ([UInt8]) -> [UInt8]) {
  let once = rewrite(bytes)
  guard rewrite(once) == once else { fatalError("the \(what) is another when it is read back") }
}
