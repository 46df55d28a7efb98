import Bytes
import MailModel
import Outside

/// Opens the database and reads what the writer must know, past damage as far as that goes.
///
/// - An index can be made again from its table (`REINDEX`), so a damaged one costs nothing but time.
/// - Where it can't be read which bodies are alive, every segment is kept and none is recycled.
/// - Where the writer's own numbers can't be read, or leases can't be reset, nothing may be written; everything that can be is still read.
struct StoreOpener {
  let options: SQLiteStore.Options
  let surroundings: SQLiteStore.Surroundings
  let lookupPosition: LookupPosition
  private(set) var damage: [String] = []
  private var hasReindexed = false

  /// What opening found.
  struct Opened {
    var writer: Writer
    var ids: QueueIDs
    /// Nil if it can't be read.
    var uses: [SegmentUse]?
    /// What is damaged, for people.
    var damage: [String]
    /// Nothing may be written.
    var isReadOnly: Bool
  }

  init(_ options: SQLiteStore.Options, _ surroundings: SQLiteStore.Surroundings, _ lookupPosition: LookupPosition) {
    self.options = options
    self.surroundings = surroundings
    self.lookupPosition = lookupPosition
  }

  mutating func open() throws -> Opened {
    let database = try Self.openDatabase(options)
    let highest = try passing("the highest queue id", database) { try Self.highestID(in: database) }
    let ids = QueueIDs(after: highest ?? QueueID(rawValue: 0), clock: surroundings.clock, random: surroundings.random)
    let uses = try passing("what the body segments hold", database) { try Self.segmentUses(in: database) }
    let totals = SegmentTotals(uses)
    let (limits, clock, position) = (options.limits, surroundings.clock, lookupPosition)
    let leavesDisk = options.isReadOnly
    var isReadOnly = highest == nil
    let made = try passing("the writer's numbers", database) {
      try Writer(
        database: database, limits: limits, clock: clock, ids: ids, totals: totals, lookupPosition: position,
        isReadOnly: leavesDisk)
    }
    isReadOnly = isReadOnly || made == nil
    let writer =
      try made
      ?? Writer(
        database: database, limits: limits, clock: clock, ids: ids, totals: totals, lookupPosition: position, isReadable: false,
        isReadOnly: leavesDisk)
    if !isReadOnly, !options.isReadOnly {
      isReadOnly =
        try passing("the queue", database) { () throws -> Bool in
          do { try writer.resetLeases() } catch {
            writer.rollback()
            throw error
          }
          return true
        } == nil
    }
    return Opened(writer: writer, ids: ids, uses: uses, damage: damage, isReadOnly: isReadOnly)
  }

  /// The result of `step`; nil if the file does not hold what it needs, even after the indices were made anew.
  private mutating func passing<T>(_ what: String, _ database: Database, _ step: () throws -> T) throws -> T? {
    do {
      return try step()
    } catch let error as SQLiteError where error.isCorrupt || error.isOfWrongType {
      if !hasReindexed {
        hasReindexed = true
        if Self.reindex(database), let result = try? step() {
          damage.append("an index of the database was damaged and has been built anew")
          return result
        }
      }
      damage.append("\(what) can't be read: \(error)")
      return nil
    }
  }

  /// Makes every index anew from its table; false if a table is damaged too.
  ///
  /// An index whose pages can't even be walked can't be emptied by `REINDEX`: its entry in the schema is struck out and made again. Its
  /// old pages stay behind, unused.
  static func reindex(_ database: Database) -> Bool {
    do {
      let indices = try database.all(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL ORDER BY name", []
      ) { (name: $0.text(0), sql: $0.text(1)) }
      let broken = indices.filter { (try? database.execute("REINDEX \($0.name)")) == nil }
      guard !broken.isEmpty else { return true }
      try database.execute("BEGIN IMMEDIATE; PRAGMA writable_schema = ON")
      for index in broken {
        try database.execute("DELETE FROM sqlite_schema WHERE type = 'index' AND name = '\(index.name)'")
      }
      try database.execute("PRAGMA writable_schema = RESET")
      for index in broken { try database.execute(index.sql) }
      try database.execute("COMMIT")
      return true
    } catch {
      if database.isInTransaction { try? database.execute("ROLLBACK") }
      try? database.execute("PRAGMA writable_schema = RESET")
      return false
    }
  }

  static func openDatabase(_ options: SQLiteStore.Options) throws -> Database {
    let database = try Database(
      path: options.database, vfs: options.vfs, isReadOnly: options.isReadOnly, cacheBytes: options.limits.cache)
    try Schema.prepare(database, isReadOnly: options.isReadOnly)
    return database
  }

  /// The highest id that a message or a trace has.
  private static func highestID(in database: Database) throws -> QueueID {
    let ids = try database.first(
      "SELECT max((SELECT ifnull(max(id), 0) FROM messages), (SELECT ifnull(max(id), 0) FROM trace))", []
    ) {
      $0.int(0)
    }
    return QueueID(rawValue: UInt64(clamping: ids ?? 0))
  }

  /// What the database points to in each segment.
  private static func segmentUses(in database: Database) throws -> [SegmentUse] {
    var uses: [SegmentUse] = []
    try database.each("SELECT segment, extents FROM messages WHERE segment IS NOT NULL ORDER BY segment", []) { row in
      let segment = UInt32(clamping: row.int(0))
      let location = SegmentLocation(segment: segment, encodedExtents: row.blob(1))
      if uses.last?.segment != segment { uses.append(SegmentUse(segment: segment, octets: 0, end: 0)) }
      uses[uses.count - 1].octets = uses[uses.count - 1].octets.addedClamped(UInt64(clamping: location?.footprint ?? 0))
      uses[uses.count - 1].end = max(uses[uses.count - 1].end, location?.end ?? 0)
      return true
    }
    return uses
  }
}
