import InternetMessage

/// What is converted needs 7 bits only, but for the message's own header, and converting it again changes nothing.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: start, count: count))
  guard let result = try? SevenBitDowngrade.convert(bytes) else { return 0 }
  var observer = MessageObserver()
  result.withUnsafeBytes { observer.observe($0) }
  let census = observer.finish().census
  guard !census.hasEightBitBody, !census.isBinary else { fatalError("not 7-bit") }
  if let again = try? SevenBitDowngrade.convert(result), again != result { fatalError("not stable") }
  return 0
}
