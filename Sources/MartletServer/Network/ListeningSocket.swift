import Glibc
import Outside

/// A bound and listening socket, by its descriptor: made here, or inherited from the supervisor.
public struct ListeningSocket: Sendable {
  /// The descriptor, close-on-exec.
  public let descriptor: CInt
  /// Where it listens, with the port the kernel chose if 0 was asked for.
  public let endpoint: Endpoint

  /// Binds and listens.
  ///
  /// A Unix socket's file that nobody listens on any more is replaced; one that somebody listens on, or a file that is no
  /// socket, is left alone and refused. IPv6 sockets take no IPv4.
  ///
  /// - Parameter unixMode: the permissions of a Unix socket's file.
  public static func bind(
    _ endpoint: Endpoint, unixMode: mode_t = 0o660, limits: ServerLimits = ServerLimits()
  ) throws(ListenError) -> ListeningSocket {
    guard let (family, address, length) = endpoint.socketAddressBytes else {
      throw ListenError(endpoint: endpoint, operation: "use", code: ENAMETOOLONG)
    }
    let descriptor = socket(family, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue) | CInt(SOCK_NONBLOCK.rawValue), 0)
    guard descriptor >= 0 else { throw ListenError(endpoint: endpoint, operation: "make a socket for", code: errno) }
    do throws(ListenError) {
      if case .unix(let path) = endpoint {
        try removeStale(path, endpoint: endpoint)
        // The file is made with this mode (within the umask), so nobody slips in between `bind` and `chmod`. Setting the umask for it
        // instead would change what other threads create meanwhile.
        fchmod(descriptor, unixMode)
      } else {
        setOption(descriptor, SOL_SOCKET, SO_REUSEADDR, 1)
        if family == AF_INET6 { setOption(descriptor, CInt(IPPROTO_IPV6), IPV6_V6ONLY, 1) }
        // Inherited by each accepted socket, which saves a system call a connection.
        setOption(descriptor, CInt(IPPROTO_TCP), TCP_NODELAY, 1)
        setOption(descriptor, SOL_SOCKET, SO_RCVBUF, CInt(clamping: limits.receiveBuffer))
      }
      let bound = address.withUnsafeBytes { bytes in
        bytes.baseAddress.map { Glibc.bind(descriptor, $0.assumingMemoryBound(to: sockaddr.self), length) } ?? -1
      }
      guard bound == 0 else { throw ListenError(endpoint: endpoint, operation: "bind", code: errno) }
      if case .unix(let path) = endpoint, chmod(path, unixMode) != 0 {
        throw ListenError(endpoint: endpoint, operation: "set the mode of", code: errno)
      }
      guard listen(descriptor, limits.backlog) == 0 else {
        throw ListenError(endpoint: endpoint, operation: "listen on", code: errno)
      }
      return try inherited(descriptor, endpoint: endpoint)
    } catch {
      Glibc.close(descriptor)
      throw error
    }
  }

  /// Takes over a socket that already listens, and sets close-on-exec and non-blocking on it.
  ///
  /// - Parameter endpoint: what it was bound to, for messages.
  public static func inherited(_ descriptor: CInt, endpoint: Endpoint) throws(ListenError) -> ListeningSocket {
    var listens: CInt = 0
    var size = socklen_t(MemoryLayout<CInt>.size)
    guard getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 else {
      throw ListenError(endpoint: endpoint, operation: "inherit", code: errno)
    }
    guard listens == 1 else { throw ListenError(endpoint: endpoint, operation: "inherit", code: EINVAL) }
    _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    let flags = fcntl(descriptor, F_GETFL)
    _ = fcntl(descriptor, F_SETFL, flags | O_NONBLOCK)
    guard case .ip(let ip, 0) = endpoint else { return ListeningSocket(descriptor: descriptor, endpoint: endpoint) }
    return ListeningSocket(descriptor: descriptor, endpoint: .ip(ip, port: boundPort(of: descriptor)))
  }

  /// Closes the descriptor. A listener that was started on it has its own.
  public func close() {
    Glibc.close(descriptor)
  }

  private static func removeStale(_ path: String, endpoint: Endpoint) throws(ListenError) {
    var status = stat()
    guard lstat(path, &status) == 0 else {
      if errno == ENOENT { return }
      throw ListenError(endpoint: endpoint, operation: "look at", code: errno)
    }
    guard status.st_mode & S_IFMT == S_IFSOCK else { throw ListenError(endpoint: endpoint, operation: "replace", code: EEXIST) }
    guard let (family, address, length) = endpoint.socketAddressBytes else { return }
    let probe = socket(family, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue) | CInt(SOCK_NONBLOCK.rawValue), 0)
    guard probe >= 0 else { throw ListenError(endpoint: endpoint, operation: "make a socket for", code: errno) }
    defer { Glibc.close(probe) }
    let connected = address.withUnsafeBytes { bytes in
      bytes.baseAddress.map { connect(probe, $0.assumingMemoryBound(to: sockaddr.self), length) } ?? -1
    }
    // Only a refusal says that nobody listens; a full backlog (EAGAIN) says that somebody does.
    guard connected != 0, errno == ECONNREFUSED else {
      throw ListenError(endpoint: endpoint, operation: "bind", code: EADDRINUSE)
    }
    guard unlink(path) == 0 else { throw ListenError(endpoint: endpoint, operation: "remove the old", code: errno) }
  }

  private static func boundPort(of descriptor: CInt) -> UInt16 {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    return withUnsafeMutableBytes(of: &storage) { bytes in
      guard let base = bytes.baseAddress else { return 0 }
      guard getsockname(descriptor, base.assumingMemoryBound(to: sockaddr.self), &length) == 0 else { return 0 }
      // sin_port and sin6_port stand at the same place.
      return UInt16(bytes[2]) << 8 | UInt16(bytes[3])
    }
  }

  private static func setOption(_ descriptor: CInt, _ level: CInt, _ option: CInt, _ value: CInt) {
    var value = value
    _ = setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<CInt>.size))
  }
}

