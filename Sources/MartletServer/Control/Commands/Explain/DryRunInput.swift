import Configuration
import Foundation
import Glibc
import NIOCore
import Outside
import SMTP

/// What goes with a question about another configuration or a message: files are read where the person is, since the server may not be
/// allowed to, and lies elsewhere.
public struct DryRunInput: Codable, Sendable {
  /// Octets of a message that go along: 2 MiB, so more than a header may have by default. The lines of a longer one are all looked at, its
  /// header and structure in this beginning.
  static let message = 2 << 20
  /// Octets of a message that are read at most: 1 GiB.
  static let longest = 1 << 30

  /// The file, for what is said of it; nil: the configuration that the server runs by.
  var path: String?
  var configuration: Data?
  /// The configuration that is used where none is named, if that is another file and can be read: what a server that is stopped ran by.
  var usual: Data?
  /// Its lines end with CRLF.
  var message: Data?
  /// Octets of the whole message, as it goes over the wire.
  var size: UInt64 = 0
  /// What `DataDecoder` found in all of it.
  var longestLine = 0
  var defects: UInt8 = 0

  /// Reads the files.
  ///
  /// - Parameters:
  ///   - configuration: the file that was named; nil if none was.
  ///   - message: the file of the message, `-` for standard input; nil without one.
  ///   - usual: the file that is used where none is named, if it is another.
  public init(configuration file: ConfigurationFile?, message: String?, usual: String? = nil) throws(AdminFailure) {
    if let file {
      path = file.path
      configuration = Data(file.text.utf8)
    }
    if let usual, let bytes = try? ConfigurationFile.read(usual, longest: ConfigurationFile.longest), Data(bytes) != configuration {
      self.usual = Data(bytes)
    }
    if let message { try read(message == "-" ? "/dev/stdin" : message) }
  }

  /// Reads a message piece by piece; what it holds of it does not grow with it.
  private mutating func read(_ path: String) throws(AdminFailure) {
    func failure() -> AdminFailure { AdminFailure("\(path): \(String(cString: strerror(errno)))", exitCode: 66) }
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure() }
    defer { close(descriptor) }
    var lines = WireLines()
    var beginning = Data()
    var outcome = DataOutcome()
    var chunk = [UInt8](repeating: 0, count: 65_536)
    var total = 0
    var isAtEnd = false
    while !isAtEnd {
      let count = Glibc.read(descriptor, &chunk, chunk.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw failure() }
      isAtEnd = count == 0
      total += count
      guard total <= Self.longest else { throw AdminFailure("\(path): longer than \(Self.longest) octets", exitCode: 66) }
      let bytes = isAtEnd ? lines.end() : lines.take(chunk[..<count])
      beginning.append(contentsOf: bytes.prefix(Self.message - beginning.count))
      outcome = Self.decoded(bytes, after: outcome)
    }
    message = beginning
    (size, longestLine, defects) = (outcome.octets, outcome.longestLine, outcome.defects.rawValue)
  }

  /// Looks at the next octets as the server looks at a chunk. Whether it is too large is said when it is announced.
  private static func decoded(_ bytes: [UInt8], after outcome: DataOutcome) -> DataOutcome {
    var limits = SMTPLimits()
    limits.messageSize = 0
    var decoder = DataDecoder.chunk(octets: UInt64(bytes.count), isBinary: false, after: outcome, limits: limits)
    var input = ByteBuffer(bytes: bytes)
    while true {
      switch decoder.next(from: &input) {
      case .bytes: continue
      case .needsInput: return outcome
      case .ended(let outcome): return outcome
      }
    }
  }

  /// What the server would know of the body at its end.
  var outcome: DataOutcome {
    var outcome = DataOutcome()
    (outcome.octets, outcome.longestLine, outcome.defects) = (size, longestLine, DataOutcome.Defects(rawValue: defects))
    return outcome
  }

  /// As it goes over the control socket.
  public func encoded() throws(AdminFailure) -> [UInt8] {
    guard let data = try? JSONEncoder().encode(self) else { throw AdminFailure("the input can't be written") }
    return Array(data)
  }

  /// Reads what `encoded` wrote; nothing at all means nothing named.
  init(_ bytes: [UInt8]) throws(AdminFailure) {
    if bytes.isEmpty { return }
    guard let read = try? JSONDecoder().decode(Self.self, from: Data(bytes)) else {
      throw AdminFailure("the input can't be read", exitCode: 64)
    }
    self = read
  }

  /// The configuration that was named, else `running`.
  func configuration(else running: Configuration) throws(AdminFailure) -> Configuration {
    guard let configuration, let path else { return running }
    guard let text = String(validating: configuration, as: UTF8.self) else {
      throw AdminFailure("\(path): expected UTF-8", exitCode: 78)
    }
    do throws(ConfigurationError) {
      return try Configuration.parse(text, file: path)
    } catch {
      throw AdminFailure(error.description, exitCode: 78)
    }
  }

  /// What the server of the data folder ran by, as far as that can be told while it is stopped.
  func usualConfiguration(of data: String) -> Configuration? {
    guard let usual, let text = String(validating: usual, as: UTF8.self),
      let found = try? Configuration.parse(text, file: "the usual configuration"), found.data == data
    else { return nil }
    return found
  }
}

/// A message of a file with its lines ended as SMTP has them: CRLF, the last one too.
private struct WireLines {
  private var wasCarriageReturn = false
  private var wasLineEnd = true

  mutating func take(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(bytes.count + bytes.count / 32)
    for byte in bytes {
      if byte == 0x0A, !wasCarriageReturn { result.append(0x0D) }
      result.append(byte)
      wasCarriageReturn = byte == 0x0D
      wasLineEnd = byte == 0x0A
    }
    return result
  }

  mutating func end() -> [UInt8] {
    if wasLineEnd { return [] }
    return wasCarriageReturn ? [0x0A] : [0x0D, 0x0A]
  }
}
