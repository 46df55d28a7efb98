import Bytes

/// The line on which each key of a TOML text stands: TOMLKit tells positions for syntax errors only.
///
/// One pass that judges no syntax but the mistakes at which toml++ ends the process (`fatal`); total on any text. A path is written as
/// problems name it: `queue.first-retry`, `listener[2].address` (elements counted from 1), `trust.networks[3]`. Keys inside inline tables are not
/// told apart: they stand on the line of the table.
struct KeyLines {
  /// A mistake at which toml++ aborts instead of refusing the text, or that would be read as something else: TOMLKit ends a text at a NUL.
  struct Fatal {
    var line: Int
    /// Octets before the mistake's statement.
    var offset: Int
    var expectation: String
  }

  /// The first: a header whose name begins with what begins no key, `[!]` or `[[é]]`; a brace where an array has a value, `[1, }`; a NUL
  /// as an escape, `"a\u0000b"`.
  private(set) var fatal: Fatal?
  private var lines: [String: Int] = [:]
  private var text: [UInt8]
  private var index = 0
  private var line = 1
  private var section = ""
  private var counts: [String: Int] = [:]

  init(_ text: String) {
    self.text = Array(text.utf8)
    if self.text.starts(with: [0xEF, 0xBB, 0xBF]) { index = 3 }
    while index < self.text.count { readStatement() }
    self.text = []
  }

  /// The line of a path, or of the nearest path above it; 0 if none is known.
  func line(of path: String) -> Int {
    var rest = path[...]
    while !rest.isEmpty {
      if let line = lines[String(rest)] { return line }
      guard let end = rest.lastIndex(where: { $0 == "." || $0 == "[" }) else { return 0 }
      rest = rest[..<end]
    }
    return 0
  }

  private var byte: UInt8 { index < text.count ? text[index] : 0x0A }

  private mutating func advance() {
    if byte == 0x0A { line += 1 }
    index += 1
  }

  private mutating func readStatement() {
    switch byte {
    case 0x20, 0x09, 0x0D, 0x0A: advance()
    case 0x23: skipLine()
    case 0x5B: readHeader()
    default: readAssignment()
    }
  }

  private mutating func skipLine() {
    while index < text.count, byte != 0x0A { advance() }
  }

  private mutating func readHeader() {
    let start = line
    let offset = index
    advance()
    let isArray = byte == 0x5B
    if isArray { advance() }
    while byte == 0x20 || byte == 0x09 { advance() }
    if fatal == nil, index < text.count, !Self.beginsName(byte, isArray: isArray) {
      fatal = Fatal(line: start, offset: offset, expectation: "expected a section's name behind the bracket")
    }
    section = resolve(readKeys(until: 0x5D, from: offset), isArray: isArray)
    if lines[section] == nil { lines[section] = start }
    skipLine()
  }

  /// A bare or quoted key; or what toml++ refuses by itself: a second bracket behind a space, no key at all.
  private static func beginsName(_ byte: UInt8, isArray: Bool) -> Bool {
    switch byte {
    case 0x22, 0x27, 0x5D: true
    case 0x5B: !isArray
    default: byte.isASCIIAlphanumeric || byte == 0x2D || byte == 0x5F
    }
  }

  /// The path of a header's keys: each array of tables on the way means its last element.
  private mutating func resolve(_ keys: [String], isArray: Bool) -> String {
    var path = ""
    for (position, key) in keys.enumerated() {
      path = path.isEmpty ? key : path + "." + key
      if isArray, position == keys.count - 1 { counts[path, default: 0] += 1 }
      if let count = counts[path] {
        let list = path
        path += "[\(count)]"
        if lines[list] == nil { lines[list] = line }
      }
    }
    return path
  }

  private mutating func readAssignment() {
    let start = line
    let offset = index
    let keys = readKeys(until: 0x3D, from: offset)
    guard !keys.isEmpty else {
      skipLine()
      return
    }
    var path = section
    for key in keys {
      path = path.isEmpty ? key : path + "." + key
      if lines[path] == nil { lines[path] = start }
    }
    readValue(path, from: offset)
  }

