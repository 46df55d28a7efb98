import Bytes

/// A row of the part table while the message streams.
struct PartRow: Sendable {
  var part: MessagePart
  /// Line ends in the whole message before the body of this part.
  var linesBefore = 0
  /// Its description, rendered: before its size, and behind everything. Nil: over the budget.
  var front: Range<Int>?
  var back: Range<Int>?
  /// The envelope of a message that this row begins.
  var envelope: Range<Int>?
}

/// The parts of a message as a flat table in the order of the message, with the few that are open. Nothing here is recursive,
/// and a part stands always behind the one that holds it.
struct PartTable: Sendable {
  /// A multipart whose final boundary has not come.
  struct OpenMultipart: Sendable {
    var row: Int
    var boundary: [UInt8]
    /// `multipart/digest`, whose parts are messages by default (RFC 2046, 5.1.5).
    var isDigest: Bool
  }

  private(set) var rows: [PartRow] = []
  /// Rendered descriptions, one behind the other.
  var arena: [UInt8] = []
  private(set) var multiparts: [OpenMultipart] = []
  /// Rows whose end is not known, each inside the one before.
  private(set) var open: [Int] = []

  /// The row that is being read.
  var current: Int { open.last ?? 0 }

  var parts: [MessagePart] { rows.map(\.part) }

  func depth(of row: Int) -> Int { row < rows.count ? rows[row].part.depth : 0 }

  /// Begins a part inside `parent` (-1 for the message itself).
  mutating func begin(inside parent: Int, at offset: Int) {
    let depth = parent >= 0 && parent < rows.count ? rows[parent].part.depth + 1 : 0
    let part = MessagePart(
      parent: parent, depth: depth, kind: .text, type: "text", subtype: "plain", encoding: .sevenBit, isAttachment: false,
      headerStart: offset, bodyStart: offset, bodyEnd: offset, lines: 0)
    open.append(rows.count)
    rows.append(PartRow(part: part))
  }

  mutating func update(_ row: Int, _ change: (inout PartRow) -> Void) {
    guard row >= 0, row < rows.count else { return }
    change(&rows[row])
  }

  mutating func openMultipart(_ multipart: OpenMultipart) { multiparts.append(multipart) }

  /// Whether `boundary` is open, or begins an open one, or an open one begins it.
  func overlaps(_ boundary: [UInt8]) -> Bool {
    boundary.withUnsafeBytes { bytes in
      multiparts.contains { other in
        other.boundary.count <= boundary.count
          ? ByteScan.has(other.boundary, at: 0, of: bytes)
          : other.boundary.withUnsafeBytes { ByteScan.has(boundary, at: 0, of: $0) }
      }
    }
  }

  /// The open multipart that `line` delimits: the longest boundary that it begins with, the innermost of equals
  /// (RFC 2046, 5.1.1: the beginning of the line decides), and whether it is the final one.
  func delimiter(_ line: UnsafeRawBufferPointer) -> (index: Int, isFinal: Bool)? {
    guard line.count > 2, line[0] == 0x2D, line[1] == 0x2D else { return nil }
    var found: Int?
    var longest = 0
    var index = multiparts.count
    while index > 0 {
      index -= 1
      let boundary = multiparts[index].boundary
      if boundary.count > longest, ByteScan.has(boundary, at: 2, of: line) {
        found = index
        longest = boundary.count
      }
    }
    guard let found else { return nil }
    let end = longest + 2
    return (found, line.count >= end + 2 && line[end] == 0x2D && line[end + 1] == 0x2D)
  }

  /// Ends every part inside the multipart at `index`, and forgets the boundaries inside it (and its own, if `isFinal`). How many
  /// multiparts ended without their final boundary.
  mutating func close(insideOf index: Int, isFinal: Bool, at end: End) -> Int {
    guard index >= 0, index < multiparts.count else { return 0 }
    let row = multiparts[index].row
    while let last = open.last, last != row { closeLast(last, at: end) }
    let unfinished = multiparts.count - index - 1
    multiparts.removeLast(isFinal ? unfinished + 1 : unfinished)
    return unfinished
  }

  /// Ends everything.
  mutating func closeAll(at end: End) -> Int {
    while let last = open.last { closeLast(last, at: end) }
    let unfinished = multiparts.count
    multiparts = []
    return unfinished
  }

  /// Where a body ends: the offset and line ends before the line that ends it, and the length of the last of them, which
  /// belongs to the boundary (0 at the end of the message).
  struct End {
    var offset: Int
    var lines: Int
    var lineEnd: Int
  }

  private mutating func closeLast(_ row: Int, at end: End) {
    open.removeLast()
    guard row < rows.count else { return }
    let start = rows[row].part.bodyStart
    let hasContent = end.offset > start
    rows[row].part.bodyEnd = hasContent ? max(end.offset - end.lineEnd, start) : start
    let lines = end.lines - rows[row].linesBefore - (end.lineEnd > 0 ? 1 : 0)
    rows[row].part.lines = hasContent ? max(lines, 0) : 0
  }
}
