import Glibc

/// Keys and certificates for tests, made once by the `openssl` command in a folder of their own.
enum Certificates {
  /// The folder; empty if `openssl` failed.
  static let folder: String = make()

  static func path(_ name: String) -> String { "\(folder)/\(name)" }

  private static func make() -> String {
    var template = Array("/tmp/martlet-tls-XXXXXX".utf8CString)
    guard let made = mkdtemp(&template) else { return "" }
    let folder = String(cString: made)
    let ec = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    let script = """
      set -e; cd \(folder); exec >log 2>&1
      openssl req -x509 \(ec) -keyout ca.key -out ca.pem -days 3650 -subj /CN=test-ca
      sign() { openssl x509 -req -in $1.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out $1.leaf "${@:2}"; cat $1.leaf ca.pem >$1.pem; }
      printf 'subjectAltName=DNS:mx.example.test,DNS:*.wild.test,IP:127.0.0.1' >san
      openssl req \(ec) -keyout good.key -out good.csr -subj /CN=mx.example.test
      sign good -days 3650 -extfile san
      openssl req \(ec) -keyout expired.key -out expired.csr -subj /CN=mx.example.test
      sign expired -days -1 -extfile san
      openssl req -x509 \(ec) -keyout self.key -out self.pem -days 3650 -subj /CN=self.example.test
      echo nonsense >broken.pem
      """
    // bash, for the array slice.
    guard let pipe = popen("bash -c '\(script.replacing("'", with: "'\\''"))'", "r") else { return "" }
    return pclose(pipe) == 0 ? folder : ""
  }
}

extension String {
  fileprivate func replacing(_ old: Character, with new: String) -> String {
    var result = ""
    for character in self {
      if character == old { result += new } else { result.append(character) }
    }
    return result
  }
}
