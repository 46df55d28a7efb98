/// What is wrong in a configuration text: all of it, in the order of the lines.
public struct ConfigurationError: Error, Hashable, Sendable, CustomStringConvertible {
  /// One thing that is wrong.
  public struct Problem: Hashable, Sendable, CustomStringConvertible {
    public var file: String
    /// From 1; 0 if the problem has no line (a required key that is missing).
    public var line: Int
    /// `queue.first-retry`, `listener[2].address`; empty for an error of TOML itself. Elements are counted from 1.
    public var key: String
    /// What was expected, and what stands there.
    public var expectation: String

    public init(file: String, line: Int, key: String, expectation: String) {
      self.file = file
      self.line = line
      self.key = key
      self.expectation = expectation
    }

    /// `file:line: key: what was expected`
    public var description: String {
      let place = line > 0 ? "\(file):\(line): " : "\(file): "
      return key.isEmpty ? place + expectation : place + key + ": " + expectation
    }
  }

  public var problems: [Problem]

  public init(problems: [Problem]) { self.problems = problems }

  /// One problem a line.
  public var description: String { problems.map(\.description).joined(separator: "\n") }
}
