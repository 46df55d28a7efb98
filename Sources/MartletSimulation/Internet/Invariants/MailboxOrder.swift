/// UIDs only grow and are never used again, and modification sequences only grow, over crashes and power cuts too (RFC 9051, 2.3.1.1;
/// RFC 7162, 3.1.1).
///
/// `MailReader` looks for it whenever it reads a mailbox and at each change that the store tells of.
enum MailboxOrder {
  static let name = "UID and MODSEQ order"
}
