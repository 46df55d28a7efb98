import Bytes
import InternetMessage
import MailModel
import NIOCore
import Outside

/// Messages of a mailbox: append, flags, copy, move, expunge.
extension Writer {
  /// RFC 9051, 6.3.12.
  func append(_ message: AppendedMessage, _ place: BodyPlace, to id: MailboxID) throws -> UID {
    let (account, mailbox) = try mailbox(id)
    let flags = try checked(message.flags)
    let size = Int64(place.size)
    try checkQuota(account, adding: size)
    let messageID = Int64(bitPattern: ids.next().rawValue)
    try insertMessage(
      messageID, received: message.internalDate, thread: threadID(of: message.summary, message: messageID), envelope: nil,
      prefix: [],
      summary: message.summary, place)
    let entry = NewEntry(message: messageID, flags: flags, internalDate: message.internalDate, size: size, prefix: [])
    return try insert(entry, into: mailbox, of: account)
  }

  /// RFC 9051, 6.4.6; RFC 7162, 3.1.3.
  func setFlags(_ change: FlagChange, of uids: [UID], in id: MailboxID, unchangedSince: ModSeq?) throws -> FlagResult {
    let (account, mailbox) = try mailbox(id)
    var result = FlagResult(changed: [], modified: [])
    // Judged before anything is written.
    _ = try Keywords.applied(change, to: Flags(), limits)
    for uid in try ordered(uids) {
      guard let row = try stored(uid, in: id) else { continue }
      if let unchangedSince, row.modSeq > unchangedSince.rawValue {
        result.modified.append(uid)
        continue
      }
      let flags = try Keywords.applied(change, to: row.flags, limits)
      guard flags != row.flags else {
        result.changed.append(.init(uid: uid, modSeq: ModSeq(rawValue: row.modSeq), flags: flags))
        continue
      }
      touched()
      let modSeq = nextModSeq(account)
      mailbox.modSeq = modSeq
      count(row.flags, -1, in: mailbox)
      count(flags, 1, in: mailbox)
      counters.changed(mailbox)
      try database.run(
        "UPDATE entries SET flags = ?, keywords = ?, modseq = ? WHERE mailbox = ? AND uid = ?", .int(Int64(flags.system.rawValue)),
        .keywords(flags.keywords), .int(Int64(clamping: modSeq)), .int(id.rawValue), .int(Int64(uid.rawValue)))
      result.changed.append(.init(uid: uid, modSeq: ModSeq(rawValue: modSeq), flags: flags))
    }
    if mailbox.isDirty { note(mailbox, of: account) }
    return result
  }

  private func count(_ flags: Flags, _ step: Int64, in mailbox: CounterCache.MailboxState) {
    if !flags.system.contains(.seen) { mailbox.unseen = mailbox.unseen.addedClamped(step) }
    if flags.system.contains(.deleted) { mailbox.deleted = mailbox.deleted.addedClamped(step) }
  }

  /// RFC 9051, 6.4.7; RFC 6851. UIDs that are not there are passed over.
  func transfer(_ uids: [UID], from source: MailboxID, to target: MailboxID, isMove: Bool) throws -> CopyResult {
    let from = try mailbox(source)
    let to = try mailbox(target)
    return try transfer(try ordered(uids), from: from, to: to, isMove: isMove)
  }

  typealias Place = (account: CounterCache.AccountState, mailbox: CounterCache.MailboxState)

  func transfer(_ uids: [UID], from source: Place, to target: Place, isMove: Bool) throws -> CopyResult {
    let rows = try uids.compactMap { uid in try stored(uid, in: source.mailbox.id).map { (uid, $0) } }
    let octets = rows.reduce(Int64(0)) { $0.addedClamped($1.1.size) }
    if !isMove || source.account !== target.account { try checkQuota(target.account, adding: octets) }
    var result = CopyResult(uidValidity: target.mailbox.uidValidity, pairs: [])
    for (uid, row) in rows {
      let entry = NewEntry(
        message: row.message, flags: row.flags, internalDate: row.internalDate, size: row.size, prefix: row.prefix)
      let new = try insert(entry, into: target.mailbox, of: target.account)
      if isMove { try close(uid, row, in: source) }
      result.pairs.append(.init(old: uid, new: new))
      try trace(
        isMove ? .moved : .copied, of: row.message, prefix: row.prefix,
        [
          .init("from", source.mailbox.name), .init("from-uid", String(uid.rawValue)), .init("mailbox", target.mailbox.name),
          .init("uid", String(new.rawValue)),
        ])
    }
    if isMove, !rows.isEmpty { note(source.mailbox, of: source.account) }
    return result
  }

