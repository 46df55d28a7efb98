import Bytes

/// What the observer does with fields: the first of each counts everywhere, others are noted.
extension MessageObserver {
  /// Reads one field, with its continuations.
  mutating func read(_ field: [UInt8], isTop: Bool) {
    guard let colon = HeaderField.colon(in: field) else {
      // The line that mbox puts before a message is no field of it.
      if !field.withUnsafeBytes({ HeaderField.isMailboxLine($0) }) { note(.malformedField) }
      return
    }
    if isTop { facts.fields += 1 }
    var end = colon
    while end > 0, field[end - 1].isASCIIBlank { end -= 1 }
    guard let known = HeaderState.known(field[..<end]) else { return }
    let value = field[(colon + 1)...]
    if readContentField(known, value) { return }
    if isTop { countField(known, value) }
    guard header.isMessage else { return }
    switch known {
    case .date: keep(value, in: \.envelope.date)
    case .subject: keep(value, in: \.envelope.subject)
    case .from: keep(value, in: \.envelope.from)
    case .sender: keep(value, in: \.envelope.sender)
    case .replyTo: keep(value, in: \.envelope.replyTo)
    case .to: keep(value, in: \.envelope.to)
    case .cc: keep(value, in: \.envelope.cc)
    case .bcc: keep(value, in: \.envelope.bcc)
    case .inReplyTo: keep(value, in: \.envelope.inReplyTo)
    case .messageID: keep(value, in: \.envelope.messageID)
    case .references: if isTop { keep(value, in: \.references) }
    default: break
    }
  }

  private mutating func readContentField(_ known: HeaderState.Known, _ value: ArraySlice<UInt8>) -> Bool {
    switch known {
    case .contentType: keepContent(value, in: \.contentType)
    case .contentEncoding: keepContent(value, in: \.encoding)
    case .contentDisposition: keepContent(value, in: \.disposition)
    case .contentID: keepContent(value, in: \.id)
    case .contentDescription: keepContent(value, in: \.description)
    case .contentLanguage: keepContent(value, in: \.language)
    case .contentLocation: keepContent(value, in: \.location)
    case .contentMD5: keepContent(value, in: \.md5)
    default: return false
    }
    return true
  }

  private mutating func keepContent(_ value: ArraySlice<UInt8>, in slot: WritableKeyPath<HeaderState, [UInt8]?>) {
    guard header[keyPath: slot] == nil else { return note(.repeatedContentField) }
    let unfolded = HeaderField.unfold(value)
    header.keptOctets &+= unfolded.count
    header[keyPath: slot] = unfolded
  }

  private mutating func keep(_ value: ArraySlice<UInt8>, in slot: WritableKeyPath<HeaderState, [UInt8]?>) {
    guard header[keyPath: slot] == nil else { return note(.repeatedField) }
    let unfolded = HeaderField.unfold(value)
    header.keptOctets &+= unfolded.count
    header[keyPath: slot] = unfolded
  }

  private mutating func countField(_ known: HeaderState.Known, _ value: ArraySlice<UInt8>) {
    switch known {
    case .from: facts.from += 1
    case .sender: facts.sender += 1
    case .replyTo: facts.replyTo += 1
    case .to: facts.to += 1
    case .cc: facts.cc += 1
    case .bcc: facts.bcc += 1
    case .date: facts.date += 1
    case .messageID: facts.messageID += 1
    case .subject: facts.subject += 1
    case .inReplyTo: facts.inReplyTo += 1
    case .references: facts.references += 1
    case .mimeVersion: facts.mimeVersion += 1
    case .received: facts.received += 1
    case .resent: facts.isResent = true
    case .deliveredTo:
      if facts.deliveredTo.count < 100 {
        facts.deliveredTo.append(String(decoding: HeaderField.unfold(value.prefix(512)), as: UTF8.self))
      }
    default: break
    }
  }

  // MARK: The message's own header

  /// What the summary and the facts take from it.
  mutating func finishTopHeader() {
    var envelope: [UInt8] = []
    envelope.reserveCapacity(512)
    let list = header.envelope.write(limit: limits.addresses, to: &envelope)
    summary.envelope = envelope
    if let list {
      let mailboxes = list.mailboxes
      facts.fromAddresses = mailboxes.count
      facts.fromHasGroup = list.items.contains { $0.kind == .groupStart }
      if facts.from == 1, mailboxes.count == 1, let address = mailboxes.first?.address, !address.isAddressLiteral {
        facts.fromDomain = address.asciiDomain
      }
      if let first = mailboxes.first { summary.from = Self.forPeople(first) }
    }
    if let id = header.envelope.messageID { summary.messageID = MessageIDs.single(id) }
    var references = header.references.map { MessageIDs.parse($0, limit: limits.references) } ?? []
    if let value = header.envelope.inReplyTo {
      for id in MessageIDs.parse(value, limit: 10) where !references.contains(id) { references.append(id) }
    }
    if references.count > limits.references, limits.references > 0 {
      references = references.prefix(1) + references.suffix(limits.references - 1)
    }
    summary.references = references
    if let subject = header.envelope.subject {
      summary.subject = Self.cut(EncodedWord.decode(subject), octets: 1_000)
      summary.baseSubject = BaseSubject.of(summary.subject)
    }
    if let date = header.envelope.date { summary.sentDate = MailDate(parsing: date)?.seconds }
  }

