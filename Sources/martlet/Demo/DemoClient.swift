import Bytes
import Foundation
import Glibc
import MartletServer
import Outside

/// A client of the demonstration: speaks SMTP over a real socket, line by line, and shows what is said.
final class DemoClient {
  private let descriptor: CInt
  private let tell: (String) -> Void
  private var incoming: [UInt8] = []

  init(port: UInt16, tell: @escaping (String) -> Void) throws(AdminFailure) {
    self.tell = tell
    descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let connected = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard connected == 0 else { throw AdminFailure("can't connect to 127.0.0.1:\(port): \(String(cString: strerror(errno)))") }
    var patience = timeval(tv_sec: 30, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
  }

  deinit { close(descriptor) }

  /// Sends one message; the last reply that counts: to DATA's end, or the refusal.
  func send(from sender: String, to recipient: String, subject: String, text: String) throws(AdminFailure) -> String {
    _ = try reply()
    _ = try ask("EHLO laptop.example.test", shows: false)
    let start = try ask("MAIL FROM:<\(sender)>")
    guard start.hasPrefix("250") else { return start }
    let judged = try ask("RCPT TO:<\(recipient)>")
    guard judged.hasPrefix("250") else {
      _ = try ask("QUIT", shows: false)
      return judged
    }
    _ = try ask("DATA")
    let date = SystemClock().now()
    let lines = [
      "Date: \(Self.rfc5322(date))", "From: <\(sender)>", "To: <\(recipient)>", "Subject: \(subject)",
      "Message-ID: <\(date.microseconds).demo@laptop.example.test>", "", text, ".",
    ]
    tell("C: (\(lines.count - 1) lines: \(subject)) .")
    try write(lines.joined(separator: "\r\n") + "\r\n")
    let taken = try reply()
    tell("S: \(taken)")
    _ = try ask("QUIT", shows: false)
    return taken
  }

  private func ask(_ command: String, shows: Bool = true) throws(AdminFailure) -> String {
    if shows { tell("C: \(command)") }
    try write(command + "\r\n")
    let answer = try reply()
    if shows { tell("S: \(answer)") }
    return answer
  }

  private func write(_ text: String) throws(AdminFailure) {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      guard count > 0 else { throw AdminFailure("the server closed the connection") }
      rest = rest.dropFirst(count)
    }
  }

  /// The last line of the next reply.
  private func reply() throws(AdminFailure) -> String {
    while true {
      let line = try nextLine()
      guard line.dropFirst(3).first == "-" else { return line }
    }
  }

  private func nextLine() throws(AdminFailure) -> String {
    while true {
      if let end = incoming.firstIndex(of: 0x0A) {
        let line = incoming[..<end].filter { $0 != 0x0D }
        incoming.removeSubrange(...end)
        return String.escaped(line)
      }
      var chunk = [UInt8](repeating: 0, count: 4_096)
      let count = read(descriptor, &chunk, chunk.count)
      guard count > 0 else { throw AdminFailure("the server said nothing for 30 s, or closed the connection") }
      incoming += chunk[..<count]
    }
  }

  private static func rfc5322(_ time: Timestamp) -> String {
    let formatter = DateFormatter()
    formatter.locale = Locale(identifier: "en_US_POSIX")
    formatter.timeZone = .gmt
    formatter.dateFormat = "EEE, dd MMM yyyy HH:mm:ss Z"
    return formatter.string(from: Date(timeIntervalSince1970: Double(time.seconds)))
  }
}
