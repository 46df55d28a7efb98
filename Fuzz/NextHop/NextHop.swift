import Configuration
import Routing

/// A next hop that is read is written so that it reads as the same, with its password and without; what the configuration reads is read
/// alike by routing; and a domain name that was made one form is that form.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: start, count: count))
  let text = String(decoding: bytes, as: UTF8.self)
  let hop = try? NextHop(parsing: text)
  if let hop {
    guard (try? NextHop(parsing: hop.secretText)) == hop else { fatalError("\(hop) was not read back from \(hop.secretText)") }
    var named = hop
    named.credentials?.password = ""
    guard (try? NextHop(parsing: hop.name)) == named else { fatalError("\(named) was not read back from \(hop.name)") }
  }
  if let configured = Configuration.NextHop(text) {
    guard Configuration.NextHop(configured.description) == configured else { fatalError("\(configured)") }
    compare(configured, hop, text)
  }
  if let name = DomainName.normalized(text), DomainName.normalized(name) != name { fatalError("\(name) is not yet one form") }
  return 0
}

private func compare(_ configured: Configuration.NextHop, _ hop: NextHop?, _ text: String) {
  // A path stands as it is in the configuration, percent-encoded in the queue; and only the queue's text is bounded.
  if case .unix = configured.place { return }
  guard text.utf8.count <= 255 else { return }
  guard let hop else { fatalError("only the configuration reads \(text)") }
  let isSame =
    switch (configured.place, hop.target) {
    case (.name(let name, let port), .host(let host)): name == host && port == hop.port
    case (.address(let one, let port), .address(let other)): one == other && port == hop.port
    default: false
    }
  guard isSame, hop.isImplicitTLS == (configured.scheme == .smtps), (hop.dialect == .lmtp) == (configured.scheme == .lmtp) else {
    fatalError("the configuration reads \(configured), routing \(hop)")
  }
}
