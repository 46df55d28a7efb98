import InternetMessage

/// The same result however the message is cut; parts behind their parents and inside of the message; a structure in balance.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: start, count: count))
  var limits = MessageLimits()
  if let first = bytes.first, first & 1 == 1 {
    // Small budgets, so that all of them are met.
    limits.fields = 8
    limits.fieldOctets = 200
    limits.headerOctets = 600
    limits.depth = 4
    limits.parts = 8
    limits.boundaryOctets = 10
    limits.addresses = 4
    limits.structureOctets = 500
    limits.previewOctets = 50
  }
  let whole = observe(bytes, pieces: .max, limits)
  let cut = observe(bytes, pieces: bytes.first.map { Int($0 >> 1) % 13 + 1 } ?? 1, limits)
  guard cut.summary == whole.summary, cut.census == whole.census, cut.facts == whole.facts, cut.parts == whole.parts,
    cut.problem == whole.problem, cut.ambiguities == whole.ambiguities, cut.ambiguityCount == whole.ambiguityCount
  else { fatalError("cut into pieces it is another message") }
  guard whole.census.size == bytes.count, whole.parts.count <= limits.parts else { fatalError("size") }
  for (row, part) in whole.parts.enumerated() {
    guard part.parent < row, part.headerStart <= part.bodyStart, part.bodyStart <= part.bodyEnd, part.bodyEnd <= bytes.count,
      part.depth <= limits.depth, part.lines >= 0
    else { fatalError("part \(row): \(part)") }
  }
  check(whole.summary.bodyStructure)
  check(whole.summary.envelope)
  return 0
}

func observe(_ bytes: [UInt8], pieces size: Int, _ limits: MessageLimits) -> MessageObservation {
  var observer = MessageObserver(limits: limits)
  var start = 0
  while start < bytes.count {
    let end = size < bytes.count - start ? start + size : bytes.count
    bytes[start..<end].withUnsafeBytes { observer.observe($0) }
    start = end
  }
  return observer.finish()
}

/// One list of IMAP, with its strings and literals whole.
func check(_ text: [UInt8]) {
  var depth = 0
  var index = 0
  while index < text.count {
    let byte = text[index]
    index += 1
    switch byte {
    case 0x22:
      while index < text.count, text[index] != 0x22 { index += text[index] == 0x5C ? 2 : 1 }
      index += 1
    case 0x7B:
      let end = text[index...].firstIndex(of: 0x7D) ?? text.count
      guard let count = Int(String(decoding: text[index..<end], as: UTF8.self)) else { fatalError("literal") }
      index = end + 3 + count
    case 0x28: depth += 1
    case 0x29:
      depth -= 1
      if depth == 0, index != text.count { fatalError("more than one list") }
    case 0x0D, 0x0A, 0x80...: fatalError("outside of strings")
    default: break
    }
  }
  guard depth == 0, index == text.count, !text.isEmpty else { fatalError("unbalanced: \(String(decoding: text, as: UTF8.self))") }
}
