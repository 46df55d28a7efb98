import Bytes
import NIOCore

/// Watches a message stream past, once, and knows at its end what mailboxes show and next hops must offer.
///
/// Total and linear: every input gives an observation, each octet is looked at a bounded number of times, and what is kept is
/// bounded by `MessageLimits` whatever the message is. How the message is cut into pieces changes nothing in the result.
/// Nothing is recursive: MIME parts are rows of a flat table.
///
///     var observer = MessageObserver()
///     observer.observe(piece)   // as often as pieces come
///     if let problem = observer.problem { ... }   // 552 5.3.4
///     let observation = observer.finish()
public struct MessageObserver: Sendable {
  private enum Mode: Hashable {
    case header
    case body
    /// A budget is broken, or parts are at their limit: octets and lines are counted, and no more.
    case counting
  }

  let limits: MessageLimits
  private var mode = Mode.header
  private var census = BodyCensus()
  var facts = HeaderFacts()
  /// Set as soon as the header breaks a budget.
  public internal(set) var problem: HeaderProblem?
  var ambiguities: Ambiguities = []
  var ambiguityCount = 0
  var table = PartTable()
  var header = HeaderState(isMessage: true)
  var summary = MessageSummary()

  /// The first text, as it came, and which row's it is.
  var preview: [UInt8] = []
  var previewRow: Int?
  var previewIsHTML = false
  var previewCharset: [UInt8] = []

  /// Whether what is beyond ASCII in the header is UTF-8.
  private var headerText = UTF8Scan()
  /// Whether the message's own header is being read.
  private var isTopHeader = true
  /// The line that is being read, if it began in an earlier piece: its first octets.
  private var carry: [UInt8] = []
  /// Octets of it, kept or not.
  private var carried = 0
  private var lastByte: UInt8 = 0
  private var lineStart = 0
  private var lines = 0
  private var lastLineEnd = 0
  private var carriageReturns = 0
  private var pairs = 0

  public init(limits: MessageLimits = .init()) {
    self.limits = limits
    table.begin(inside: -1, at: 0)
  }

  /// Whether the message's own header is complete: `facts` will not change any more but for `received`.
  public var hasHeader: Bool { !isTopHeader }

  /// Octets of memory that it holds of the message, about. Bounded by `limits`, and the sum of many may be bounded by it.
  public var heldOctets: Int {
    let parts = table.rows.count &* MemoryLayout<PartRow>.stride &+ table.arena.count
    return carry.count &+ header.field.count &+ header.keptOctets &+ summaryOctets &+ preview.count &+ parts
  }

  /// What the finished header left in `summary`.
  private var summaryOctets: Int { summary.envelope.count &+ summary.references.count &* 64 }

  /// Takes the next piece.
  public mutating func observe(_ buffer: ByteBuffer) {
    buffer.withUnsafeReadableBytes { observe($0) }
  }

  /// Takes the next piece.
  public mutating func observe(_ bytes: UnsafeRawBufferPointer) {
    guard let last = bytes.last else { return }
    let headerWasOpen = isTopHeader
    var headerEnd = headerWasOpen ? bytes.count : 0
    var start = 0
    while start < bytes.count {
      guard let end = ByteScan.firstIndex(of: 0x0A, in: bytes, from: start) else {
        hold(UnsafeRawBufferPointer(rebasing: bytes[start...]))
        break
      }
      endLine(UnsafeRawBufferPointer(rebasing: bytes[start...end]))
      start = end + 1
      if headerWasOpen, headerEnd == bytes.count, !isTopHeader { headerEnd = facts.hasNoHeader ? 0 : start }
    }
    lastByte = last
    count(UnsafeRawBufferPointer(rebasing: bytes[..<headerEnd]), isHeader: true)
    count(UnsafeRawBufferPointer(rebasing: bytes[headerEnd...]), isHeader: false)
  }

  private mutating func count(_ bytes: UnsafeRawBufferPointer, isHeader: Bool) {
    let found = ByteScan.census(bytes)
    if found.hasEightBit { if isHeader { census.hasEightBitHeader = true } else { census.hasEightBitBody = true } }
    if isHeader, found.hasEightBit || headerText.isOpen { headerText.take(bytes) }
    if found.hasNUL { census.isBinary = true }
    carriageReturns &+= found.carriageReturns
    census.size = census.size.addedClamped(bytes.count)
  }

  // MARK: Lines

  /// How much of a line must be kept until its end is known.
  private var carryLimit: Int {
    switch mode {
    case .header: limits.fieldOctets.addedClamped(2)
    case .body: max(limits.boundaryOctets.addedClamped(8), previewRow == nil ? 0 : limits.previewOctets)
    case .counting: 0
    }
  }

