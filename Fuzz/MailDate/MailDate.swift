import InternetMessage

/// A date that is read is written so that it reads as the same moment; every moment can be written.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: start, count: count))
  if let date = MailDate(parsing: bytes) {
    let again = MailDate(parsing: date.wire)
    // Writing is held to the years that four digits hold.
    if date.seconds > -2_208_900_000, date.seconds < 253_402_200_000, again != date {
      fatalError("\(date) became \(String(describing: again))")
    }
  }
  if bytes.count >= 10 {
    let seconds = bytes.prefix(8).reduce(Int64(0)) { $0 << 8 | Int64($1) }
    _ = MailDate(seconds: seconds, zoneMinutes: Int(bytes[8]) << 8 | Int(bytes[9])).wire
  }
  return 0
}