  /// `Name <address>`, decoded.
  private static func forPeople(_ item: AddressList.Item) -> String {
    let address = EncodedWord.clean(
      String(decoding: item.localPart + (item.domain.isEmpty ? [] : [0x40] + item.domain), as: UTF8.self))
    guard !item.name.isEmpty else { return cut(address, octets: 1_000) }
    return cut("\(EncodedWord.decode(item.name)) <\(address)>", octets: 1_000)
  }

  /// At most so many octets, not cut inside a character.
  private static func cut(_ text: String, octets: Int) -> String {
    guard text.utf8.count > octets else { return text }
    var end = text.utf8.index(text.utf8.startIndex, offsetBy: octets)
    while end > text.utf8.startIndex, end.samePosition(in: text.unicodeScalars) == nil { end = text.utf8.index(before: end) }
    return String(text[..<end])
  }

  // MARK: Parts

  /// Decides what the part at `row` is by its header, and renders it. True if it is a message to be looked into.
  mutating func describe(_ row: Int, isCut: Bool) -> Bool {
    let parent = row < table.rows.count ? table.rows[row].part.parent : -1
    let isInDigest = !header.isMessage && table.multiparts.last { $0.row == parent }?.isDigest == true
    let description = PartDescription(header, isInDigest: isInDigest)
    for ambiguity in description.ambiguities { note(ambiguity) }
    let kind = kind(of: description, row: row, isCut: isCut)
    let isOpaque = kind == .leaf && (description.isMultipart || description.isMessage)
    render(row, description, isOpaque: isOpaque)
    let isAttachment = description.isAttachment || isOpaque
    if isAttachment { summary.hasAttachment = true }
    table.update(row) {
      $0.part.kind = kind
      $0.part.type = description.contentType.type
      $0.part.subtype = description.contentType.subtype
      $0.part.encoding = description.encoding
      $0.part.isAttachment = isAttachment
    }
    if kind == .text, !isAttachment { considerPreview(row, description) }
    return kind == .message
  }

  private mutating func kind(of description: PartDescription, row: Int, isCut: Bool) -> MessagePart.Kind {
    guard description.isMultipart || description.isMessage else { return description.isText ? .text : .leaf }
    if isCut { return .leaf }
    if description.isEncoded {
      note(.encodedMultipart)
      return .leaf
    }
    guard table.depth(of: row) < limits.depth else {
      note(.tooDeep)
      return .leaf
    }
    if description.isMessage {
      guard table.rows.count < limits.parts else {
        note(.tooManyParts)
        return .leaf
      }
      return .message
    }
    var boundary = description.contentType.parameters["boundary"] ?? []
    // RFC 2046, 5.1.1: a boundary does not end in blanks.
    while let last = boundary.last, last.isASCIIBlank { boundary.removeLast() }
    guard !boundary.isEmpty, boundary.count <= limits.boundaryOctets else {
      note(.badBoundary)
      return .leaf
    }
    if table.overlaps(boundary) { note(.overlappingBoundary) }
    table.openMultipart(.init(row: row, boundary: boundary, isDigest: description.contentType.subtype == "digest"))
    return .multipart
  }

  private mutating func render(_ row: Int, _ description: PartDescription, isOpaque: Bool) {
    if header.isMessage, row > 0, table.arena.count < limits.structureOctets {
      var text: [UInt8] = []
      _ = header.envelope.write(limit: limits.addresses, to: &text)
      if text.count <= limits.structureOctets - table.arena.count {
        let range = table.arena.count..<(table.arena.count + text.count)
        table.arena += text
        table.update(row) { $0.envelope = range }
      }
    }
    let start = table.arena.count
    guard start < limits.structureOctets else { return }
    description.writeFront(header, isOpaque: isOpaque, to: &table.arena)
    let middle = table.arena.count
    description.writeBack(header, isOpaque: isOpaque, to: &table.arena)
    let end = table.arena.count
    guard end <= limits.structureOctets else {
      table.arena.removeLast(end - start)
      return
    }
    table.update(row) {
      $0.front = start..<middle
      $0.back = middle..<end
    }
  }

  /// Plain text is better than HTML, and the first better than a later one.
  private mutating func considerPreview(_ row: Int, _ description: PartDescription) {
    let subtype = description.contentType.subtype
    guard subtype == "plain" || subtype == "html", previewRow == nil || (previewIsHTML && subtype == "plain") else { return }
    previewRow = row
    previewIsHTML = subtype == "html"
    previewCharset = description.contentType.parameters["charset"] ?? []
    preview.removeAll(keepingCapacity: true)
  }

  mutating func finishSummary() {
    summary.bodyStructure = StructureWriter.write(table)
    if let row = previewRow, row < table.rows.count {
      summary.preview = Preview.text(
        of: preview, encoding: table.rows[row].part.encoding, charset: Charset(previewCharset), isHTML: previewIsHTML)
    }
  }
}
