import InternetMessage
import MailModel
import Outside

// How values of the model stand in blobs. Each begins with its version, so that later ones can grow.

enum EnvelopeRecord {
  static func packed(_ envelope: Envelope, _ census: BodyCensus) -> [UInt8] {
    var packer = Packer()
    packer.put(UInt64(1))
    packer.put(envelope.reversePath?.localPart)
    packer.put(envelope.reversePath?.domain)
    packer.put(UInt64(envelope.bodyType.rawValue))
    packer.put(envelope.isInternationalized)
    packer.put(envelope.requiresTLS)
    packer.put(UInt64(envelope.return.rawValue))
    packer.put(envelope.envelopeID)
    packer.put(census.size)
    packer.put(census.hasEightBitHeader)
    packer.put(census.hasEightBitBody)
    packer.put(census.isBinary)
    packer.put(census.longestLine)
    packer.put(census.hops)
    packer.put(census.hasForeignHeader)
    return packer.bytes
  }

  static func unpacked(_ bytes: [UInt8]) -> (Envelope, BodyCensus) {
    var unpacker = Unpacker(bytes)
    _ = unpacker.number()
    let local = unpacker.optionalText()
    let domain = unpacker.optionalText()
    var envelope = Envelope(reversePath: local.map { EmailAddress(localPart: $0, domain: domain ?? "") })
    envelope.bodyType = .init(rawValue: UInt8(truncatingIfNeeded: unpacker.number())) ?? .binaryMIME
    envelope.isInternationalized = unpacker.flag()
    envelope.requiresTLS = unpacker.flag()
    envelope.return = .init(rawValue: UInt8(truncatingIfNeeded: unpacker.number())) ?? .unspecified
    envelope.envelopeID = unpacker.optionalText()
    var census = BodyCensus()
    census.size = unpacker.int()
    census.hasEightBitHeader = unpacker.flag()
    census.hasEightBitBody = unpacker.flag()
    census.isBinary = unpacker.flag()
    census.longestLine = unpacker.int()
    census.hops = unpacker.int()
    // Rows of before end here, and read as false.
    census.hasForeignHeader = unpacker.flag()
    return (envelope, census)
  }
}

enum SummaryRecord {
  /// Nil for the empty summary.
  static func packed(_ summary: MessageSummary) -> [UInt8]? {
    guard summary != MessageSummary() else { return nil }
    var packer = Packer(capacity: summary.envelope.count + summary.bodyStructure.count + 512)
    packer.put(UInt64(1))
    packer.put(summary.envelope)
    packer.put(summary.bodyStructure)
    packer.put(summary.messageID)
    packer.put(UInt64(summary.references.count))
    for reference in summary.references { packer.put(reference) }
    packer.put(summary.subject)
    packer.put(summary.baseSubject)
    packer.put(summary.sentDate != nil)
    packer.put(UInt64(bitPattern: summary.sentDate ?? 0))
    packer.put(summary.from)
    packer.put(summary.preview)
    packer.put(summary.hasAttachment)
    return packer.bytes
  }

  static func unpacked(_ bytes: [UInt8]) -> MessageSummary {
    guard !bytes.isEmpty else { return MessageSummary() }
    var unpacker = Unpacker(bytes)
    _ = unpacker.number()
    var summary = MessageSummary()
    summary.envelope = unpacker.data()
    summary.bodyStructure = unpacker.data()
    summary.messageID = unpacker.optionalText()
    for _ in 0..<unpacker.count() { summary.references.append(unpacker.text()) }
    summary.subject = unpacker.text()
    summary.baseSubject = unpacker.text()
    let hasDate = unpacker.flag()
    let date = unpacker.signed()
    summary.sentDate = hasDate ? date : nil
    summary.from = unpacker.text()
    summary.preview = unpacker.text()
    summary.hasAttachment = unpacker.flag()
    return summary
  }
}

/// The row with `seq` 0: what the acceptance did, who it concerned (for look-up), and its first events.
struct AcceptanceRecord {
  var deliveries: [(mailbox: MailboxID, uid: UID)] = []
  var hadRecipients = false
  /// Sender, recipients, message id: what a trace is looked up by.
  var names: [String] = []
  var events: [TraceEvent] = []
  /// `Acceptance.origin`.
  var origin: QueueRecipientID?

