import NIOCore

/// One call of a group.
///
/// `@unchecked Sendable`: it is made by the caller, handed over once under `GroupCommit`'s lock, and from then on touched only by the
/// writer, one job at a time.
class Member: @unchecked Sendable {
  enum Kind {
    /// Ends a transaction that may have been announced with `began`. Needs space.
    case accept
    /// Needs space.
    case store
    /// Frees or hardly needs space: goes on when the disk is full.
    case change
    /// Nobody waits.
    case lazy

    var needsSpace: Bool { self == .accept || self == .store }
  }

  let kind: Kind
  /// The body that comes with it.
  let body: SpooledBody?
  /// The body soon leaves again (nothing but queue entries point to it): not worth a segment.
  let isPassing: Bool
  /// Where the group put the body.
  var place: BodyPlace?
  /// Its transaction was committed.
  var wasStored = false

  init(kind: Kind, body: SpooledBody?, isPassing: Bool) {
    self.kind = kind
    self.body = body
    self.isPassing = isPassing
  }

  /// The body if it came in memory.
  var inlineBody: ByteBuffer? {
    if case .memory(let buffer)? = body?.place { buffer } else { nil }
  }

  /// Does the work inside the transaction.
  func perform(_ writer: Writer) throws {}

  /// After the sync: the result of the last `perform` goes out.
  func succeed() {}

  func fail(_ error: StoreError) {}
}

/// Where a member's body is when its transaction runs.
enum BodyPlace: Sendable {
  case inline(ByteBuffer)
  /// Written and synced.
  case segment(SegmentLocation, size: Int)

  var size: Int {
    switch self {
    case .inline(let buffer): buffer.readableBytes
    case .segment(_, let size): size
    }
  }
}

/// A member with a result.
final class Call<T: Sendable>: Member, @unchecked Sendable {
  private let operation: @Sendable (Writer, BodyPlace?) throws -> T
  private let finish: @Sendable (Result<T, StoreError>) -> Void
  private var result: T?

  init(
    kind: Kind, body: SpooledBody?, isPassing: Bool = false, operation: @escaping @Sendable (Writer, BodyPlace?) throws -> T,
    finish: @escaping @Sendable (Result<T, StoreError>) -> Void
  ) {
    self.operation = operation
    self.finish = finish
    super.init(kind: kind, body: body, isPassing: isPassing)
  }

  override func perform(_ writer: Writer) throws { result = try operation(writer, place) }

  override func succeed() {
    if let result { finish(.success(result)) } else { finish(.failure(.unavailable("the call was not run"))) }
  }

  override func fail(_ error: StoreError) { finish(.failure(error)) }
}
