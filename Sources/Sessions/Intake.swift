import InternetMessage
import MailModel
import MailStore
import NIOCore
import Outside

/// A message on its way in: its bytes go to the spool, and once past the observer, as they come. Chunks (BDAT) share one.
final class Intake {
  let spool: any BodySpool
  var observer: MessageObserver
  let started: MonotonicInstant
  let receivedBefore: UInt64
  /// The store could not take it, or it is in quarantine; the rest is thrown away and the reply says why.
  var failure: StoreError?
  private var share: ContentShare
  private let notes: any ParsingNotes
  /// Who sent it and how it begins: what the notes know it by.
  private var unit = ParsingUnit()
  private var isNamed = false

  init(
    spool: any BodySpool, limits: MessageLimits, memory: ContentMemory, notes: any ParsingNotes, client: String,
    started: MonotonicInstant, receivedBefore: UInt64
  ) {
    self.spool = spool
    self.share = ContentShare(of: memory)
    self.notes = notes
    unit.add(client)
    self.observer = MessageObserver(limits: limits)
    self.started = started
    self.receivedBefore = receivedBefore
  }

  func take(_ bytes: ByteBuffer) async {
    guard failure == nil else { return }
    guard observe(bytes) else {
      failure = .unavailable("a message that begins like this one brought the server down twice: it is in quarantine")
      return spool.discard()
    }
    guard share.hold(observer.heldOctets) else {
      failure = .full
      observer = MessageObserver()
      return spool.discard()
    }
    do throws(StoreError) {
      try await spool.append(bytes)
    } catch {
      failure = error
      spool.discard()
    }
  }

  /// Parses the bytes, noted so that what brings the process down twice is not parsed a third time.
  private func observe(_ bytes: ByteBuffer) -> Bool {
    if !isNamed {
      isNamed = true
      bytes.withUnsafeReadableBytes { unit.add(UnsafeRawBufferPointer(rebasing: $0.prefix(512))) }
    }
    guard notes.begin(unit) else { return false }
    defer { notes.end() }
    observer.observe(bytes)
    return true
  }

  /// What was seen; nil for a message in quarantine.
  func observation() -> MessageObservation? {
    guard notes.begin(unit) else { return nil }
    defer { notes.end() }
    return observer.finish()
  }
}