  private mutating func hold(_ piece: UnsafeRawBufferPointer) {
    carried = carried.addedClamped(piece.count)
    let room = carryLimit - carry.count
    if room > 0 { carry += piece.prefix(room) }
    // A field without end is refused before its end.
    guard isTopHeader, mode == .header, carried > limits.fieldOctets, !beginsWithText else { return }
    if header.octets == 0, carry.withUnsafeBytes({ startsWithoutHeader($0) }) {
      beginsWithText = true
      return
    }
    if carry.first?.isASCIIBlank != true { endField() }
    if mode == .header { breakBudget(.fieldTooLong(limit: limits.fieldOctets)) }
  }

  /// The first line, longer than a field may be and without an end yet, is none: not asked again with each piece of it.
  private var beginsWithText = false

  private mutating func endLine(_ piece: UnsafeRawBufferPointer) {
    let length = carried.addedClamped(piece.count)
    let before = piece.count >= 2 ? piece[piece.count - 2] : carried > 0 ? lastByte : 0
    let lineEnd = before == 0x0D ? 2 : 1
    if lineEnd == 2 { pairs &+= 1 } else { census.isBinary = true }
    census.longestLine = max(census.longestLine, length - lineEnd)
    if carried == 0 {
      take(piece, lineEnd: lineEnd, length: length)
    } else {
      hold(piece)
      takeCarry(lineEnd: lineEnd)
    }
    lines &+= 1
    lineStart = lineStart.addedClamped(length)
    lastLineEnd = lineEnd
  }

  private mutating func takeCarry(lineEnd: Int) {
    let line = carry
    let length = carried
    carry = []
    carried = 0
    line.withUnsafeBytes { take($0, lineEnd: lineEnd, length: length) }
  }

  /// One line with its end, `length` octets of which `line` has the first.
  private mutating func take(_ line: UnsafeRawBufferPointer, lineEnd: Int, length: Int) {
    switch mode {
    case .counting: return
    case .body: takeBody(line, length: length)
    case .header:
      if isTopHeader, header.octets == 0, startsWithoutHeader(line) {
        facts.hasNoHeader = true
        note(.noHeader)
        endHeader(bodyStart: 0, linesBefore: lines, isCut: false)
        takeBody(line, length: length)
      } else {
        takeHeader(line, lineEnd: lineEnd, length: length)
      }
    }
  }

  /// Whether a first line is neither a field, nor empty, nor the `From ` of an mbox.
  private func startsWithoutHeader(_ line: UnsafeRawBufferPointer) -> Bool {
    // No more than what `hold` has of a line without end, so that pieces don't matter.
    let text = UnsafeRawBufferPointer(rebasing: line.prefix(min(1_024, limits.fieldOctets)))
    guard let first = text.first, first != 0x0D, first != 0x0A else { return false }
    if HeaderField.isMailboxLine(text) { return false }
    return HeaderField.colon(in: text) == nil
  }

  private mutating func takeBody(_ line: UnsafeRawBufferPointer, length: Int) {
    if !table.multiparts.isEmpty, let delimiter = table.delimiter(line) {
      takeBoundary(delimiter, nextOffset: lineStart.addedClamped(length))
      return
    }
    if let row = previewRow, row == table.current {
      let room = limits.previewOctets - preview.count
      if room > 0 { preview += line.prefix(room) }
    } else if isInEpilogue, line.contains(where: { !$0.isASCIIBlank && $0 != 0x0D && $0 != 0x0A }) {
      note(.epilogue)
      isInEpilogue = false
    }
  }

  /// Behind a final boundary, where nothing but another one should come.
  private var isInEpilogue = false

  // MARK: Headers

  private mutating func takeHeader(_ line: UnsafeRawBufferPointer, lineEnd: Int, length: Int) {
    if length == lineEnd {
      header.octets = header.octets.addedClamped(length)
      endField()
      guard mode == .header else { return }
      endHeader(bodyStart: lineStart.addedClamped(length), linesBefore: lines.addedClamped(1), isCut: false)
      return
    }
    if !table.multiparts.isEmpty, let delimiter = table.delimiter(line) {
      note(.headerEndedByBoundary)
      endField()
      endHeader(bodyStart: lineStart, linesBefore: lines, isCut: true)
      takeBoundary(delimiter, nextOffset: lineStart.addedClamped(length))
      return
    }
    if line.first?.isASCIIBlank == true {
      if header.field.isEmpty { note(.malformedField) }
    } else {
      endField()
    }
    guard mode == .header else { return }
    header.octets = header.octets.addedClamped(length)
    if header.field.count.addedClamped(length) > limits.fieldOctets {
      breakBudget(.fieldTooLong(limit: limits.fieldOctets))
    } else if header.octets > limits.headerOctets {
      breakBudget(.headerTooLong(limit: limits.headerOctets))
    } else if !header.isOverBudget {
      header.field += line
    }
  }