/// Why a listener can't be had.
public struct ListenError: Error, Hashable, Sendable, CustomStringConvertible {
  public var endpoint: Endpoint
  public var operation: String
  /// The system's error number.
  public var code: Int32

  public var description: String {
    let reason = String(cString: strerror(code))
    let hint = code == EACCES ? "; ports below 1024 need root or CAP_NET_BIND_SERVICE" : ""
    return "can't \(operation) \(endpoint): \(reason)\(hint)"
  }
}

extension Endpoint {
  /// The family, the `sockaddr` and its length; nil for a path that is too long.
  var socketAddressBytes: (family: CInt, address: [UInt8], length: socklen_t)? {
    switch self {
    case .ip(let ip, let port):
      let portBytes = [UInt8(port >> 8), UInt8(truncatingIfNeeded: port)]
      let family = sa_family_t(ip.isIPv4 ? AF_INET : AF_INET6)
      var bytes = withUnsafeBytes(of: family) { Array($0) } + portBytes
      if ip.isIPv4 {
        bytes += ip.bytes + [UInt8](repeating: 0, count: 8)
        return (AF_INET, bytes, socklen_t(bytes.count))
      }
      bytes += [0, 0, 0, 0] + ip.bytes + [0, 0, 0, 0]
      return (AF_INET6, bytes, socklen_t(bytes.count))
    case .unix(let path):
      let name = Array(path.utf8)
      guard !name.isEmpty, name.count <= 107, !name.contains(0) else { return nil }
      let bytes = withUnsafeBytes(of: sa_family_t(AF_UNIX)) { Array($0) } + name + [0]
      return (AF_UNIX, bytes, socklen_t(bytes.count))
    }
  }
}
