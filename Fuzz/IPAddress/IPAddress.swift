import Outside

/// What is read is written so that it reads as the same.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: start, count: count))
  let text = String(decoding: bytes, as: UTF8.self)
  if let address = IPAddress(text) {
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
