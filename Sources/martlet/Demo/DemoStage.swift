import Configuration
import Foundation
import Glibc
import MartletServer

/// The folder of a demonstration with the configurations of its two hosts.
struct DemoStage {
  let folder: String
  let port: UInt16
  let otherPort: UInt16

  /// Makes the folder, the certificates and the files.
  init(folder named: String?, basePort: UInt16) throws(AdminFailure) {
    port = basePort + 25
    otherPort = basePort + 2_525
    if let named {
      folder = named.hasPrefix("/") ? named : FileManager.default.currentDirectoryPath + "/" + named
      let present = try? FileManager.default.contentsOfDirectory(atPath: folder)
      guard present?.isEmpty ?? true else { throw AdminFailure("\(folder) is not empty; a demonstration starts fresh") }
    } else {
      folder = NSTemporaryDirectory() + "martlet-demo-\(getpid())"
    }
    for part in ["", "/example.test", "/example.net"] { try DataFolder.make(folder + part) }
    try writeHost(
      "example.test", port: port,
      more: """

        [[route]]                      # the other host of this demonstration, instead of its MX
        domain = "example.net"
        next-hop = "smtp://127.0.0.1:\(otherPort)"

        [trust]
        networks = ["127.0.0.0/8"]     # this machine may relay
        """)
    try writeHost("example.net", port: otherPort, more: "")
  }

  func file(of domain: String) -> String { "\(folder)/\(domain)/martlet.toml" }

  private func writeHost(_ domain: String, port: UInt16, more: String) throws(AdminFailure) {
    let place = "\(folder)/\(domain)"
    try SelfSignedCertificate.write(
      for: "mx.\(domain)", certificate: "\(place)/certificate.pem", key: "\(place)/key.pem", random: SystemRandom())
    let user = getpwuid(geteuid()).map { String(cString: $0.pointee.pw_name) } ?? "root"
    let text = """
      hostname = "mx.\(domain)"
      data = "data"

      [[listener]]
      protocol = "smtp"
      address = "127.0.0.1:\(port)"

      [tls]
      certificate = "certificate.pem"
      key = "key.pem"
      \(more)

      [store]
      reserve = "1MiB"

      [process]
      user = "\(user)"

      [log]
      file = "log"

      """
    do {
      try text.write(toFile: file(of: domain), atomically: true, encoding: .utf8)
    } catch {
      throw AdminFailure("\(file(of: domain)) can't be written: \(error.localizedDescription)")
    }
  }
}
