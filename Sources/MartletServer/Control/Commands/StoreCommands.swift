import Bytes
import Configuration
import MailModel
import MailStore

/// `martlet store verify`
public struct VerifyStore: AdminCommand {
  public var isJSON: Bool

  public init(isJSON: Bool) { self.isJSON = isJSON }

  struct Report: Encodable {
    struct Problem: Encodable {
      var what: String
      var messages: [String]
    }

    var bodies: Int64
    var entries: Int64
    var octets: Int64
    var problems: [Problem]
    /// Problems beyond those that are told.
    var omitted: Int64
  }

  public func run(_ context: AdminContext) async throws(AdminFailure) {
    let store = context.store
    let result: Result<VerifyReport, StoreError> = try await context.output.watching { report in
      do throws(StoreError) {
        return .success(try await store.verify { report(StoreProgress.shown($0)) })
      } catch {
        return .failure(error)
      }
    }
    let report = try await context.asking { () throws(StoreError) in try result.get() }
    if isJSON {
      try await context.sayJSON(
        Report(
          bodies: report.bodies, entries: report.entries, octets: report.octets,
          problems: report.problems.map { .init(what: $0.what, messages: $0.messages.map(\.description)) },
          omitted: report.omitted))
    } else {
      try await context.say("checked \(report.bodies) bodies, \(report.entries) entries, \(ByteCount(octets: report.octets))")
      for problem in report.problems {
        let messages = problem.messages.isEmpty ? "" : ": " + problem.messages.map(\.description).joined(separator: " ")
        try await context.say("problem: \(problem.what)\(messages)")
      }
      if report.omitted > 0 { try await context.say("and \(report.omitted) more problems") }
    }
    let count = Int64(report.problems.count).addedClamped(report.omitted)
    if count > 0 { throw AdminFailure("\(count) \(count == 1 ? "problem was" : "problems were") found") }
    if !isJSON { try await context.say("no problems") }
  }
}

/// `martlet store compact`
public struct CompactStore: AdminCommand {
  public var isJSON: Bool

  public init(isJSON: Bool = false) { self.isJSON = isJSON }

  struct Report: Encodable {
    /// Octets given back.
    var freed: Int64
  }

  public func run(_ context: AdminContext) async throws(AdminFailure) {
    let store = context.store
    let result: Result<Int64, StoreError> = try await context.output.watching { report in
      do throws(StoreError) {
        return .success(try await store.compact { report(StoreProgress.shown($0)) })
      } catch {
        return .failure(error)
      }
    }
    let freed = try await context.asking { () throws(StoreError) in try result.get() }
    if isJSON { return try await context.sayJSON(Report(freed: freed)) }
    try await context.say("\(ByteCount(octets: freed)) freed")
  }
}

/// `martlet store rebuild`
public struct RebuildStore: AdminCommand {
  public init() {}

  public func run(_ context: AdminContext) async throws(AdminFailure) {
    let store = context.store
    let result: Result<Int64, StoreError> = try await context.output.watching { report in
      do throws(StoreError) {
        return .success(try await store.rebuildLookups { report(StoreProgress.shown($0)) })
      } catch {
        return .failure(error)
      }
    }
    let entries = try await context.asking { () throws(StoreError) in try result.get() }
    try await context.say("the trace's look-ups are built anew: \(entries) entries")
  }
}

enum StoreProgress {
  static func shown(_ progress: VerifyProgress) -> AdminProgress {
    let unit: AdminProgress.Unit = progress.what.hasPrefix("octets") ? .octets : .items
    let isLast = progress.total > 0 && progress.done >= progress.total
    return AdminProgress(done: progress.done, total: progress.total, unit: unit, what: progress.what, isLast: isLast)
  }
}