  private mutating func endField() {
    guard !header.field.isEmpty else { return }
    // Taken out and given back empty, so that the next field needs no new array.
    var field: [UInt8] = []
    swap(&field, &header.field)
    header.fieldCount += 1
    guard header.fieldCount <= limits.fields else {
      breakBudget(.tooManyFields(limit: limits.fields))
      return
    }
    read(field, isTop: isTopHeader)
    field.removeAll(keepingCapacity: true)
    swap(&field, &header.field)
  }

  /// Over a budget: the message is refused if it is its own header, else the part's header is read no further.
  private mutating func breakBudget(_ broken: HeaderProblem) {
    header.field = []
    guard isTopHeader else {
      if !header.isOverBudget { note(.partHeaderTooLong) }
      header.isOverBudget = true
      return
    }
    problem = broken
    finishTopHeader()
    isTopHeader = false
    mode = .counting
    carry = []
  }

  mutating func note(_ ambiguity: Ambiguities) {
    ambiguities.insert(ambiguity)
    ambiguityCount = ambiguityCount.addedClamped(1)
  }

  private mutating func endHeader(bodyStart: Int, linesBefore: Int, isCut: Bool) {
    if isTopHeader {
      facts.headerOctets = bodyStart
      finishTopHeader()
      isTopHeader = false
    }
    let row = table.current
    table.update(row) {
      $0.part.bodyStart = bodyStart
      $0.part.bodyEnd = bodyStart
      $0.linesBefore = linesBefore
    }
    mode = .body
    isInEpilogue = false
    if describe(row, isCut: isCut) {
      // A message inside: its header begins at once.
      table.begin(inside: row, at: bodyStart)
      header = HeaderState(isMessage: true)
      mode = .header
    }
  }

  private mutating func takeBoundary(_ delimiter: (index: Int, isFinal: Bool), nextOffset: Int) {
    guard delimiter.isFinal || table.rows.count < limits.parts else {
      // What follows belongs to the last part.
      note(.tooManyParts)
      mode = .counting
      return
    }
    let parent = delimiter.index < table.multiparts.count ? table.multiparts[delimiter.index].row : 0
    let end = PartTable.End(offset: lineStart, lines: lines, lineEnd: lastLineEnd)
    let unfinished = table.close(insideOf: delimiter.index, isFinal: delimiter.isFinal, at: end)
    for _ in 0..<unfinished { note(.missingFinalBoundary) }
    isInEpilogue = delimiter.isFinal
    mode = .body
    guard !delimiter.isFinal else { return }
    table.begin(inside: parent, at: nextOffset)
    header = HeaderState(isMessage: false)
    mode = .header
  }

  // MARK: End

  /// The end of the message. Nothing may be observed after it.
  public mutating func finish() -> MessageObservation {
    if carried > 0 {
      census.longestLine = max(census.longestLine, carried)
      let length = carried
      takeCarry(lineEnd: 0)
      lineStart = lineStart.addedClamped(length)
    }
    if mode == .header {
      endField()
      if mode == .header { endHeader(bodyStart: census.size, linesBefore: lines, isCut: true) }
    }
    let end = PartTable.End(offset: census.size, lines: lines, lineEnd: 0)
    for _ in 0..<table.closeAll(at: end) { note(.missingFinalBoundary) }
    census.hasForeignHeader = census.hasEightBitHeader && !facts.hasNoHeader && !headerText.isValid
    if facts.hasNoHeader, census.hasEightBitHeader {
      census.hasEightBitHeader = false
      census.hasEightBitBody = true
    }
    if problem != nil {
      // Where a refused header would have ended nobody knows.
      let hasEightBit = census.hasEightBitHeader || census.hasEightBitBody
      census.hasEightBitHeader = hasEightBit
      census.hasEightBitBody = hasEightBit
      census.hasForeignHeader = hasEightBit
    }
    // A line end in SMTP is CR and LF together; each alone is data that only BINARYMIME carries (RFC 5321, 2.3.8).
    if carriageReturns != pairs { census.isBinary = true }
    census.hops = facts.received
    finishSummary()
    return MessageObservation(
      census: census, summary: summary, facts: facts, problem: problem, ambiguities: ambiguities, ambiguityCount: ambiguityCount,
      parts: table.parts)
  }
}
