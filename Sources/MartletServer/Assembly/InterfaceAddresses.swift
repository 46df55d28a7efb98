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
}
