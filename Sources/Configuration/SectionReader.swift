import Outside
import TOMLKit

/// Gathers problems while sections are read.
final class ProblemList {
  let file: String
  private let lines: KeyLines
  private(set) var problems: [ConfigurationError.Problem] = []
  /// Every key that was asked for, elements' numbers left out: `listener.address`.
  private(set) var knownKeys: [String] = []

  init(file: String, lines: KeyLines) {
    self.file = file
    self.lines = lines
  }

  func add(_ key: String, _ expectation: String) {
    problems.append(.init(file: file, line: lines.line(of: key), key: key, expectation: expectation))
  }

  func line(of key: String) -> Int { lines.line(of: key) }

  func know(_ key: String) { knownKeys.append(key) }
}

/// One table of the text, read key by key; what was not asked for is unknown.
///
/// A bad value becomes a problem and the default stands in, so that all problems are found in one go.
struct SectionReader {
  /// `queue`, `listener[2]`; empty for the top.
  let path: String
  /// The folder that relative paths count from; empty for the working folder.
  let folder: String
  private let table: TOMLTable?
  private let problems: ProblemList
  private var asked: Set<String> = []

  /// - Parameter table: nil if the section is missing: every key is at its default then.
  init(path: String, table: TOMLTable?, folder: String, problems: ProblemList) {
    self.path = path
    self.table = table
    self.folder = folder
    self.problems = problems
  }

  /// Whether the section stands in the text.
  var isPresent: Bool { table != nil }

  /// The line of the section's header.
  var line: Int { problems.line(of: path) }

  /// The full name of a key here.
  func name(_ key: String) -> String { path.isEmpty ? key : path + "." + key }

  func problem(_ key: String, _ expectation: String) { problems.add(key.isEmpty ? path : name(key), expectation) }

  /// Whether the text sets `key`.
  func sets(_ key: String) -> Bool { table?[key] != nil }

  private mutating func value(_ key: String) -> TOMLValueConvertible? {
    asked.insert(key)
    problems.know(name(key).replacingElementNumbers())
    return table?[key]
  }

  // MARK: Values

  mutating func string(_ key: String) -> String? {
    guard let value = value(key) else { return nil }
    guard let text = value.string else {
      problem(key, "expected text in quotes, not \(Self.kind(value))")
      return nil
    }
    return text
  }

  mutating func string(_ key: String, default standard: String) -> String { string(key) ?? standard }

  /// Text that is there and not empty.
  mutating func requiredString(_ key: String, _ what: String) -> String? {
    if let text = string(key) {
      if !text.isEmpty { return text }
      problem(key, "expected \(what), not an empty text")
    } else if !sets(key) {
      problem(key, "is required: \(what)")
    }
    return nil
  }

  /// A path, made absolute from the file's folder. Empty stays empty.
  mutating func path(_ key: String, default standard: String) -> String {
    guard let text = string(key) else { return standard }
    return resolved(text)
  }

  func resolved(_ text: String) -> String {
    text.isEmpty || text.hasPrefix("/") || folder.isEmpty ? text : folder + "/" + text
  }

  mutating func boolean(_ key: String, default standard: Bool) -> Bool {
    guard let value = value(key) else { return standard }
    if let flag = value.bool { return flag }
    problem(key, "expected true or false, not \(Self.kind(value))")
    return standard
  }

  mutating func integer(_ key: String, default standard: Int, in range: ClosedRange<Int>, zeroIsUnlimited: Bool = false) -> Int {
    guard let value = value(key) else { return standard }
    if let number = value.int, range.contains(number) || (zeroIsUnlimited && number == 0) { return number }
    let unlimited = zeroIsUnlimited ? ", or 0 for unlimited" : ""
    problem(key, "expected a whole number from \(range.lowerBound) to \(range.upperBound)\(unlimited), not \(Self.shown(value))")
    return standard
  }

  mutating func duration(
    _ key: String, default standard: Duration, atLeast least: Duration = .seconds(1), zeroIsAllowed: Bool = false
  )
    -> Duration
  {
    guard let value = value(key) else { return standard }
    if let text = value.string, let duration = Duration(configurationText: text) {
      if duration >= least || (zeroIsAllowed && duration == .zero) { return duration }
      problem(key, "expected a duration of at least \(least.configurationText), not \"\(text)\"")
      return standard
    }
    if zeroIsAllowed, value.int == 0 { return .zero }
    problem(key, "expected a duration like \"30s\", \"5m\", \"4h\" or \"5d\", not \(Self.shown(value))")
    return standard
  }