  /// Bare and quoted keys with dots between, of the statement at `offset`, up to `end` (taken) or the end of the line.
  private mutating func readKeys(until end: UInt8, from offset: Int) -> [String] {
    var keys: [String] = []
    var key: [UInt8] = []
    while index < text.count, byte != 0x0A {
      let current = byte
      if current == end {
        advance()
        break
      }
      if current == 0x2E {
        keys.append(String(decoding: key, as: UTF8.self))
        key = []
        advance()
      } else if current == 0x22 || current == 0x27 {
        advance()
        while index < text.count, byte != current, byte != 0x0A {
          if byte == 0x5C, current == 0x22 { noteNUL(from: offset) }
          key.append(byte)
          advance()
        }
        advance()
      } else {
        if current != 0x20, current != 0x09, current != 0x0D { key.append(current) }
        advance()
      }
    }
    if !key.isEmpty || !keys.isEmpty { keys.append(String(decoding: key, as: UTF8.self)) }
    return keys
  }

  /// Skips a value, over lines where arrays and long strings go on, and notes where the elements of its outermost array begin.
  private mutating func readValue(_ path: String, from offset: Int) {
    var brackets = Brackets()
    var elements = 0
    var awaitsElement = false
    while index < text.count {
      let current = byte
      if awaitsElement, brackets.depth == 1, !Self.isBetween(current) {
        elements += 1
        lines["\(path)[\(elements)]"] = line
        awaitsElement = false
      }
      if !brackets.take(current), fatal == nil {
        fatal = Fatal(line: line, offset: offset, expectation: "expected a value or ']', not '}'")
      }
      switch current {
      case 0x0A where brackets.depth == 0:
        advance()
        return
      case 0x23: skipLine()
      case 0x22, 0x27: skipString(from: offset)
      case 0x5B, 0x7B:
        awaitsElement = current == 0x5B && brackets.depth == 1
        advance()
      case 0x2C:
        if brackets.depth == 1 { awaitsElement = true }
        advance()
      default: advance()
      }
    }
  }

  /// Space, line end, comment or the array's end: no element begins here.
  private static func isBetween(_ byte: UInt8) -> Bool {
    byte == 0x20 || byte == 0x09 || byte == 0x0D || byte == 0x0A || byte == 0x23 || byte == 0x5D
  }

  /// Whether `\u0000` or `\U00000000` stands here.
  private var isEscapedNUL: Bool {
    let rest = text[index...]
    return rest.starts(with: Array("\\u0000".utf8)) || rest.starts(with: Array("\\U00000000".utf8))
  }

  private mutating func noteNUL(from offset: Int) {
    if fatal == nil, isEscapedNUL { fatal = Fatal(line: line, offset: offset, expectation: "expected text, not a NUL") }
  }

  private mutating func skipString(from offset: Int) {
    let quote = byte
    let isLong = index + 2 < text.count && text[index + 1] == quote && text[index + 2] == quote
    for _ in 0..<(isLong ? 3 : 1) { advance() }
    while index < text.count {
      if byte == 0x5C, quote == 0x22 {
        noteNUL(from: offset)
        advance()
        advance()
      } else if byte == quote {
        guard isLong else { break }
        var run = 0
        while byte == quote, index < text.count, run < 5 {
          run += 1
          advance()
        }
        // Up to two quotes may stand before the three that end it.
        if run >= 3 { return }
      } else if byte == 0x0A, !isLong {
        return
      } else {
        advance()
      }
    }
    advance()
  }
}

/// Which brackets are open, and whether a value comes next in the innermost array.
private struct Brackets {
  private var open: [UInt8] = []
  var depth: Int { open.count }
  private var expectsValue = false

  /// False for a brace where an array has a value.
  mutating func take(_ byte: UInt8) -> Bool {
    let isArray = open.last == 0x5B
    switch byte {
    case 0x20, 0x09, 0x0D, 0x0A, 0x23: return true
    case 0x5B, 0x7B:
      open.append(byte)
      expectsValue = byte == 0x5B
    case 0x2C: expectsValue = isArray
    case 0x5D:
      _ = open.popLast()
      expectsValue = false
    case 0x7D:
      if isArray, expectsValue { return false }
      _ = open.popLast()
      expectsValue = false
    default: expectsValue = false
    }
    return true
  }
}
