import Bytes
import Testing

@testable import SASL

@Suite struct ScramTests {
  private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

  private struct Example {
    var hash: ScramHash
    var salt: String
    var clientFirst: String
    var serverNonce: String
    var serverFirst: String
    var clientFinal: String
    var serverFinal: String
  }

  private static let rfc5802 = Example(
    hash: .sha1, salt: "QSXCR+Q6sek8bf92", clientFirst: "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL", serverNonce: "3rfcNHYJY1ZVvWVs7j",
    serverFirst: "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
    clientFinal: "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
    serverFinal: "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=")

  private static let rfc7677 = Example(
    hash: .sha256, salt: "W22ZaJ0SNY7soEsUEjb6gQ==", clientFirst: "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
    serverNonce: "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
    serverFirst: "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
    clientFinal: "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
    serverFinal: "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")

  private func exchange(_ example: Example, _ channel: SASLChannel = .init(isProtected: true), isPlus: Bool = false)
    -> ScramExchange
  {
    ScramExchange(hash: example.hash, isPlus: isPlus, channel: channel, nonce: bytes(example.serverNonce), limits: .init())
  }

  private func keys(_ example: Example, password: String = "pencil") throws -> ScramKeys {
    let salt = try #require(Base64.decodeStrict(bytes(example.salt)))
    return try #require(ScramKeys.derive(from: bytes(password), salt: salt, iterations: 4_096, hash: example.hash))
  }

  @Test(arguments: [0, 1]) func `the examples of RFC 5802, 5 and RFC 7677, 3`(_ index: Int) throws {
    let example = [Self.rfc5802, Self.rfc7677][index]
    var exchange = exchange(example)
    #expect(exchange.take(bytes(example.clientFirst)) == .ask(.scramKeys(user: "user", hash: example.hash, actsAs: nil)))
    #expect(exchange.answer(try keys(example), mayAct: true) == .challenge(bytes(example.serverFirst)))
    #expect(exchange.take(bytes(example.clientFinal)) == .challenge(bytes(example.serverFinal)))
    #expect(exchange.take([]) == .succeeded)
    #expect(exchange.take([]) == .failed(.malformed("no response was due")))
  }