  /// A size; `least` counts only for sizes other than 0.
  mutating func size(_ key: String, default standard: ByteCount, atLeast least: Int64 = 0) -> ByteCount {
    guard let value = value(key) else { return standard }
    let read = value.int.map { ByteCount(octets: Int64($0)) } ?? value.string.flatMap { ByteCount($0) }
    guard let size = read, size.octets >= 0 else {
      problem(key, "expected a number of bytes or a size like \"50MB\" or \"10MiB\", not \(Self.shown(value))")
      return standard
    }
    if size.octets != 0, size.octets < least {
      problem(key, "expected at least \(least) bytes, not \(Self.shown(value))")
      return standard
    }
    return size
  }

  mutating func choice<Choice: RawRepresentable<String> & CaseIterable>(_ key: String, default standard: Choice) -> Choice {
    guard let value = value(key) else { return standard }
    if let text = value.string, let choice = Choice(rawValue: text) { return choice }
    let names = Choice.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", ")
    problem(key, "expected one of \(names), not \(Self.shown(value))")
    return standard
  }

  /// A list of texts, each turned into a value by `read`.
  mutating func list<Element>(_ key: String, of what: String, _ read: (String) -> Element?) -> [Element] {
    guard let value = value(key) else { return [] }
    guard let array = value.array else {
      problem(key, "expected a list in brackets of \(what), not \(Self.shown(value))")
      return []
    }
    var elements: [Element] = []
    for (position, item) in array.enumerated() {
      if let text = item.string, let element = read(text) {
        elements.append(element)
      } else {
        problem("\(key)[\(position + 1)]", "expected \(what), not \(Self.shown(item))")
      }
    }
    return elements
  }

  // MARK: Sections below

  /// The table `[key]`.
  mutating func section(_ key: String) -> SectionReader {
    asked.insert(key)
    let value = table?[key]
    if let value, value.table == nil { problem(key, "expected a section [\(name(key))], not \(Self.kind(value))") }
    return SectionReader(path: name(key), table: value?.table, folder: folder, problems: problems)
  }

  /// The tables `[[key]]`.
  mutating func sections(_ key: String) -> [SectionReader] {
    asked.insert(key)
    guard let value = table?[key] else { return [] }
    guard let array = value.array, array.allSatisfy({ $0.table != nil }) else {
      problem(key, "expected sections [[\(name(key))]] in double brackets, not \(Self.kind(value))")
      return []
    }
    return array.enumerated().map { position, item in
      SectionReader(path: "\(name(key))[\(position + 1)]", table: item.table, folder: folder, problems: problems)
    }
  }

  /// Makes every key that was not asked for a problem.
  func finish() {
    guard let table else { return }
    let known = asked.sorted()
    for key in table.keys.sorted() where !asked.contains(key) {
      let near = known.filter { Self.isNear(key, $0) }.first
      let kind = table[key]?.table != nil ? "section" : "key"
      let hint = near.map { "did you mean \"\($0)\"?" } ?? "known here: \(known.joined(separator: ", "))"
      problem(key, "unknown \(kind); \(hint)")
    }
  }

  // MARK: Words

  private static func kind(_ value: TOMLValueConvertible) -> String {
    switch value.type {
    case .table: "a section"
    case .array: "a list"
    case .string: "text"
    case .int: "a whole number"
    case .double: "a number with a fraction"
    case .bool: "true or false"
    case .date, .time, .dateTime: "a date or time"
    }
  }

  private static func shown(_ value: TOMLValueConvertible) -> String {
    if let text = value.string { return "\"\(String.escaped(text.utf8, limit: 100))\"" }
    if let number = value.int { return String(number) }
    return kind(value)
  }

  /// At most two edits apart, or the same letters with `_` for `-`.
  private static func isNear(_ left: String, _ right: String) -> Bool {
    let (left, right) = (Array(left.utf8.prefix(64)), Array(right.utf8.prefix(64)))
    guard abs(left.count - right.count) <= 2 else { return false }
    var row = Array(0...right.count)
    for (i, a) in left.enumerated() {
      var previous = row[0]
      row[0] = i + 1
      for (j, b) in right.enumerated() {
        let cost = min(previous + (a == b || (a == 0x5F && b == 0x2D) ? 0 : 1), row[j] + 1, row[j + 1] + 1)
        previous = row[j + 1]
        row[j + 1] = cost
      }
    }
    return row[right.count] <= 2
  }
}

extension String {
  /// `listener[2].address` as `listener.address`.
  fileprivate func replacingElementNumbers() -> String {
    var result = ""
    var isInside = false
    for character in self {
      if character == "[" {
        isInside = true
      } else if character == "]" {
        isInside = false
      } else if !isInside {
        result.append(character)
      }
    }
    return result
  }
}
