import Bytes
import InternetMessage

/// Domain names as routing compares them: A-labels, lower case, without the final dot.
public enum DomainName {
  /// The form that is compared and looked up; `nil` for what is no domain name. An address literal stays as it is.
  public static func normalized(_ domain: String) -> String? {
    if domain.utf8.first == 0x5B { return domain.asciiLowercased }
    guard var name = InternationalDomain.ascii(domain) else { return nil }
    if name.utf8.last == 0x2E { name.removeLast() }
    return isValid(name.utf8) ? name : nil
  }

  /// Labels of 1 to 63 letters, digits, hyphens and underscores, 253 octets in all (RFC 1035, 2.3.4). The underscore is no
  /// host name's, but is seen.
  static func isValid(_ name: some Collection<UInt8>) -> Bool {
    guard !name.isEmpty, name.count <= 253 else { return false }
    var label = 0
    for byte in name {
      if byte == 0x2E {
        guard label > 0 else { return false }
        label = 0
      } else {
        guard byte.isASCIIAlphanumeric || byte == 0x2D || byte == 0x5F, label < 63 else { return false }
        label += 1
      }
    }
    return label > 0
  }
}
