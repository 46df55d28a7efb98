import Glibc
import Outside

/// What is read is written so that it reads as the same, and is what the C library reads.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: start, count: count))
  let text = String(decoding: bytes, as: UTF8.self)
  let read = IPAddress(text)
  guard read == plain(text) else { fatalError("\(text) was read as \(String(describing: read))") }
  if let address = read {
    guard IPAddress(address.description) == address else { fatalError("\(address)") }
    _ = address.isPublic
    _ = address.reverseName
  }
  if let network = NetworkPrefix(text) {
    guard NetworkPrefix(network.description) == network, network.contains(network.address) else { fatalError("\(network)") }
  }
  if let endpoint = Endpoint(text), Endpoint(endpoint.description) != endpoint { fatalError("\(endpoint)") }
  if bytes.count == 16, let address = IPAddress(bytes: bytes), IPAddress(address.description) != address {
    fatalError("\(address)")
  }
  return 0
}

/// `inet_pton`; zeros at the left of a number, which it takes in no version alike, and what no string of C can hold, are no address.
private func plain(_ text: String) -> IPAddress? {
  guard !text.utf8.contains(0) else { return nil }
  for (family, length) in [(AF_INET, 4), (AF_INET6, 16)] {
    var bytes = [UInt8](repeating: 0, count: length)
    if inet_pton(family, text, &bytes) == 1 { return IPAddress(bytes: bytes) }
  }
  return nil
}
