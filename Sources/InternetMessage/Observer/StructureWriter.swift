import Bytes

/// Writes the part table as IMAP's BODYSTRUCTURE (RFC 9051, 7.5.2; RFC 3501, 7.4.2): one walk down the table with a stack of
/// what is open.
struct StructureWriter {
  private let rows: [PartRow]
  private let arena: [UInt8]
  private var output: [UInt8] = []
  private var open: [Int] = []
  /// Whether the multipart that is open has a part.
  private var hasChild: [Bool] = []

  static func write(_ table: PartTable) -> [UInt8] {
    var writer = StructureWriter(rows: table.rows, arena: table.arena)
    writer.output.reserveCapacity(256)
    for row in table.rows.indices { writer.begin(row) }
    writer.close(downTo: 0)
    return writer.output
  }

  private init(rows: [PartRow], arena: [UInt8]) {
    self.rows = rows
    self.arena = arena
  }

  private mutating func begin(_ row: Int) {
    let part = rows[row].part
    close(downTo: part.depth)
    if !hasChild.isEmpty { hasChild[hasChild.count - 1] = true }
    switch part.kind {
    case .multipart:
      output.append(0x28)
      push(row)
    case .message:
      front(row)
      WireString.append(part.bodyEnd - part.bodyStart, to: &output)
      output.append(0x20)
      if row + 1 < rows.count, let envelope = rows[row + 1].envelope {
        output += arena[envelope]
      } else {
        WireString.append(EnvelopeFields.empty, to: &output)
      }
      output.append(0x20)
      push(row)
    case .text, .leaf:
      front(row)
      WireString.append(part.bodyEnd - part.bodyStart, to: &output)
      // Over the budget it is described as application, which has no lines.
      if part.kind == .text, rows[row].front != nil {
        output.append(0x20)
        WireString.append(part.lines, to: &output)
      }
      back(row)
    }
  }

  private mutating func push(_ row: Int) {
    open.append(row)
    hasChild.append(false)
  }

  /// Ends the parts that are at `depth` or deeper.
  private mutating func close(downTo depth: Int) {
    while let row = open.last, rows[row].part.depth >= depth {
      open.removeLast()
      let isEmpty = hasChild.popLast() == false
      // A multipart without a part, and a message without a row, still need a body.
      if isEmpty { WireString.append("(\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" 0 0)", to: &output) }
      if rows[row].part.kind == .message {
        output.append(0x20)
        WireString.append(rows[row].part.lines, to: &output)
      }
      back(row)
    }
  }

  private mutating func front(_ row: Int) {
    guard let front = rows[row].front else {
      let isMessage = rows[row].part.kind == .message
      WireString.append(isMessage ? "(\"MESSAGE\" \"RFC822\"" : "(\"APPLICATION\" \"OCTET-STREAM\"", to: &output)
      WireString.append(" NIL NIL NIL \"7BIT\" ", to: &output)
      return
    }
    output += arena[front]
  }

  private mutating func back(_ row: Int) {
    if let back = rows[row].back {
      output += arena[back]
    } else if rows[row].part.kind == .multipart {
      WireString.append(" \"MIXED\")", to: &output)
    } else {
      WireString.append(")", to: &output)
    }
  }
}
