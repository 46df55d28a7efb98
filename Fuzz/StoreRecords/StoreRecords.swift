import MailStore

/// What stands in the database's blobs is read whatever it is, and the place of a body reads back as it is written.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: start, count: count))
  StoredRecords.readAll(bytes)
  if let location = SegmentLocation(segment: 1, encodedExtents: bytes) {
    _ = location.length &+ Int(truncatingIfNeeded: location.footprint &+ location.end)
    guard SegmentLocation(segment: 1, encodedExtents: location.encodedExtents) == location else { fatalError("\(location)") }
  }
  return 0
}
