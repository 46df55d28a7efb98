import Bytes

/// The one message in which a client sends a token.
struct BearerResponse: Hashable {
  /// Who the client says it is.
  var user: String?
  var token: [UInt8]

  /// `n,[a=user],^A key=value ^A ... ^A` (RFC 7628, 3.1).
  init?(oauthBearer response: [UInt8], _ limits: SASLLimits) {
    guard let (flag, rest) = SASLText.cut(response[...], at: 0x2C), let (acts, pairs) = SASLText.cut(rest, at: 0x2C) else {
      return nil
    }
    // There is no form that binds to the channel: `p=` asks for what was not offered.
    guard flag == [0x6E] || flag == [0x79] else { return nil }
    if !acts.isEmpty {
      guard acts.starts(with: [0x61, 0x3D]), let name = SASLText.saslName(acts.dropFirst(2), limit: limits.nameLength) else {
        return nil
      }
      user = name
    }
    guard pairs.first == 1, let values = Self.pairs(pairs.dropFirst()), let auth = Self.only("auth", values),
      let token = Self.bearer(auth, limits)
    else { return nil }
    self.token = token
  }

  /// `user=...^Aauth=Bearer ...^A^A`, as Google and Microsoft have it.
  init?(xoauth2 response: [UInt8], _ limits: SASLLimits) {
    guard let values = Self.pairs(response[...]), let user = Self.only("user", values), let auth = Self.only("auth", values),
      let name = SASLText.name(user, limit: limits.nameLength), let token = Self.bearer(auth, limits)
    else { return nil }
    self.user = name
    self.token = token
  }

  /// At most 16 pairs, each ended by ^A, and one more ^A at the end.
  private static func pairs(_ bytes: ArraySlice<UInt8>) -> [(key: ArraySlice<UInt8>, value: ArraySlice<UInt8>)]? {
    var rest = bytes
    var found: [(key: ArraySlice<UInt8>, value: ArraySlice<UInt8>)] = []
    while let (pair, tail) = SASLText.cut(rest, at: 1) {
      if pair.isEmpty { return tail.isEmpty ? found : nil }
      guard found.count < 16, let (key, value) = SASLText.cut(pair, at: 0x3D), !key.isEmpty else { return nil }
      found.append((key, value))
      rest = tail
    }
    return nil
  }

  /// The value of a key that must be there once.
  private static func only(_ key: StaticString, _ pairs: [(key: ArraySlice<UInt8>, value: ArraySlice<UInt8>)]) -> ArraySlice<UInt8>?
  {
    let wanted = key.withUTF8Buffer { Array($0) }
    let found = pairs.filter { $0.key == wanted[...] }
    return found.count == 1 ? found.first?.value : nil
  }

  /// The token behind `Bearer ` (RFC 6750, 2.1), the word in any case.
  private static func bearer(_ value: ArraySlice<UInt8>, _ limits: SASLLimits) -> [UInt8]? {
    guard value.prefix(7).map({ $0 | 0x20 }) == Array("bearer ".utf8) else { return nil }
    let token = value.dropFirst(7)
    guard !token.isEmpty, token.count <= limits.tokenLength, token.allSatisfy(isTokenCharacter) else { return nil }
    return Array(token)
  }

  /// `b64token` (RFC 6750, 2.1).
  private static func isTokenCharacter(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E, 0x2B, 0x2F, 0x3D: true
    default: false
    }
  }
}
