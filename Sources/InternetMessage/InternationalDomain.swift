import CIDN2
@_spi(_Unicode) import Swift

/// Domain names beyond ASCII (RFC 5890 to 5894), through libidn2.
public enum InternationalDomain {
  /// Longest text that is given to libidn2, in octets.
  static let limit = 1_024

  /// `domain` in A-labels and lower case; nil if it has none. A name in ASCII is itself, in lower case.
  public static func ascii(_ domain: String) -> String? {
    guard !domain.utf8.allSatisfy({ $0 < 0x80 }) else { return domain.asciiLowercased }
    guard domain.utf8.count <= limit, !domain.utf8.contains(0) else { return nil }
    // RFC 5891, 5: look-up form; mapping by UTS 46 so that case and width don't matter.
    let flags = CInt(IDN2_NFC_INPUT.rawValue | IDN2_NONTRANSITIONAL.rawValue)
    var output: UnsafeMutablePointer<CChar>?
    let result = domain.withCString { idn2_to_ascii_8z($0, &output, flags) }
    guard let output else { return nil }
    defer { idn2_free(output) }
    guard result == CInt(IDN2_OK.rawValue) else { return nil }
    return String(cString: output).asciiLowercased
  }

  /// `domain` with its A-labels as U-labels, for people; itself where that can't be done.
  public static func unicode(_ domain: String) -> String {
    guard domain.utf8.count <= limit, !domain.utf8.contains(0) else { return domain }
    var output: UnsafeMutablePointer<CChar>?
    let result = domain.withCString { idn2_to_unicode_8z8z($0, &output, 0) }
    guard let output else { return domain }
    defer { idn2_free(output) }
    return result == CInt(IDN2_OK.rawValue) ? String(cString: output) : domain
  }

  /// Normal form C, so that equal texts are equal bytes (RFC 6532, 3.1).
  static func normalized(_ text: String) -> String {
    var result = ""
    for scalar in text._nfc { result.unicodeScalars.append(scalar) }
    return result
  }
}
