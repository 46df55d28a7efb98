import Foundation

@testable import MartletServer

/// Whatever a value is, a record is one line without control characters, and reads back: as JSON in full, as text with as many values as
/// were written. The first byte says where the value's key ends.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: start, count: count))
  guard let first = bytes.first else { return 0 }
  let key = String(decoding: bytes.dropFirst().prefix(Int(first % 16)), as: UTF8.self)
  let value = String(decoding: bytes.dropFirst(1 + Int(first % 16)), as: UTF8.self)
  for format in [LogLine.Format.text, .json] {
    var line = LogLine(format)
    line.add("before", "1")
    line.add(key, value)
    line.add("after", "2")
    let written = line.finished()
    guard written.last == 0x0A, !written.dropLast().contains(where: { $0 < 0x20 || $0 == 0x7F }),
      let text = String(validating: written.dropLast(), as: UTF8.self)
    else { fatalError("not one line of text") }
    guard
      !text.unicodeScalars.contains(where: { $0.properties.generalCategory == .format || $0.properties.generalCategory == .control }
      )
    else { fatalError("a character that changes how it reads") }
    format == .json ? checkJSON(text, value) : checkText(text)
  }
  return 0
}

private func checkJSON(_ text: String, _ value: String) {
  guard let read = try? JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: String] else {
    fatalError("no JSON: \(text)")
  }
  let found = read.filter { $0.key != "before" && $0.key != "after" }.values.first ?? ""
  guard read["after"] != nil, read["before"] != nil else { fatalError("a value went missing: \(text)") }
  guard read.count == 3, value.unicodeScalars.count < LogLine.valueSize / 6 else { return }
  guard found.unicodeScalars.elementsEqual(value.unicodeScalars) else { fatalError("\(value.debugDescription) became \(found)") }
}

/// `key=value` three times, values in quotes or without anything that needs them.
private func checkText(_ text: String) {
  var rest = Array(text.utf8)[...]
  var keys: [[UInt8]] = []
  while !rest.isEmpty {
    let key = rest.prefix { $0 != 0x3D }
    keys.append(Array(key))
    rest = rest.dropFirst(key.count + 1)
    if rest.first == 0x22 {
      rest = rest.dropFirst()
      while let byte = rest.popFirst(), byte != 0x22 {
        if byte == 0x5C { rest = rest.dropFirst() }
      }
    } else {
      rest = rest.drop { $0 != 0x20 }
    }
    guard rest.isEmpty || rest.popFirst() == 0x20 else { fatalError("a value goes on behind its end: \(text)") }
  }
  guard keys.count == 3, keys.first == Array("before".utf8), keys.last == Array("after".utf8) else {
    fatalError("other values: \(text)")
  }
}
