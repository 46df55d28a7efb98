import Bytes

/// What a part's header says of its body, read once, and its rendering for BODYSTRUCTURE.
struct PartDescription {
  var contentType: ContentType
  var hasContentType: Bool
  var encoding: MessagePart.Encoding
  var disposition: ParameterizedValue?
  var ambiguities: [Ambiguities] = []

  init(_ header: HeaderState, isInDigest: Bool) {
    let plain = ContentType.plain
    if let value = header.contentType {
      if let parsed = ContentType(parsing: value) {
        contentType = parsed
        if parsed.parameters.hasRepeatedParameter { ambiguities.append(.repeatedParameter) }
      } else {
        contentType = plain
        ambiguities.append(.badContentType)
      }
      hasContentType = true
    } else {
      contentType = isInDigest ? .message : plain
      hasContentType = false
    }
    encoding = Self.encoding(header.encoding)
    if encoding == .other { ambiguities.append(.unknownEncoding) }
    disposition = header.disposition.map { ParameterizedValue(parsing: $0) }
    if disposition?.hasRepeatedParameter == true { ambiguities.append(.repeatedParameter) }
  }

  var isMultipart: Bool { contentType.type == "multipart" }

  /// `message/rfc822` and its kin for UTF-8 (RFC 6532, 3.7).
  var isMessage: Bool { contentType.type == "message" && (contentType.subtype == "rfc822" || contentType.subtype == "global") }

  var isText: Bool { contentType.type == "text" }

  /// Base 64 or quoted-printable, which multiparts and messages must not have (RFC 2045, 6.4).
  var isEncoded: Bool { encoding == .base64 || encoding == .quotedPrintable || encoding == .other }

  /// Whether people would call it an attachment: said to be one, or named and not text, and not a signature.
  var isAttachment: Bool {
    if disposition?.value.equals(ignoringCase: "attachment") == true { return true }
    guard !isText, !isMultipart, !contentType.subtype.hasSuffix("signature") else { return false }
    if isMessage { return true }
    return disposition?.value.equals(ignoringCase: "inline") != true
      && (contentType.type == "application" || disposition?["filename"] != nil || contentType.parameters["name"] != nil)
  }

  private static func encoding(_ value: [UInt8]?) -> MessagePart.Encoding {
    guard let value else { return .sevenBit }
    let token = value.prefix { !$0.isASCIIBlank && $0 != 0x3B && $0 != 0x28 }
    if token.equals(ignoringCase: "7bit") { return .sevenBit }
    if token.equals(ignoringCase: "8bit") { return .eightBit }
    if token.equals(ignoringCase: "base64") { return .base64 }
    if token.equals(ignoringCase: "quoted-printable") { return .quotedPrintable }
    if token.equals(ignoringCase: "binary") { return .binary }
    return .other
  }

  /// `("TYPE" "SUBTYPE" params id description "ENCODING" `: everything before the size of a part that is one piece. A part
  /// that was not looked into is `application/octet-stream`, so that the structure stays valid whatever it claims to be.
  func writeFront(_ header: HeaderState, isOpaque: Bool, to output: inout [UInt8]) {
    output.append(0x28)
    if isOpaque {
      WireString.append("\"APPLICATION\" \"OCTET-STREAM\" NIL", to: &output)
    } else {
      WireString.append(string: Array(contentType.type.utf8)[...], to: &output)
      output.append(0x20)
      WireString.append(string: Array(contentType.subtype.utf8)[...], to: &output)
      output.append(0x20)
      // RFC 2045, 5.2: text without a character set is US-ASCII.
      if isText, contentType.parameters["charset"] == nil {
        Self.write(contentType.parameters.parameters, first: "\"charset\" \"us-ascii\"", to: &output)
      } else {
        Self.write(contentType.parameters.parameters, first: nil, to: &output)
      }
    }
    output.append(0x20)
    WireString.append(header.id, to: &output)
    output.append(0x20)
    WireString.append(header.description, to: &output)
    output.append(0x20)
    let token = header.encoding.map { Array($0.prefix { !$0.isASCIIBlank && $0 != 0x3B && $0 != 0x28 }) } ?? []
    if ContentType.isToken(token[...]) {
      WireString.append(string: token[...], to: &output)
    } else {
      WireString.append("\"7bit\"", to: &output)
    }
    output.append(0x20)
  }

