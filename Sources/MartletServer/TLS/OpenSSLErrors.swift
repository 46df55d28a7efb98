import COpenSSL

/// OpenSSL's error queue, which belongs to a thread: what one connection leaves there must not be read as another's.
enum OpenSSLErrors {
  /// Empties the queue and says what was in it, the last three reasons at most; `fallback` if there was nothing.
  static func take(_ fallback: String) -> String {
    var reasons: [String] = []
    // The queue holds 16 entries at most.
    while reasons.count < 32 {
      let code = ERR_get_error()
      if code == 0 { break }
      if let reason = ERR_reason_error_string(code) {
        reasons.append(String(cString: reason))
      } else {
        reasons.append("error \(code)")
      }
    }
    return reasons.isEmpty ? fallback : reasons.suffix(3).joined(separator: ": ")
  }

  /// Empties the queue; done before each call whose result is judged by it.
  static func clear() {
    ERR_clear_error()
  }
}
