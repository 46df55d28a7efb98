import Bytes

/// SCRAM, the server's side (RFC 5802, 5; RFC 7677).
struct ScramExchange: Hashable, Sendable {
  private enum Phase: Hashable {
    case first
    /// The keys were asked for.
    case keys(ClientFirst)
    case final(ClientFirst, ScramKeys, mayAct: Bool, serverFirst: [UInt8])
    /// The server's own proof is under way; the client has only to take it.
    case proven(mayAct: Bool)
    case over
  }

  private struct ClientFirst: Hashable {
    /// With its last comma, as the client's final message repeats it.
    var gs2Header: [UInt8]
    var bare: [UInt8]
    var nonce: [UInt8]
    var bindsChannel: Bool
  }

  private let hash: ScramHash
  private let channel: SASLChannel
  private let isPlus: Bool
  /// Ours, in printable characters.
  private let nonce: [UInt8]
  private let limits: SASLLimits
  private var phase = Phase.first

  /// - Parameter nonce: printable characters but the comma.
  init(hash: ScramHash, isPlus: Bool, channel: SASLChannel, nonce: [UInt8], limits: SASLLimits) {
    self.hash = hash
    self.isPlus = isPlus
    self.channel = channel
    self.nonce = nonce
    self.limits = limits
  }

  mutating func take(_ response: [UInt8]) -> SASLStep {
    switch phase {
    case .first: return first(response)
    case .final(let first, let keys, let mayAct, let serverFirst): return final(response, first, keys, mayAct, serverFirst)
    case .proven(let mayAct):
      phase = .over
      guard response.isEmpty else { return .failed(.malformed("an empty response was due")) }
      return mayAct ? .succeeded : .failed(.notAuthorized)
    case .keys, .over: return end(.malformed("no response was due"))
    }
  }

  mutating func answer(_ keys: ScramKeys, mayAct: Bool) -> SASLStep {
    guard case .keys(let first) = phase, keys.isWhole, keys.hash == hash else { return end(.temporary) }
    let text =
      Array("r=".utf8) + first.nonce + nonce + Array(",s=".utf8) + Base64.encode(keys.salt) + Array(",i=\(keys.iterations)".utf8)
    phase = .final(first, keys, mayAct: mayAct, serverFirst: text)
    return .challenge(text)
  }

  // MARK: client-first-message

  private mutating func first(_ response: [UInt8]) -> SASLStep {
    guard let (flag, rest) = SASLText.cut(response[...], at: 0x2C), let (acts, bare) = SASLText.cut(rest, at: 0x2C) else {
      return end(.malformed("no GS2 header"))
    }
    let bindsChannel: Bool
    switch flag {
    case [0x6E]: bindsChannel = false
    case [0x79]:
      // It could bind, and believes that we can't: if we said that we can, somebody took that out (RFC 5802, 6).
      guard !channel.offersBinding else { return end(.channelBindingMismatch) }
      bindsChannel = false
    case _ where flag == Array("p=tls-exporter".utf8)[...]: bindsChannel = true
    case _ where flag.starts(with: [0x70, 0x3D]): return end(.channelBindingMismatch)
    default: return end(.malformed("no GS2 header"))
    }
    guard bindsChannel == isPlus else { return end(.channelBindingMismatch) }
    guard !bindsChannel || channel.tlsExporter != nil else { return end(.channelBindingMismatch) }
    var actsAs: String?
    if !acts.isEmpty {
      guard acts.starts(with: [0x61, 0x3D]), let name = SASLText.saslName(acts.dropFirst(2), limit: limits.nameLength) else {
        return end(.malformed("the authorization identity"))
      }
      actsAs = name
    }
    guard let (user, clientNonce) = nameAndNonce(bare) else { return end(.malformed("name or nonce")) }
    let header = Array(response[..<bare.startIndex])
    phase = .keys(ClientFirst(gs2Header: header, bare: Array(bare), nonce: Array(clientNonce), bindsChannel: bindsChannel))
    return .ask(.scramKeys(user: user, hash: hash, actsAs: actsAs))
  }

  /// `n=user,r=nonce[,extensions]`. `m=` before them is a mandatory extension, and there are none (RFC 5802, 5.1).
  private func nameAndNonce(_ bare: ArraySlice<UInt8>) -> (String, ArraySlice<UInt8>)? {
    guard bare.starts(with: [0x6E, 0x3D]), let (name, rest) = SASLText.cut(bare, at: 0x2C), rest.starts(with: [0x72, 0x3D]) else {
      return nil
    }
    let nonce = (SASLText.cut(rest, at: 0x2C)?.head ?? rest).dropFirst(2)
    guard !nonce.isEmpty, nonce.count <= limits.nonceLength, nonce.allSatisfy({ (0x21...0x7E).contains($0) && $0 != 0x2C }) else {
      return nil
    }
    return SASLText.saslName(name.dropFirst(2), limit: limits.nameLength).map { ($0, nonce) }
  }

  // MARK: client-final-message

  private mutating func final(
    _ response: [UInt8], _ first: ClientFirst, _ keys: ScramKeys, _ mayAct: Bool, _ serverFirst: [UInt8]
  ) -> SASLStep {
    guard let mark = lastProof(in: response) else { return end(.malformed("no proof")) }
    let withoutProof = Array(response[..<mark])
    guard let proof = Base64.decodeStrict(Array(response[(mark + 3)...])) else { return end(.malformed("no proof")) }
    guard let (binding, rest) = SASLText.cut(withoutProof[...], at: 0x2C), binding.starts(with: [0x63, 0x3D]),
      rest.starts(with: [0x72, 0x3D])
    else { return end(.malformed("channel binding or nonce")) }
    let expected = first.gs2Header + (first.bindsChannel ? channel.tlsExporter ?? [] : [])
    guard let bound = Base64.decodeStrict(Array(binding.dropFirst(2))) else { return end(.malformed("channel binding")) }
    guard equalInConstantTime(bound, expected) else { return end(.channelBindingMismatch) }
    let sent = (SASLText.cut(rest, at: 0x2C)?.head ?? rest).dropFirst(2)
    guard equalInConstantTime(Array(sent), first.nonce + nonce) else { return end(.malformed("nonce")) }
    let message = first.bare + [0x2C] + serverFirst + [0x2C] + withoutProof
    let signature = hash.hmac(key: keys.storedKey, message)
    guard proof.count == hash.length, signature.count == hash.length else { return end(.badCredentials) }
    let clientKey = zip(proof, signature).map { $0 ^ $1 }
    guard equalInConstantTime(hash.digest(clientKey), keys.storedKey) else { return end(.badCredentials) }
    phase = .proven(mayAct: mayAct)
    return .challenge(Array("v=".utf8) + Base64.encode(hash.hmac(key: keys.serverKey, message)))
  }

  /// Where `,p=` of the last attribute begins; the proof stands last (RFC 5802, 7), and base64 has no comma.
  private func lastProof(in response: [UInt8]) -> Int? {
    guard let comma = response.lastIndex(of: 0x2C), response[comma...].starts(with: [0x2C, 0x70, 0x3D]) else { return nil }
    return comma
  }

  private mutating func end(_ failure: SASLFailure) -> SASLStep {
    phase = .over
    return .failed(failure)
  }
}
