import SASL

/// Exchanges: the first byte is the mechanism and what the channel is, the lines behind it are what the client sends. Total; it ends after
/// a bounded number of steps; nobody gets in whom no answer let in; nobody proves a password that nobody has.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzSASL(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: start, count: count))
  guard let first = bytes.first else { return 0 }
  let mechanisms = SASLMechanism.allCases
  let mechanism = mechanisms[Int(first & 0x0F) % mechanisms.count]
  let binds = first & 0x10 != 0
  let accepts = first & 0x20 != 0
  let channel = SASLChannel(
    isProtected: first & 0x40 == 0, tlsExporter: binds ? [UInt8](repeating: 7, count: 32) : nil, offersBinding: binds)
  var server = SASLServer(mechanism, channel: channel, nonce: Array(0..<18))
  let lines = bytes.dropFirst().split(separator: 0x0A, omittingEmptySubsequences: false).map(Array.init)
  var next = 0
  var wasAccepted = false
  func line() -> [UInt8]? {
    guard next < lines.count else { return nil }
    next += 1
    return lines[next - 1]
  }
  var step = server.begin(initial: first & 0x80 != 0 ? line() : nil)
  for _ in 0..<8 {
    switch step {
    case .challenge:
      guard let response = line() else { return 0 }
      step = server.take(response)
    case .ask(let question):
      check(question)
      if case .scramKeys(let user, let hash, _) = question {
        step = server.answer(.scram(.imitation(of: user, secret: [1], hash: hash), mayAct: true))
      } else {
        wasAccepted = accepts
        step = server.answer(.verdict(accepts ? .accepted : .rejected(.badCredentials)))
      }
    case .succeeded:
      guard wasAccepted else { fatalError("in without an answer") }
      guard case .failed = server.take([]) else { fatalError("goes on after its end") }
      return 0
    case .failed:
      guard case .failed = server.take(line() ?? []), case .failed = server.answer(.verdict(.accepted)) else {
        fatalError("goes on after its end")
      }
      return 0
    }
  }
  fatalError("an exchange without end")
}

private func check(_ question: SASLQuestion) {
  let limits = SASLLimits()
  func check(name: String?) {
    guard let name else { return }
    guard !name.isEmpty, name.utf8.count <= limits.nameLength, !name.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) else {
      fatalError("no name")
    }
  }
  switch question {
  case .password(let user, let password, let actsAs):
    check(name: user)
    check(name: actsAs)
    guard !password.isEmpty, password.count <= limits.passwordLength, !password.contains(0) else { fatalError("no password") }
  case .scramKeys(let user, _, let actsAs):
    check(name: user)
    check(name: actsAs)
  case .token(let user, let token):
    check(name: user)
    guard !token.isEmpty, token.count <= limits.tokenLength else { fatalError("no token") }
  case .certificate(let actsAs): check(name: actsAs)
  }
}