  /// What stands behind the size (and lines) of a part, or behind the parts of a multipart, with the closing parenthesis.
  func writeBack(_ header: HeaderState, isOpaque: Bool, to output: inout [UInt8]) {
    if isMultipart, !isOpaque {
      output.append(0x20)
      WireString.append(string: Array(contentType.subtype.utf8)[...], to: &output)
      output.append(0x20)
      Self.write(contentType.parameters.parameters, first: nil, to: &output)
    } else {
      output.append(0x20)
      WireString.append(header.md5, to: &output)
    }
    output.append(0x20)
    if let disposition, ContentType.isToken(disposition.value[...]) {
      output.append(0x28)
      WireString.append(string: disposition.value[...], to: &output)
      output.append(0x20)
      Self.write(disposition.parameters, first: nil, to: &output)
      output.append(0x29)
    } else {
      WireString.append("NIL", to: &output)
    }
    output.append(0x20)
    writeLanguages(header.language, to: &output)
    output.append(0x20)
    WireString.append(header.location, to: &output)
    output.append(0x29)
  }

  /// `Content-Language` (RFC 3282): one string, or a list of them.
  private func writeLanguages(_ value: [UInt8]?, to output: inout [UInt8]) {
    let tags = (value ?? []).split(separator: 0x2C).map { $0.filter { !$0.isASCIIBlank } }.filter { !$0.isEmpty }
    guard tags.count > 1 else {
      WireString.append(tags.first, to: &output)
      return
    }
    output.append(0x28)
    for (index, tag) in tags.enumerated() {
      if index > 0 { output.append(0x20) }
      WireString.append(string: tag[...], to: &output)
    }
    output.append(0x29)
  }

  private static func write(_ parameters: [ParameterizedValue.Parameter], first: StaticString?, to output: inout [UInt8]) {
    guard first != nil || !parameters.isEmpty else {
      WireString.append("NIL", to: &output)
      return
    }
    output.append(0x28)
    if let first { WireString.append(first, to: &output) }
    for (index, parameter) in parameters.enumerated() {
      if index > 0 || first != nil { output.append(0x20) }
      // An extended value stays one, so that no client takes its octets for another set (RFC 2231, 4).
      if let charset = parameter.charset {
        WireString.append(string: (parameter.name + [0x2A])[...], to: &output)
        output.append(0x20)
        WireString.append(string: (charset + [0x27, 0x27] + percentEncoded(parameter.value))[...], to: &output)
      } else {
        WireString.append(string: parameter.name[...], to: &output)
        output.append(0x20)
        WireString.append(string: parameter.value[...], to: &output)
      }
    }
    output.append(0x29)
  }

  private static func percentEncoded(_ bytes: [UInt8]) -> [UInt8] {
    let digits = Array("0123456789ABCDEF".utf8)
    return bytes.flatMap { byte in
      byte.isASCIIAlphanumeric || byte == 0x2D || byte == 0x2E || byte == 0x5F
        ? [byte] : [0x25, digits[Int(byte >> 4)], digits[Int(byte & 15)]]
    }
  }
}

extension ContentType {
  /// RFC 2045, 5.2.
  static let plain = ContentType(type: "text", subtype: "plain")
  /// RFC 2046, 5.1.5.
  static let message = ContentType(type: "message", subtype: "rfc822")

  private init(type: String, subtype: String) {
    self.type = type
    self.subtype = subtype
    self.parameters = ParameterizedValue(parsing: [])
  }
}
