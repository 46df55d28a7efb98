import Configuration
import Foundation
import Outside

/// What goes with a question about another configuration or a message: files are read where the person is, since the server may not be
/// allowed to, and lies elsewhere.
public struct DryRunInput: Codable, Sendable {
  /// Octets of a message that go along: 512 KiB; of a longer one its beginning is judged, and its size.
  static let message = 512 << 10

  /// The file, for what is said of it and as the start of relative paths; nil: the configuration that the server runs by.
  var path: String?
  var configuration: Data?
  var message: Data?
  /// Octets of the whole message.
  var size = 0

  /// Reads the files.
  ///
  /// - Parameters:
  ///   - configuration: the file that was named; nil if none was.
  ///   - message: the file of the message, `-` for standard input; nil without one.
  public init(configuration path: String?, message file: String?) throws(AdminFailure) {
    if let path {
      self.path = path.hasPrefix("/") ? path : FileManager.default.currentDirectoryPath + "/" + path
      configuration = Data(try ConfigurationFile.read(path, longest: ConfigurationFile.longest / 2))
    }
    if let file {
      let name = file == "-" ? "/dev/stdin" : file
      let bytes = try ConfigurationFile.read(name, longest: 1 << 30)
      message = Data(bytes.prefix(Self.message))
      size = bytes.count
    }
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
}
