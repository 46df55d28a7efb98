import Glibc
import Outside

/// The addresses of this machine's interfaces, for telling an MX record that leads back to ourselves.
enum InterfaceAddresses {
  static func all() -> Set<IPAddress> {
    var list: UnsafeMutablePointer<ifaddrs>?
    guard getifaddrs(&list) == 0 else { return [] }
    defer { freeifaddrs(list) }
    var result: Set<IPAddress> = []
    var next = list
    while let entry = next {
      next = entry.pointee.ifa_next
      guard let socket = entry.pointee.ifa_addr else { continue }
      switch Int32(socket.pointee.sa_family) {
      case AF_INET:
        socket.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { v4 in
          if let address = IPAddress(bytes: withUnsafeBytes(of: v4.pointee.sin_addr) { Array($0) }) { result.insert(address) }
        }
      case AF_INET6:
        socket.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { v6 in
          if let address = IPAddress(bytes: withUnsafeBytes(of: v6.pointee.sin6_addr) { Array($0) }) { result.insert(address) }
        }
      default: break
      }
    }
    return result
  }

  /// Why nothing can be bound to `address`, in words; nil if it can. Asks the kernel, which knows of whole networks on the loopback.
  static func problem(with address: IPAddress) -> String? {
    guard let (family, bytes, length) = Endpoint.ip(address, port: 0).socketAddressBytes else { return "it is no address" }
    let descriptor = socket(family, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { return String(cString: strerror(errno)) }
    defer { close(descriptor) }
    let bound = bytes.withUnsafeBytes { bytes in
      bytes.baseAddress.map { bind(descriptor, $0.assumingMemoryBound(to: sockaddr.self), length) } ?? -1
    }
    guard bound != 0 else { return nil }
    return errno == EADDRNOTAVAIL ? "it is not an address of this machine" : String(cString: strerror(errno))
  }
}
