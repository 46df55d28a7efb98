import Bytes
import DNSTypes
import Outside
import Testing

@testable import MessageAuthentication

/// `text` with CRLF for LF.
func mail(_ text: String) -> [UInt8] { Array(text.replacing("\n", with: "\r\n").utf8) }

func string(_ bytes: some Sequence<UInt8>) -> String { String(decoding: Array(bytes), as: UTF8.self) }

func name(_ text: String) throws -> DNSName { try #require(DNSName(text)) }

/// The signing time of most tests.
let noon = Timestamp(seconds: 1_800_000_000)

/// The key of RFC 8463, A.2, which is that of RFC 8032, 7.1, test 1.
let ed25519Octets = Base64.decodeStrict(Array("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=".utf8)) ?? []

enum TestKeys {
  static let ed25519 = Result { try DKIMPrivateKey(ed25519: ed25519Octets) }
  static let rsa = Result { try DKIMPrivateKey.makeRSA() }
}

/// A message taken apart and hashed in pieces of `piece` octets; nil for one.
struct Passed {
  var splitter: MessageSplitter
  var hashes: BodyHashes

  init(_ message: [UInt8], kinds: some Sequence<BodyHashKind>, piece: Int? = nil) {
    var splitter = MessageSplitter()
    var hasher = BodyHasher(kinds)
    var start = 0
    while start < message.count {
      let end = min(start + (piece ?? message.count), message.count)
      message[start..<end].withUnsafeBytes { bytes in
        let offset = splitter.take(bytes)
        hasher.update(UnsafeRawBufferPointer(rebasing: bytes[offset...]))
      }
      start = end
    }
    self.splitter = splitter
    hashes = hasher.finish()
  }
}

extension DKIMSigner {
  /// Both keys for `domain`.
  static func both(_ domain: String = "example.org") throws -> DKIMSigner {
    let rsa = Key(selector: try name("rsa1"), key: try TestKeys.rsa.get())
    let ed25519 = Key(selector: try name("ed1"), key: try TestKeys.ed25519.get())
    return try #require(DKIMSigner(domain: try name(domain), keys: [rsa, ed25519]))
  }

  /// `message` with its signatures before it.
  func signed(_ message: [UInt8], time: Timestamp = noon) throws -> [UInt8] {
    let passed = Passed(message, kinds: bodyKinds)
    return try sign(SignableMessage(header: passed.splitter.header, body: passed.hashes, time: time)) + message
  }

  /// What the DNS says of its keys.
  var answers: [DNSName: DKIMKeyAnswer] {
    var result: [DNSName: DKIMKeyAnswer] = [:]
    for key in keys {
      guard let name = DNSName("\(key.selector)._domainkey.\(domain)"), let record = key.key.record else { continue }
      result[name] = .records([Array(record.text.utf8)])
    }
    return result
  }
}

func verify(
  _ message: [UInt8], _ answers: [DNSName: DKIMKeyAnswer], time: Timestamp = noon, piece: Int? = nil, limits: DKIMLimits = .init()
) -> [DKIMVerdict] {
  var splitter = MessageSplitter()
  message.withUnsafeBytes { _ = splitter.take($0) }
  let verification = DKIMVerification(header: splitter.header, limits: limits)
  let passed = Passed(message, kinds: verification.bodyKinds, piece: piece)
  return verification.verdicts(body: passed.hashes, time: time) { answers[$0] ?? .absent }
}

func verify(_ message: [UInt8], record: String, time: Timestamp = noon, piece: Int? = nil) -> [DKIMVerdict] {
  var splitter = MessageSplitter()
  message.withUnsafeBytes { _ = splitter.take($0) }
  let verification = DKIMVerification(header: splitter.header)
  let passed = Passed(message, kinds: verification.bodyKinds, piece: piece)
  return verification.verdicts(body: passed.hashes, time: time) { _ in .records([Array(record.utf8)]) }
}

let letter = mail(
  """
  Received: from client.example.org (client.example.org [192.0.2.1])
   by mail.example.org with ESMTPSA
  From: Joe SixPack <joe@example.org>
  To: Suzie Q <suzie@shopping.example.net>,
  \t"Other,  one" <other@example.net>
  Subject: Is dinner   ready?
  Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
  Message-ID: <20030712040037.46341.5F8J@example.org>

  Hi.

  We lost the game.  Are you hungry yet?

  Joe.

  """)
