import Outside
import Testing

@testable import MartletServer

struct ShownTests {
  private func moment(_ seconds: Double) -> MonotonicInstant { MonotonicInstant(nanoseconds: UInt64(seconds * 1e9)) }

  @Test("without a terminal progress is a plain line for each tenth, and one at the end")
  func plainProgress() {
    var printer = ProgressPrinter(isTerminal: false, width: 80)
    var lines: [String] = []
    for done in 0...100 {
      let report = AdminProgress(done: Int64(done), total: 100, what: "messages")
      lines.append(printer.text(for: report, now: moment(10 + Double(done) / 10)))
    }
    #expect(lines.filter { !$0.isEmpty }.count == 11)
    #expect(lines[50] == "messages: 50 of 100 (50 %), 10/s\n")
    #expect(!lines.joined().contains("\r"))
    #expect(printer.text(for: AdminProgress(done: 100, total: 100, what: "messages", isLast: true), now: moment(21)).isEmpty)
  }

  @Test("on a terminal a bar is drawn over itself with rate and time left, not too often, and never wider than the terminal")
  func bar() {
    var printer = ProgressPrinter(isTerminal: true, width: 60)
    func report(_ done: Int64) -> AdminProgress { AdminProgress(done: done, total: 100_000_000, unit: .octets, what: "bodies") }
    #expect(printer.text(for: report(0), now: moment(0)).hasPrefix("\r\u{1B}[Kbodies ["))
    #expect(printer.text(for: report(1), now: moment(0.05)).isEmpty)
    let half = printer.text(for: report(50_000_000), now: moment(10))
    #expect(half.contains(" 50 %  5 MB/s  0:10 left"))
    #expect(half.count < 60 + 4)
    #expect(half.contains("####"))
    #expect(printer.wipe() == "\r\u{1B}[K")
    #expect(printer.wipe().isEmpty)
  }

  @Test("numbers out of reason are shown and do not trap")
  func oddNumbers() {
    var printer = ProgressPrinter(isTerminal: true, width: 1)
    for (done, total) in [(Int64.max, Int64.max), (.min, 0), (5, 1), (0, .max), (-1, -1)] as [(Int64, Int64)] {
      _ = printer.text(for: AdminProgress(done: done, total: total, what: "x\(done)"), now: moment(1))
      _ = printer.text(for: AdminProgress(done: done, total: total, what: "x\(done)", isLast: true), now: moment(2))
    }
  }

  @Test("columns are aligned, control characters escaped, line ends free of spaces")
  func table() {
    var table = TextTable(("NAME", .left), ("SIZE", .right), ("NOTE", .left))
    table.add("a", "1", "")
    table.add("long name", "12345", "x\u{1B}[2J")
    #expect(table.takeLines() == ["NAME        SIZE  NOTE", "a              1", "long name  12345  x\\x1b[2J"])
    // Further pieces have no header, and are as wide or wider.
    table.add("b", "2", "y")
    #expect(table.takeLines() == ["b              2  y"])
    table.add("a longer name", "3", "z")
    #expect(table.takeLines() == ["a longer name      3  z"])
  }

  @Test(
    "times in ISO 8601",
    arguments: [
      (0, "1970-01-01T00:00:00Z"), (1_764_032_589, "2025-11-25T01:03:09Z"), (-1, "1969-12-31T23:59:59Z"),
      (4_102_444_800, "2100-01-01T00:00:00Z"), (.max, "294247-01-10T04:00:54Z"), (.min, "-290308-12-21T19:59:05Z"),
    ] as [(Int64, String)])
  func iso(seconds: Int64, text: String) { #expect(Timestamp(seconds: seconds).iso8601 == text) }
}