  /// RFC 9051, 6.4.3 and 6.4.9 (UID EXPUNGE).
  func expunge(_ uids: [UID]?, from id: MailboxID, force: Bool) throws -> [UID] {
    let place = try mailbox(id)
    var gone: [UID] = []
    let candidates: [UID]
    if let uids {
      candidates = try ordered(uids)
    } else {
      // Everything that is marked: few, as a rule, and the counter says how many.
      guard place.1.deleted > 0 || force else { return [] }
      candidates = try database.all(
        "SELECT uid FROM entries WHERE mailbox = ? AND (flags & 8 <> 0 OR ?) ORDER BY uid",
        [.int(id.rawValue), .int(force ? 1 : 0)]
      ) { UID(rawValue: UInt32(clamping: $0.int(0))) }
    }
    for uid in candidates {
      guard let row = try stored(uid, in: id), force || row.flags.system.contains(.deleted) else { continue }
      try close(uid, row, in: place)
      gone.append(uid)
      try trace(
        .expunged, of: row.message, prefix: row.prefix,
        [.init("mailbox", place.1.name), .init("uid", String(uid.rawValue))])
    }
    if !gone.isEmpty { note(place.1, of: place.0) }
    return gone
  }

  /// Moves an entry into the expunge log.
  private func close(_ uid: UID, _ row: StoredEntry, in place: Place) throws {
    touched()
    let modSeq = nextModSeq(place.account)
    let mailbox = place.mailbox
    mailbox.modSeq = modSeq
    mailbox.messages = mailbox.messages.subtractedClamped(1)
    mailbox.size = mailbox.size.subtractedClamped(row.size)
    count(row.flags, -1, in: mailbox)
    counters.changed(mailbox)
    charge(place.account, Int64(0).subtractedClamped(row.size))
    try database.run(
      """
      INSERT INTO closed SELECT mailbox, ?1, uid, created, ?2, message, flags, keywords, internal_date, saved_date, size, prefix
      FROM entries WHERE mailbox = ?3 AND uid = ?4
      """, .int(Int64(clamping: modSeq)), .int(now().microseconds), .int(mailbox.id.rawValue), .int(Int64(uid.rawValue)))
    try database.run("DELETE FROM entries WHERE mailbox = ? AND uid = ?", .int(mailbox.id.rawValue), .int(Int64(uid.rawValue)))
  }

  /// What a change needs to know of an entry.
  struct StoredEntry {
    var message: Int64
    var modSeq: UInt64
    var flags: Flags
    var internalDate: Timestamp
    var size: Int64
    var prefix: [UInt8]
  }

  private func stored(_ uid: UID, in mailbox: MailboxID) throws -> StoredEntry? {
    try database.first(
      "SELECT message, modseq, flags, keywords, internal_date, size, prefix FROM entries WHERE mailbox = ? AND uid = ?",
      [.int(mailbox.rawValue), .int(Int64(uid.rawValue))]
    ) { row in
      StoredEntry(
        message: row.int(0), modSeq: UInt64(clamping: row.int(1)),
        flags: Keywords.flags(system: row.int(2), keywords: row.optionalText(3)), internalDate: Timestamp(microseconds: row.int(4)),
        size: row.int(5), prefix: row.blob(6))
    }
  }

  /// Each UID once, in order; refused beyond the bound of one call.
  private func ordered(_ uids: [UID]) throws -> [UID] {
    guard uids.count <= limits.messagesPerCall else {
      throw StoreError.invalid("one call changes at most \(limits.messagesPerCall) messages")
    }
    var result: [UID] = []
    result.reserveCapacity(uids.count)
    for uid in uids.sorted() where result.last != uid { result.append(uid) }
    return result
  }
}
