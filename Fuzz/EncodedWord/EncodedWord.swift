import InternetMessage

/// What is decoded holds no control character, what is encoded decodes to itself, and every character set is total.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: start, count: count))
  let text = EncodedWord.decode(bytes)
  for scalar in text.unicodeScalars where scalar.value < 0x20 || scalar.value == 0x7F { fatalError("a control character") }
  let encoded = EncodedWord.encode(text)
  guard encoded.allSatisfy({ $0 >= 0x20 && $0 < 0x7F }) else { fatalError("not plain") }
  let again = EncodedWord.decode(encoded)
  guard Array(again.unicodeScalars) == Array(text.unicodeScalars) else {
    fatalError("\(text.debugDescription) became \(again.debugDescription)")
  }
  _ = BaseSubject.of(text)
  let names = [
    "gb18030", "shift_jis", "euc-jp", "iso-2022-jp", "big5", "euc-kr", "utf-16", "windows-1251", "iso-2022-kr", "utf-16le",
  ]
  if let first = bytes.first { _ = Charset(Array(names[Int(first) % names.count].utf8)).decode(Array(bytes.dropFirst())) }
  return 0
}
