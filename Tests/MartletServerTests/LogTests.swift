import Glibc
import Logging
import Outside
import Testing

@testable import MartletServer

@Suite struct LogTests {
  struct Frozen: Clock {
    func now() -> Timestamp { Timestamp(microseconds: 1_795_568_523_456_000) }
    func monotonic() -> MonotonicInstant { MonotonicInstant(nanoseconds: 0) }
  }

  /// What a logger wrote.
  static func lines(_ format: LineLogHandler.Format = .text, _ body: (Logger) -> Void) throws -> String {
    var ends: [CInt] = [0, 0]
    #expect(pipe(&ends) == 0)
    let writer = LogWriter(descriptor: ends[1])
    var logger = Logger(label: "test") { _ in LineLogHandler(writer: writer, level: .info, format: format, clock: Frozen()) }
    logger[metadataKey: "id"] = "4QX"
    body(logger)
    writer.flush()
    close(ends[1])
    defer { close(ends[0]) }
    var text: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = read(ends[0], &buffer, buffer.count)
      if count <= 0 { return String(decoding: text, as: UTF8.self) }
      text += buffer[..<count]
    }
  }

  @Test("a record is one line, its keys in order")
  func line() throws {
    let text = try Self.lines { $0.info("accepted", metadata: ["size": "12", "from": "a b", "empty": ""]) }
    #expect(text == "time=2026-11-25T01:02:03.456Z level=info msg=accepted empty=\"\" from=\"a b\" id=4QX size=12\n")
  }

  @Test("no value can forge a line, a key or the order of reading")
  func forging() throws {
    let evil = "x\r\nlevel=info msg=forged\u{1B}[2J\u{202E}\u{85}\u{2028}\"\\ü"
    for format in [LineLogHandler.Format.text, .json] {
      let text = try Self.lines(format) { $0.info("\(evil)", metadata: ["k": "\(evil)", "a=b c": "1"]) }
      #expect(text.utf8.count { $0 == 0x0A } == 1)
      for hidden in ["\r", "\u{1B}", "\u{202E}", "\u{85}", "\u{2028}"] {
        #expect(!text.unicodeScalars.contains(hidden.unicodeScalars.first!))
      }
      #expect(text.contains("\\r\\nlevel=info msg=forged\\u001b[2J\\u202e\\u0085\\u2028\\\"\\\\ü"))
    }
  }

  @Test("JSON is written where it is asked for")
  func json() throws {
    let text = try Self.lines(.json) { $0.warning("slow", metadata: ["n": "1"]) }
    #expect(text == #"{"time":"2026-11-25T01:02:03.456Z","level":"warning","msg":"slow","id":"4QX","n":"1"}"# + "\n")
  }

  @Test("a long value is cut, below its level nothing is written")
  func bounds() throws {
    let text = try Self.lines { logger in
      logger.debug("hidden")
      logger.info("long", metadata: ["v": "\(String(repeating: "\u{7}", count: 100_000))"])
    }
    #expect(text.utf8.count < 4_000 && text.contains("..."))
    #expect(!text.contains("hidden"))
  }

  @Test("a blocked reader blocks nobody; what was dropped is counted and told (HOSTILE 65)")
  func blocked() throws {
    var ends: [CInt] = [0, 0]
    #expect(pipe(&ends) == 0)
    let writer = LogWriter(descriptor: ends[1])
    let line = [UInt8](repeating: 0x41, count: 999) + [0x0A]
    for _ in 0..<3_000 { writer.write(line) }
    let dropped = writer.dropped
    #expect(dropped > 0)
    // The reader is back.
    var buffer = [UInt8](repeating: 0, count: 65_536)
    var text: [UInt8] = []
    while !text.suffix(200).contains(0x3D) {
      let count = read(ends[0], &buffer, buffer.count)
      guard count > 0 else { break }
      text += buffer[..<count]
    }
    #expect(String(decoding: text.suffix(200), as: UTF8.self).contains("msg=\"log lines dropped\" count=\(dropped)"))
    #expect(text.count { $0 == 0x0A } == 3_000 - Int(dropped) + 1)
    close(ends[0])
    close(ends[1])
  }

  @Test("on a full disk lines are dropped and counted, nobody waits, and the count is told when there is room (HOSTILE 65)")
  func fullDisk() throws {
    let writer = LogWriter(descriptor: open("/dev/full", O_WRONLY))
    let line = Array("x\n".utf8)
    for _ in 0..<10 { writer.write(line, isUrgent: true) }
    writer.flush()
    #expect(writer.dropped == 10)
  }

  @Test("a log file on a disk that is full goes on where it was once it is opened anew (HOSTILE 65)")
  func roomAgain() throws {
    let folder = "/tmp/martlet-log-\(getpid())"
    mkdir(folder, 0o700)
    defer { for name in ["/log", ""] { remove(folder + name) } }
    symlink("/dev/full", folder + "/log")
    let writer = try LogWriter(path: folder + "/log")
    for _ in 0..<3 { writer.write(Array("lost\n".utf8), isUrgent: true) }
    writer.flush()
    remove(folder + "/log")
    try writer.reopen()
    writer.write(Array("kept\n".utf8), isUrgent: true)
    writer.flush()
    let file = try #require(fopen(folder + "/log", "r"))
    defer { fclose(file) }
    var buffer = [UInt8](repeating: 0, count: 1_000)
    let count = fread(&buffer, 1, buffer.count, file)
    let text = String(decoding: buffer.prefix(count), as: UTF8.self)
    #expect(writer.dropped == 3 && text.hasPrefix("kept\n") && text.contains("msg=\"log lines dropped\" count=3"), "\(text)")
  }

  @Test(
    "times are written as RFC 3339 has them",
    arguments: [
      (0, "1970-01-01T00:00:00.000Z"), (951_782_400, "2000-02-29T00:00:00.000Z"), (-1, "1969-12-31T23:59:59.000Z"),
      (4_107_542_399, "2100-02-28T23:59:59.000Z"), (4_107_542_400, "2100-03-01T00:00:00.000Z"),
    ] as [(Int64, String)])
  func times(seconds: Int64, text: String) {
    #expect(LogLine.time(Timestamp(seconds: seconds)) == text)
  }

  @Test("the first and the last moment can be told")
  func extremeTimes() {
    #expect(LogLine.time(Timestamp(microseconds: .max)) == "294247-01-10T04:00:54.775Z")
    #expect(LogLine.time(Timestamp(microseconds: .min)).hasSuffix("-12-21T19:59:05.224Z"))
  }
}
