import InternetMessage

/// Parameters are bounded, and each name stands once.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: start, count: count))
  let parsed = ParameterizedValue(parsing: bytes)
  guard parsed.parameters.count <= ParameterizedValue.limit else { fatalError("\(parsed.parameters.count) parameters") }
  guard Set(parsed.parameters.map(\.name)).count == parsed.parameters.count else { fatalError("a name stands twice") }
  _ = parsed.text(of: "filename")
  _ = ContentType(parsing: bytes)
  return 0
}
