import NIOCore
import SMTP

/// Replies of a hostile server: total, bounded, the same whatever the cut; and what was read can be written and read again.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzSMTPReply(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: start, count: count))
  let whole = replies(bytes, pieces: [max(count, 1)])
  guard whole.replies == replies(bytes, pieces: [1, 9, 2]).replies else { fatalError("the cut changes what is read") }
  for reply in whole.replies {
    guard reply.lines.count <= SMTPReply.maximumLines else { fatalError("too many lines") }
    for line in reply.lines where line.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) {
      fatalError("a control character came through")
    }
    var wire = ByteBuffer()
    reply.write(to: &wire)
    let again = replies(Array(buffer: wire), pieces: [max(wire.readableBytes, 1)])
    guard again.error == nil, again.replies.count == 1, again.replies.first?.code == reply.code,
      again.replies.first?.lines.count == reply.lines.count
    else { fatalError("what was written is not what was read") }
  }
  return 0
}

private func replies(_ bytes: [UInt8], pieces: [Int]) -> (replies: [SMTPReply], error: SMTPReplyError?) {
  var parser = SMTPReplyParser()
  var input = ByteBuffer()
  var rest = bytes[...]
  var found: [SMTPReply] = []
  var turn = 0
  while !rest.isEmpty {
    let piece = pieces[turn % pieces.count]
    turn += 1
    input.writeBytes(rest.prefix(piece))
    rest = rest.dropFirst(piece)
    do {
      while let reply = try parser.next(from: &input) { found.append(reply) }
    } catch {
      return (found, error)
    }
  }
  return (found, nil)
}