  @Test func `a wrong password, keys of nobody and a changed proof all end alike`() throws {
    let example = Self.rfc7677
    let imitation = ScramKeys.imitation(of: "user", secret: bytes("secret"), hash: .sha256)
    for wrong in [try keys(example, password: "pencil2"), imitation] {
      var exchange = exchange(example)
      _ = exchange.take(bytes(example.clientFirst))
      guard case .challenge = exchange.answer(wrong, mayAct: true) else { return #expect(Bool(false), "no challenge") }
      #expect(exchange.take(bytes(example.clientFinal)) == .failed(.badCredentials))
      #expect(exchange.take([]) == .failed(.malformed("no response was due")))
    }
    #expect(imitation == ScramKeys.imitation(of: "user", secret: bytes("secret"), hash: .sha256))
    #expect(imitation.salt != ScramKeys.imitation(of: "user2", secret: bytes("secret"), hash: .sha256).salt)
    #expect(imitation.salt != ScramKeys.imitation(of: "user", secret: bytes("other"), hash: .sha256).salt)
    #expect(imitation.salt.count == 16 && imitation.iterations == ScramKeys.defaultIterations)
  }

  @Test func `that one may not act as another is told after the proof only`() throws {
    let example = Self.rfc7677
    var exchange = exchange(example)
    _ = exchange.take(bytes(example.clientFirst))
    _ = exchange.answer(try keys(example), mayAct: false)
    #expect(exchange.take(bytes(example.clientFinal)) == .challenge(bytes(example.serverFinal)))
    #expect(exchange.take([]) == .failed(.notAuthorized))
  }

  /// A client of our own, since no RFC has an example with channel binding.
  private func finalMessage(
    _ header: String, binding: [UInt8], first: String, serverFirst: String, keys: ScramKeys, password: String
  ) -> String {
    let nonce = serverFirst.split(separator: ",").first.map(String.init) ?? ""
    let withoutProof = "c=\(String(decoding: Base64.encode(Array(header.utf8) + binding), as: UTF8.self)),\(nonce)"
    let message = bytes("\(first),\(serverFirst),\(withoutProof)")
    let salted = keys.hash.hi(password: bytes(password), salt: keys.salt, iterations: keys.iterations)
    let clientKey = keys.hash.hmac(key: salted, bytes("Client Key"))
    let signature = keys.hash.hmac(key: keys.hash.digest(clientKey), message)
    let proof = zip(clientKey, signature).map { $0 ^ $1 }
    return withoutProof + ",p=" + String(decoding: Base64.encode(proof), as: UTF8.self)
  }

  @Test func `bound to the channel: that of this connection succeeds, that of another doesn't`() throws {
    let example = Self.rfc7677
    let channel = SASLChannel(isProtected: true, tlsExporter: Array(repeating: 7, count: 32), offersBinding: true)
    let keys = try keys(example)
    for (binding, succeeds) in [(Array(repeating: 7, count: 32), true), (Array(repeating: 8, count: 32), false), ([], false)]
      as [([UInt8], Bool)]
    {
      var exchange = exchange(example, channel, isPlus: true)
      #expect(
        exchange.take(bytes("p=tls-exporter,a=boss=2Cco=3D,n=us=3Der,r=abc"))
          == .ask(.scramKeys(user: "us=er", hash: .sha256, actsAs: "boss,co=")))
      guard case .challenge(let serverFirst) = exchange.answer(keys, mayAct: true) else {
        return #expect(Bool(false), "no challenge")
      }
      let final = finalMessage(
        "p=tls-exporter,a=boss=2Cco=3D,", binding: binding, first: "n=us=3Der,r=abc",
        serverFirst: String(decoding: serverFirst, as: UTF8.self),
        keys: keys, password: "pencil")
      let step = exchange.take(bytes(final))
      if succeeds {
        guard case .challenge = step else { return #expect(Bool(false), "\(step)") }
      } else {
        #expect(step == .failed(.channelBindingMismatch))
      }
    }
  }

  @Test func `a client that was told of no binding where there is one was deceived`() {
    let offering = SASLChannel(isProtected: true, tlsExporter: Array(repeating: 7, count: 32), offersBinding: true)
    let plain = SASLChannel(isProtected: true)
    func step(_ message: String, _ channel: SASLChannel, isPlus: Bool) -> SASLStep {
      var exchange = exchange(Self.rfc7677, channel, isPlus: isPlus)
      return exchange.take(bytes(message))
    }
    #expect(step("y,,n=user,r=abc", offering, isPlus: false) == .failed(.channelBindingMismatch))
    #expect(step("y,,n=user,r=abc", plain, isPlus: false) == .ask(.scramKeys(user: "user", hash: .sha256, actsAs: nil)))
    #expect(step("n,,n=user,r=abc", offering, isPlus: true) == .failed(.channelBindingMismatch))
    #expect(step("p=tls-exporter,,n=user,r=abc", offering, isPlus: false) == .failed(.channelBindingMismatch))
    #expect(step("p=tls-unique,,n=user,r=abc", offering, isPlus: true) == .failed(.channelBindingMismatch))
    #expect(step("p=tls-exporter,,n=user,r=abc", plain, isPlus: true) == .failed(.channelBindingMismatch))
  }

  @Test(arguments: [
    "", ",", ",,", "n", "n,", "n,,", "x,,n=user,r=abc", "nn,,n=user,r=abc", "n,b=x,n=user,r=abc", "n,a=,n=user,r=abc",
    "n,a==2D,n=user,r=abc",
    "n,,m=ext,n=user,r=abc", "n,,n=user", "n,,n=user,r=", "n,,n=,r=abc", "n,,r=abc,n=user", "n,,n=us=er,r=abc", "n,,n=user,r=a b",
    "n,,n=user,r=a\u{7F}", "n,,n=us\u{0}er,r=abc",
  ]) func `a first message that is none is refused, whatever it is`(_ message: String) {
    var exchange = exchange(Self.rfc7677)
    guard case .failed(.malformed) = exchange.take(bytes(message)) else { return #expect(Bool(false), "\(message) was taken") }
  }

  @Test(arguments: [
    "", "c=biws", "c=biws,r=x", "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", ",p=", ",p=AAAA", "c=biws,,p=AAAA",
    "c=!,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=AAAA",
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,c=biws,p=AAAA",
    "c=biws,r=rOprNGfwEbeRWgbNEkqO,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", "c=biws,r=,p=",
  ]) func `a final message that is none is refused, whatever it is`(_ message: String) throws {
    var exchange = exchange(Self.rfc7677)
    _ = exchange.take(bytes(Self.rfc7677.clientFirst))
    _ = exchange.answer(try keys(Self.rfc7677), mayAct: true)
    guard case .failed(.malformed) = exchange.take(bytes(message)) else { return #expect(Bool(false), "\(message) was taken") }
  }

  @Test func `a proof of another length is a wrong one`() throws {
    for proof in ["", "AAAA", "dHzbZapWIk4jUhN+Ute9ytag9zg="] {
      var exchange = exchange(Self.rfc7677)
      _ = exchange.take(bytes(Self.rfc7677.clientFirst))
      _ = exchange.answer(try keys(Self.rfc7677), mayAct: true)
      let step = exchange.take(bytes("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=\(proof)"))
      #expect(step == .failed(.badCredentials))
    }
  }

  @Test func `damaged keys are nobody's fault`() throws {
    var whole = try keys(Self.rfc7677)
    whole.storedKey.removeLast()
    for damaged in [whole, try keys(Self.rfc5802)] {
      var exchange = exchange(Self.rfc7677)
      _ = exchange.take(bytes(Self.rfc7677.clientFirst))
      #expect(exchange.answer(damaged, mayAct: true) == .failed(.temporary))
    }
    #expect(ScramKeys.derive(from: [0x61], salt: [], hash: .sha256) == nil)
    #expect(ScramKeys.derive(from: [0x61], salt: [1], iterations: 0, hash: .sha256) == nil)
  }
}
