import Configuration
import Outside

/// What `martlet check` tells of a configuration.
public struct ConfigurationReport: Encodable, Sendable {
  public var file: String
  /// The server would start with it.
  public var isRight: Bool { problems.isEmpty }
  public var problems: [String] = []
  public var warnings: [String] = []
  public var listeners = 0
  public var routes = 0

  private enum CodingKeys: String, CodingKey {
    case file, right, problems, warnings, listeners, routes
  }

  public init(path: String, now: Timestamp) {
    file = path
    do throws(AdminFailure) {
      let read = try ConfigurationFile(path: path)
      let findings = read.findings(now: now)
      problems = findings.problems
      warnings = findings.warnings
      listeners = read.configuration.listeners.count
      routes = read.configuration.routes.count
    } catch {
      problems = error.message.split(separator: "\n").map(String.init)
    }
  }

  /// As scripts read it.
  public var json: String { (try? JSONPieces.encoded(self)).map { String(decoding: $0, as: UTF8.self) } ?? "{}" }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(file, forKey: .file)
    try container.encode(isRight, forKey: .right)
    try container.encode(problems, forKey: .problems)
    try container.encode(warnings, forKey: .warnings)
    try container.encode(listeners, forKey: .listeners)
    try container.encode(routes, forKey: .routes)
  }
}
