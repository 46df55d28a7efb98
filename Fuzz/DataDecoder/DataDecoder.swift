import NIOCore
import SMTP

/// Message bodies, dot-stuffed and in chunks, against a decoder that looks at one byte at a time; and what the client stuffs is read back as it
/// was, or refused for a bare CR or LF. The first byte chooses.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzSMTPData(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: start, count: count))
  let choice = bytes.first ?? 0
  let body = Array(bytes.dropFirst())
  var limits = SMTPLimits()
  limits.messageSize = choice & 2 == 0 ? 0 : 200
  limits.bodyLine = 80
  let decoder: DataDecoder
  let wanted: NaiveBody
  if choice & 1 == 0 {
    decoder = .dotStuffed(limits: limits)
    wanted = NaiveBody(dots: body)
  } else {
    decoder = .chunk(octets: UInt64(body.count), isBinary: choice & 4 != 0, after: DataOutcome(), limits: limits)
    wanted = NaiveBody(chunk: body, isBinary: choice & 4 != 0)
  }
  for pieces in [[max(body.count, 1)], [1], [5, 1, 30, 2]] { compare(decoder, body, pieces, wanted, limits) }
  for pieces in [[max(body.count, 1)], [1], [3, 1, 17]] { stuff(body, pieces) }
  return 0
}

/// The way out and in again: what a host is sent never holds a CR or LF outside of CRLF, and it reads the content that we had.
private func stuff(_ content: [UInt8], _ pieces: [Int]) {
  var stuffer = DotStuffer()
  var wire = ByteBuffer()
  var rest = content[...]
  var turn = 0
  do {
    while !rest.isEmpty {
      let piece = pieces[turn % pieces.count]
      turn += 1
      try stuffer.write(ByteBuffer(bytes: rest.prefix(piece)), to: &wire)
      rest = rest.dropFirst(piece)
    }
    try stuffer.finish(to: &wire)
  } catch {
    guard isBroken(content) else { fatalError("whole lines were refused") }
    return
  }
  guard !isBroken(content) else { fatalError("a bare CR or LF went out") }
  let read = NaiveBody(dots: Array(buffer: wire))
  guard read.hasEnded, read.length == wire.readableBytes, !read.defects.contains(.bareLineFeed),
    !read.defects.contains(.bareCarriageReturn)
  else { fatalError("another end, or a bare CR or LF") }
  let end: [UInt8] = content.isEmpty || content.suffix(2) == [0x0D, 0x0A] ? [] : [0x0D, 0x0A]
  guard read.content == content + end else { fatalError("another content was sent") }
}

private func isBroken(_ content: [UInt8]) -> Bool {
  for (index, byte) in content.enumerated() {
    if byte == 0x0D, index + 1 == content.count || content[index + 1] != 0x0A { return true }
    if byte == 0x0A, index == 0 || content[index - 1] != 0x0D { return true }
  }
  return false
}

private func compare(_ first: DataDecoder, _ body: [UInt8], _ pieces: [Int], _ wanted: NaiveBody, _ limits: SMTPLimits) {
  var decoder = first
  var content: [UInt8] = []
  var input = ByteBuffer()
  var rest = body[...]
  var turn = 0
  var outcome: DataOutcome?
  repeat {
    let piece = pieces[turn % pieces.count]
    turn += 1
    input.writeBytes(rest.prefix(piece))
    rest = rest.dropFirst(piece)
    loop: while outcome == nil {
      switch decoder.next(from: &input) {
      case .bytes(let bytes): content += Array(buffer: bytes)
      case .needsInput: break loop
      case .ended(let found): outcome = found
      }
    }
  } while !rest.isEmpty && outcome == nil
  guard content.count <= wanted.content.count, wanted.content.starts(with: content) else { fatalError("other content") }
  guard let outcome else {
    if wanted.hasEnded { fatalError("the end was missed") }
    return
  }
  if outcome.defects.contains(.overrun) { return }
  guard wanted.hasEnded, input.readableBytes + rest.count == body.count - wanted.length else { fatalError("another end") }
  guard outcome.octets == UInt64(wanted.content.count) else { fatalError("another count") }
  let line: DataOutcome.Defects = [.bareCarriageReturn, .bareLineFeed, .nul]
  guard outcome.defects.intersection(line) == wanted.defects else { fatalError("other defects") }
  let isTooLarge = limits.messageSize > 0 && outcome.octets > limits.messageSize
  guard outcome.defects.contains(.tooLarge) == isTooLarge else { fatalError("another judgement on the size") }
  if outcome.defects.isEmpty, content != wanted.content { fatalError("content was lost") }
}

private struct NaiveBody {
  var content: [UInt8] = []
  var defects: DataOutcome.Defects = []
  var length = 0
  var hasEnded = false

  init(dots bytes: [UInt8]) {
    var isAtLineStart = true
    while length < bytes.count {
      if isAtLineStart, bytes[length] == 0x2E {
        let line = bytes[length...].prefix(3)
        if line.elementsEqual([0x2E, 0x0D, 0x0A]) {
          hasEnded = true
          length += 3
          break
        }
        if line.count < 3, [0x2E, 0x0D, 0x0A].starts(with: line) { break }
        isAtLineStart = false
        length += 1
        continue
      }
      content.append(bytes[length])
      isAtLineStart = bytes[length] == 0x0A && length > 0 && bytes[length - 1] == 0x0D
      length += 1
    }
    judge()
  }

  init(chunk bytes: [UInt8], isBinary: Bool) {
    content = bytes
    length = bytes.count
    hasEnded = true
    if !isBinary { judge() }
  }

  private mutating func judge() {
    for (index, byte) in content.enumerated() {
      if byte == 0 { defects.insert(.nul) }
      if byte == 0x0D, index + 1 < content.count, content[index + 1] != 0x0A { defects.insert(.bareCarriageReturn) }
      if byte == 0x0A, index == 0 || content[index - 1] != 0x0D { defects.insert(.bareLineFeed) }
    }
  }
}
