import NIOCore
import SMTP

/// Lines of commands: total, no control character gets through in anything decoded, and the same whatever the cut.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzSMTPCommand(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: start, count: count))
  check(try? SMTPCommand.parse(bytes))
  let whole = inputs(bytes, pieces: [max(count, 1)])
  let cut = inputs(bytes, pieces: [1, 7, 2, 50])
  guard whole == cut else { fatalError("the cut changes what is read") }
  return 0
}

private func check(_ command: SMTPCommand?) {
  switch command {
  case .ehlo(let name), .helo(let name), .lhlo(let name): checkText(name)
  case .mail(let sender):
    checkText(sender.envelope.envelopeID)
    checkText(sender.submitter)
    checkText(sender.envelope.reversePath?.localPart)
    checkText(sender.envelope.reversePath?.domain)
  case .rcpt(let recipient):
    checkText(recipient.address.localPart)
    checkText(recipient.address.domain)
    checkText(recipient.notification.originalRecipient)
  case .xclient(let attributes):
    checkText(attributes.name)
    checkText(attributes.helo)
  default: break
  }
}

private func checkText(_ text: String?) {
  guard let text else { return }
  if text.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) { fatalError("a control character came through") }
}

private func inputs(_ bytes: [UInt8], pieces: [Int]) -> [SMTPInput] {
  var limits = SMTPLimits()
  limits.commandLine = 100
  limits.authenticationLine = 200
  limits.discardedLine = 300
  var parser = SMTPCommandParser(dialect: .smtp, limits: limits)
  var found: [SMTPInput] = []
  var input = ByteBuffer()
  var rest = bytes[...]
  var turn = 0
  while !rest.isEmpty {
    let piece = pieces[turn % pieces.count]
    turn += 1
    input.writeBytes(rest.prefix(piece))
    rest = rest.dropFirst(piece)
    while let next = parser.next(from: &input) {
      switch next {
      case .command(let command, _): found.append(.command(command, isLast: true))
      case .flooded, .foreign: return found + [next]
      default: found.append(next)
      }
    }
  }
  return found
}
