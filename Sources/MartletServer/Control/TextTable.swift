import Bytes
import Foundation
import Outside

/// Rows with aligned columns, for people.
struct TextTable {
  enum Alignment { case left, right }

  private let columns: [(title: String, alignment: Alignment)]
  private var rows: [[String]] = []
  private var widths: [Int]
  private var isHeaderTaken = false

  init(_ columns: (title: String, alignment: Alignment)...) {
    self.columns = columns
    widths = columns.map(\.title.count)
  }

  mutating func add(_ cells: String...) { rows.append(cells.map { String.escaped($0.utf8, limit: 4_096) }) }

  var isEmpty: Bool { rows.isEmpty }

  /// Takes out the lines of the rows so far, header first, without spaces at their ends. What is taken later is as wide or wider, so that
  /// a table of any length is shown in pieces.
  mutating func takeLines() -> [String] {
    let taken = isHeaderTaken ? rows : [columns.map(\.title)] + rows
    rows = []
    isHeaderTaken = true
    for row in taken {
      for (index, cell) in row.enumerated() where widths.indices.contains(index) { widths[index] = max(widths[index], cell.count) }
    }
    return taken.map { row in
      var line = ""
      for (index, column) in columns.enumerated() {
        let cell = index < row.count ? row[index] : ""
        let space = String(repeating: " ", count: widths[index] - cell.count)
        line += column.alignment == .right ? space + cell + "  " : cell + space + "  "
      }
      while line.last == " " { line.removeLast() }
      return line
    }
  }
}

extension AdminContext {
  /// Says a table, or `nothing` if it has no rows.
  func say(_ table: TextTable, orElse nothing: String) async throws(AdminFailure) {
    guard !table.isEmpty else { return try await say(nothing) }
    var table = table
    try await sayRows(of: &table)
  }

  /// Says the rows that the table has so far, in one piece.
  func sayRows(of table: inout TextTable) async throws(AdminFailure) {
    try await say(table.takeLines().joined(separator: "\n"))
  }

  /// A time for people, in their zone: `2026-11-25 14:03:09`.
  func readable(_ time: Timestamp) -> String {
    let shifted = Timestamp(seconds: time.seconds.addedClamped(zoneOffset(at: time)))
    let text = shifted.iso8601
    return text.prefix(10) + " " + text.dropFirst(11).prefix(8)
  }

  /// Seconds by which their clocks are before UTC then.
  func zoneOffset(at time: Timestamp) -> Int64 {
    Int64(timeZone.secondsFromGMT(for: Date(timeIntervalSince1970: Double(time.seconds))))
  }

  /// How far `time` is from now, for people: `in 4 min`, `3 h ago`, `now`.
  func relative(_ time: Timestamp) -> String {
    let seconds = time.since(clock.now()).components.seconds
    let amount = seconds.magnitude
    if amount < 2 { return "now" }
    let text: String
    switch amount {
    case ..<120: text = "\(amount) s"
    case ..<7_200: text = "\(amount / 60) min"
    case ..<172_800: text = "\(amount / 3_600) h"
    default: text = "\(amount / 86_400) days"
    }
    return seconds > 0 ? "in \(text)" : "\(text) ago"
  }
}

extension Timestamp {
  /// `2026-11-25T13:03:09Z` (RFC 3339), for JSON.
  var iso8601: String {
    var parts = tm()
    var time = time_t(seconds)
    guard gmtime_r(&time, &parts) != nil else { return "1970-01-01T00:00:00Z" }
    func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
    return
      "\(Int(parts.tm_year) + 1_900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))T\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))Z"
  }
}
