import Logging
import Outside

/// A swift-log handler that writes one line a record: `time=... level=info msg="..." key=value`, or a JSON object.
public struct LineLogHandler: LogHandler {
  /// One logger's own level, where it was set; else that of all.
  public var logLevel: Logger.Level {
    get { ownLevel ?? threshold.level }
    set { ownLevel = newValue }
  }
  public var metadata: Logger.Metadata = [:]
  public var metadataProvider: Logger.MetadataProvider?

  private var ownLevel: Logger.Level?
  private let threshold: LogThreshold
  private let writer: LogWriter
  private let clock: any Clock
  private let format: LogLine.Format

  /// How a line looks.
  public enum Format: Hashable, Sendable {
    /// `key=value` (logfmt), for people and scripts.
    case text
    /// A JSON object.
    case json
  }

  /// Writes records of at least `level` to `writer`.
  public init(writer: LogWriter, level: Logger.Level = .info, format: Format = .text, clock: any Clock = SystemClock()) {
    self.init(writer: writer, threshold: LogThreshold(level), format: format, clock: clock)
  }

  /// Writes records of at least the level that `threshold` has at the time.
  public init(writer: LogWriter, threshold: LogThreshold, format: Format = .text, clock: any Clock = SystemClock()) {
    self.writer = writer
    self.threshold = threshold
    self.format = format == .json ? .json : .text
    self.clock = clock
  }

  public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  public func log(event: LogEvent) {
    var line = LogLine(format)
    line.add("time", LogLine.time(clock.now()))
    line.add("level", event.level.rawValue)
    line.add("msg", event.message.description)
    var all = event.metadata ?? [:]
    if let provided = metadataProvider?.get() { all.merge(provided) { own, _ in own } }
    if !metadata.isEmpty { all.merge(metadata) { own, _ in own } }
    // The same record reads the same each time.
    for (key, value) in all.sorted(by: { $0.key < $1.key }) {
      if case .string(let text) = value { line.add(key, text) } else { line.add(key, "\(value)") }
    }
    writer.write(line.finished(), isUrgent: event.level >= .warning)
  }
}
