import MailModel

@testable import MailStore

/// Names of mailboxes and keywords: what is kept is within its bounds, is kept as it is when it is given again, and reads back from the
/// form in which it stands in the database.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let text = String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self)
  let limits = StoreLimits()
  if let name = try? MailboxName.checked(text, limits) {
    guard (try? MailboxName.checked(name, limits))?.utf8.elementsEqual(name.utf8) == true else {
      fatalError("\(name.debugDescription) twice")
    }
    let levels = name.split(separator: "/", omittingEmptySubsequences: false)
    guard name.utf8.count <= limits.mailboxName, levels.count <= limits.mailboxLevels,
      levels.allSatisfy({ (1...limits.mailboxLevel).contains($0.utf8.count) && $0 != "." && $0 != ".." })
    else { fatalError("\(name.debugDescription) is out of bounds") }
    for scalar in name.unicodeScalars where scalar.value < 0x20 || scalar.value == 0x7F { fatalError("a control character") }
    for parent in MailboxName.parents(of: name) {
      guard (try? MailboxName.checked(parent, limits)) == parent else { fatalError("the parent \(parent.debugDescription)") }
    }
  }
  let words = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
  if let keywords = try? Keywords.checked(words, limits) {
    guard (try? Keywords.checked(keywords.reversed(), limits)) == keywords, keywords.count <= limits.keywords else {
      fatalError("\(keywords) twice")
    }
    let stored = Keywords.flags(system: 0, keywords: keywords.isEmpty ? nil : keywords.joined(separator: " "))
    guard stored.keywords == keywords else { fatalError("\(keywords) became \(stored.keywords)") }
    let lower = Set(keywords.map { $0.lowercased() })
    guard lower.count == keywords.count, lower == Set(words.map { $0.lowercased() }) else {
      fatalError("\(words) became \(keywords)")
    }
  }
  return 0
}
