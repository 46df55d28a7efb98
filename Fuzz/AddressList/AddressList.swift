import InternetMessage

/// A list is never longer than its text allows, its groups are closed, and an address in it is one that the strict parser reads.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: start, count: count))
  let list = AddressList(parsing: bytes, limit: 100)
  var isOpen = false
  for item in list.items {
    switch item.kind {
    case .groupStart:
      guard !isOpen else { fatalError("a group in a group") }
      isOpen = true
    case .groupEnd:
      guard isOpen else { fatalError("a group ends that has not begun") }
      isOpen = false
    case .mailbox: _ = item.address
    }
  }
  guard !isOpen, list.items.count <= 101 else { fatalError("\(list.items.count) items") }
  _ = MessageIDs.parse(bytes, limit: 10)
  _ = MessageIDs.single(bytes)
  _ = HeaderField(parsing: bytes)
  return 0
}