  func packed() -> [UInt8] {
    var packer = Packer(capacity: 256)
    packer.put(UInt64(1))
    packer.put(UInt64(deliveries.count))
    for delivery in deliveries {
      packer.put(UInt64(bitPattern: delivery.mailbox.rawValue))
      packer.put(UInt64(delivery.uid.rawValue))
    }
    packer.put(hadRecipients)
    packer.put(UInt64(names.count))
    for name in names { packer.put(name) }
    TraceRecord.put(events, into: &packer)
    // Numbers of recipients begin at 1.
    packer.put(UInt64(bitPattern: origin?.rawValue ?? 0))
    return packer.bytes
  }

  init() {}

  /// The names alone, for who reads many.
  static func names(in bytes: [UInt8]) -> [String] {
    var unpacker = Unpacker(bytes)
    _ = unpacker.number()
    for _ in 0..<unpacker.count() {
      _ = unpacker.number()
      _ = unpacker.number()
    }
    _ = unpacker.flag()
    var names: [String] = []
    for _ in 0..<unpacker.count() where !unpacker.isBroken { names.append(unpacker.text()) }
    return names
  }

  init(_ bytes: [UInt8]) {
    var unpacker = Unpacker(bytes)
    _ = unpacker.number()
    for _ in 0..<unpacker.count() {
      let mailbox = MailboxID(rawValue: unpacker.signed())
      deliveries.append((mailbox, UID(rawValue: UInt32(truncatingIfNeeded: unpacker.number()))))
    }
    hadRecipients = unpacker.flag()
    for _ in 0..<unpacker.count() { names.append(unpacker.text()) }
    events = TraceRecord.take(from: &unpacker)
    let number = unpacker.signed()
    origin = number == 0 ? nil : QueueRecipientID(rawValue: number)
  }
}

enum TraceRecord {
  static func put(_ events: [TraceEvent], into packer: inout Packer) {
    packer.put(UInt64(events.count))
    for event in events {
      packer.put(UInt64(bitPattern: event.time.microseconds))
      packer.put(UInt64(event.kind.rawValue))
      packer.put(event.recipient)
      packer.put(UInt64(event.detail.count))
      for detail in event.detail {
        packer.put(detail.key)
        packer.put(detail.value)
      }
    }
  }

  static func take(from unpacker: inout Unpacker) -> [TraceEvent] {
    var events: [TraceEvent] = []
    for _ in 0..<unpacker.count() {
      let time = Timestamp(microseconds: unpacker.signed())
      let kind = TraceEvent.Kind(rawValue: UInt8(truncatingIfNeeded: unpacker.number())) ?? .received
      var event = TraceEvent(time: time, kind: kind, recipient: unpacker.optionalText())
      for _ in 0..<unpacker.count() {
        let key = unpacker.text()
        event.detail.append(.init(key, unpacker.text()))
      }
      guard !unpacker.isBroken else { break }
      events.append(event)
    }
    return events
  }

  static func packed(_ events: [TraceEvent]) -> [UInt8] {
    var packer = Packer(capacity: 192)
    packer.put(UInt64(1))
    put(events, into: &packer)
    return packer.bytes
  }

  static func unpacked(_ bytes: [UInt8]) -> [TraceEvent] {
    var unpacker = Unpacker(bytes)
    _ = unpacker.number()
    return take(from: &unpacker)
  }
}

/// Alias targets.
enum AddressesRecord {
  static func packed(_ addresses: [EmailAddress]) -> [UInt8] {
    var packer = Packer()
    packer.put(UInt64(addresses.count))
    for address in addresses {
      packer.put(address.localPart)
      packer.put(address.domain)
    }
    return packer.bytes
  }

  static func unpacked(_ bytes: [UInt8]) -> [EmailAddress] {
    var unpacker = Unpacker(bytes)
    var addresses: [EmailAddress] = []
    for _ in 0..<unpacker.count() {
      let local = unpacker.text()
      addresses.append(EmailAddress(localPart: local, domain: unpacker.text()))
    }
    return addresses
  }
}

/// Every kind of record at once, for who wants to know that reading is total.
package enum StoredRecords {
  /// Reads `bytes` as each; nothing but the end of it matters.
  package static func readAll(_ bytes: [UInt8]) {
    _ = EnvelopeRecord.unpacked(bytes)
    _ = SummaryRecord.unpacked(bytes)
    _ = AcceptanceRecord(bytes)
    _ = AcceptanceRecord.names(in: bytes)
    _ = TraceRecord.unpacked(bytes)
    _ = AddressesRecord.unpacked(bytes)
    _ = LogScan.lastCommit { offset, count in
      guard let start = Int(exactly: offset), start >= 0, count <= bytes.count, start <= bytes.count - count else { return nil }
      return Array(bytes[start..<start + count])
    }
  }
}
