import Bytes
import Configuration
import Outside

/// Turns reports of long work into text: on a terminal a bar that is drawn over itself, with rate and time left; elsewhere a plain
/// line for each tenth.
struct ProgressPrinter: Sendable {
  let isTerminal: Bool
  let width: Int

  private var what = ""
  private var start: MonotonicInstant?
  private var lastDrawn: MonotonicInstant?
  private var lastTenth: Int64 = -1
  private var barStands = false

  /// The bar is drawn at most this often.
  private static let interval = Duration.milliseconds(100)

  init(isTerminal: Bool, width: Int) {
    self.isTerminal = isTerminal
    self.width = width
  }

  /// What wipes the bar, so that something else can be written.
  mutating func wipe() -> String {
    guard barStands else { return "" }
    barStands = false
    return "\r\u{1B}[K"
  }

  /// The text that shows a report; empty if it is too early for one.
  mutating func text(for progress: AdminProgress, now: MonotonicInstant) -> String {
    if progress.what != what {
      what = progress.what
      start = now
      lastDrawn = nil
      lastTenth = -1
    }
    let elapsed = now.since(start ?? now)
    let done = max(0, progress.done)
    let total = max(done, progress.total)
    // Nothing to be counted yet: not worth a line.
    if total == 0, !progress.isLast { return "" }
    guard isTerminal else {
      let tenth = total == 0 ? 10 : Self.whole(Double(done) / Double(total) * 10)
      guard tenth > lastTenth || progress.isLast else { return "" }
      guard !(progress.isLast && lastTenth == 10) else { return "" }
      lastTenth = tenth
      return "\(line(done, total, progress.unit, elapsed, isLast: progress.isLast))\n"
    }
    if progress.isLast {
      barStands = false
      return "\r\u{1B}[K\(line(done, total, progress.unit, elapsed, isLast: true))\n"
    }
    if let lastDrawn, now.since(lastDrawn) < Self.interval { return "" }
    lastDrawn = now
    barStands = true
    return "\r\u{1B}[K\(bar(done, total, progress.unit, elapsed))"
  }

  private func line(_ done: Int64, _ total: Int64, _ unit: AdminProgress.Unit, _ elapsed: Duration, isLast: Bool) -> String {
    let amount = unit == .octets ? "\(ByteCount(octets: done)) of \(ByteCount(octets: total))" : "\(done) of \(total)"
    var text = "\(what): \(amount)"
    if total > 0 { text += " (\(Self.whole(Double(done) / Double(total) * 100)) %)" }
    if let rate = Self.rate(done, elapsed) { text += ", \(Self.shown(rate, unit))" }
    return isLast ? text + ", done in \(Self.clock(elapsed))" : text
  }

  private func bar(_ done: Int64, _ total: Int64, _ unit: AdminProgress.Unit, _ elapsed: Duration) -> String {
    let share = total > 0 ? Double(done) / Double(total) : 0
    var tail = " \(Int(share * 100)) %"
    if let rate = Self.rate(done, elapsed) {
      tail += "  \(Self.shown(rate, unit))"
      if rate > 0 { tail += "  \(Self.clock(.seconds(Self.whole((Double(total) - Double(done)) / rate)))) left" }
    }
    let room = min(max(width - what.count - tail.count - 4, 10), 40)
    let filled = min(room, Int(share * Double(room)))
    let drawn = String(repeating: "#", count: filled) + String(repeating: ".", count: room - filled)
    return String("\(what) [\(drawn)]\(tail)".prefix(max(width - 1, 20)))
  }

  private static func rate(_ done: Int64, _ elapsed: Duration) -> Double? {
    let seconds = Double(elapsed.nanoseconds) / 1e9
    return seconds >= 0.2 ? Double(done) / seconds : nil
  }

  private static func shown(_ rate: Double, _ unit: AdminProgress.Unit) -> String {
    unit == .octets ? "\(ByteCount(octets: whole(rate)))/s" : "\(whole(rate))/s"
  }

  /// A number rounded down, held to what can be shown: the counts come from elsewhere.
  private static func whole(_ number: Double) -> Int64 { number.isNaN ? 0 : Int64(min(max(number.rounded(.down), 0), 1e15)) }

  private static func clock(_ duration: Duration) -> String {
    let seconds = max(0, duration.components.seconds)
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60)
    let tail = seconds % 60 < 10 ? "0\(seconds % 60)" : "\(seconds % 60)"
    guard hours > 0 else { return "\(minutes):\(tail)" }
    return minutes < 10 ? "\(hours):0\(minutes):\(tail)" : "\(hours):\(minutes):\(tail)"
  }
}
