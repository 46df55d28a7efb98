import InternetMessage
import MailModel
import Outside
import SASL
import Synchronization
import Testing

@testable import Identity

struct AuthenticatorTests {
  /// Keeps its jobs until they are let run, so that order and number can be seen.
  final class HeldWorker: SerialWorker {
    private let jobs = Mutex<[@Sendable () -> Void]>([])

    func submit(_ job: @escaping @Sendable () -> Void) { jobs.withLock { $0.append(job) } }
    func submit(after delay: Duration, _ job: @escaping @Sendable () -> Void) { submit(job) }

    var count: Int { jobs.withLock { $0.count } }

    /// Runs one; false if there is none.
    func runOne() -> Bool {
      guard let job = jobs.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) else { return false }
      job()
      return true
    }
  }

  /// Runs at once, and counts.
  final class CountingWorker: SerialWorker {
    private let number = Mutex(0)
    func submit(_ job: @escaping @Sendable () -> Void) {
      number.withLock { $0 += 1 }
      job()
    }
    func submit(after delay: Duration, _ job: @escaping @Sendable () -> Void) { submit(job) }
    var count: Int { number.withLock { $0 } }
  }

  final class Order: Sendable {
    private let names = Mutex<[String]>([])
    func add(_ name: String) { names.withLock { $0.append(name) } }
    var all: [String] { names.withLock { $0 } }
  }

  final class SetClock: Clock {
    private let seconds = Mutex<Int64>(1_000)
    func now() -> Timestamp { Timestamp(seconds: seconds.withLock { $0 }) }
    func monotonic() -> MonotonicInstant { MonotonicInstant(nanoseconds: UInt64(seconds.withLock { $0 }) * 1_000_000_000) }
    func advance(_ by: Int64) { seconds.withLock { $0 += by } }
  }

  struct Counting: RandomSource {
    private static let state = Atomic<UInt64>(0)
    func next() -> UInt64 { Self.state.wrappingAdd(0x9E37_79B9_7F4A_7C15, ordering: .relaxed).newValue }
  }

  private static func limits(_ change: (inout PasswordLimits) -> Void = { _ in }) -> PasswordLimits {
    var limits = PasswordLimits(memory: 64, passes: 1)
    change(&limits)
    return limits
  }

  private static func directory(password: String = "secret") throws -> DirectoryHolder {
    let hash = try PasswordHash.make(of: Array(password.utf8), random: Counting(), limits: limits())
    func account(_ id: Int64, _ local: String, hash: String, isEnabled: Bool = true) -> Account {
      Account(
        id: AccountID(rawValue: id), address: EmailAddress(localPart: local, domain: "example.test"), passwordHash: hash, quota: 0,
        isEnabled: isEnabled, created: Timestamp(seconds: 0))
    }
    let accounts = [
      account(1, "alice", hash: hash), account(2, "off", hash: hash, isEnabled: false), account(3, "none", hash: ""),
    ]
    return DirectoryHolder(
      DirectorySnapshot(
        DirectoryContents(
          domains: [Domain(name: "example.test", kind: .local), Domain(name: "relay.test", kind: .relay)], accounts: accounts,
          aliases: [])))
  }

  private static let here = IPAddress(bytes: [192, 0, 2, 1])

  @Test func `the right password of an account gets in, everything else gets the same no after the same work`() async throws {
    let worker = CountingWorker()
    let authenticator = try Authenticator(
      directory: Self.directory(), workers: [worker], random: Counting(), clock: SetClock(),
      limits: Self.limits { $0.remembered = 0 })
    func check(_ user: String, _ password: String, actsAs: String? = nil) async -> Result<Authenticator.Identity, SASLFailure> {
      await authenticator.check(user: user, password: Array(password.utf8), actsAs: actsAs, client: Self.here)
    }
    let alice = EmailAddress(localPart: "alice", domain: "example.test")
    #expect(await check("alice@example.test", "secret") == .success(.init(account: AccountID(rawValue: 1), address: alice)))
    #expect(await check("ALICE@Example.Test", "secret") == .success(.init(account: AccountID(rawValue: 1), address: alice)))
    #expect(worker.count == 2)
    let wrong = [
      ("alice@example.test", "Secret"), ("bob@example.test", "secret"), ("off@example.test", "secret"),
      ("none@example.test", "secret"),
      ("none@example.test", ""), ("alice@relay.test", "secret"), ("alice@elsewhere.test", "secret"), ("alice", "secret"),
      ("", "secret"),
      ("alice+tag@example.test", "secret"),
    ]
    for (user, password) in wrong { #expect(await check(user, password) == .failure(.badCredentials), "\(user)") }
    #expect(worker.count == 2 + wrong.count)
  }

  @Test func `HOSTILE 18: nobody acts as another; as himself by any form of his name he may`() async throws {
    let authenticator = try Authenticator(
      directory: Self.directory(), workers: [CountingWorker()], random: Counting(), clock: SetClock(), limits: Self.limits())
    func check(_ actsAs: String, _ password: String = "secret") async -> SASLFailure? {
      let result = await authenticator.check(
        user: "alice@example.test", password: Array(password.utf8), actsAs: actsAs, client: Self.here)
      if case .failure(let failure) = result { return failure }
      return nil
    }
    #expect(await check("Alice@EXAMPLE.test") == nil)
    #expect(await check("none@example.test") == .notAuthorized)
    #expect(await check("nobody@example.test") == .notAuthorized)
    #expect(await check("none@example.test", "wrong") == .badCredentials)
  }

  @Test func `a right password is remembered for ten minutes, a wrong one and one that was changed are not`() async throws {
    let (worker, clock) = (CountingWorker(), SetClock())
    let directory = try Self.directory()
    let authenticator = try Authenticator(
      directory: directory, workers: [worker], random: Counting(), clock: clock, limits: Self.limits())
    func isRight(_ password: String) async -> Bool {
      if case .success = await authenticator.check(
        user: "alice@example.test", password: Array(password.utf8), actsAs: nil, client: Self.here)
      {
        return true
      }
      return false
    }
    #expect(await isRight("secret"))
    #expect(await isRight("secret"))
    #expect(worker.count == 1)
    #expect(await !isRight("wrong"))
    #expect(await !isRight("wrong"))
    #expect(worker.count == 3)
    clock.advance(599)
    #expect(await isRight("secret"))
    #expect(worker.count == 3)
    clock.advance(1)
    #expect(await isRight("secret"))
    #expect(worker.count == 4)
    // The same password set anew has another hash.
    directory.take(try Self.directory().snapshot, number: 1)
    #expect(await isRight("secret"))
    #expect(worker.count == 5)
    directory.take(try Self.directory(password: "other").snapshot, number: 2)
    #expect(await !isRight("secret"))
    #expect(worker.count == 6)
  }

  @Test func `what is remembered is bounded, the oldest goes first, one that came again later`() {
    let clock = SetClock()
    let verified = VerifiedPasswords(secret: [1], clock: clock, limits: Self.limits { $0.remembered = 3 })
    func insert(_ id: Int64) { verified.insert(AccountID(rawValue: id), hash: "h", password: [1]) }
    func contains(_ id: Int64) -> Bool { verified.contains(AccountID(rawValue: id), hash: "h", password: [1]) }
    for id in 1...3 as ClosedRange<Int64> {
      insert(id)
      clock.advance(1)
    }
    insert(1)
    clock.advance(1)
    insert(4)
    #expect([1, 2, 3, 4].map(contains) == [true, false, true, true])
    for id in 10...5_000 as ClosedRange<Int64> { insert(id) }
    #expect(verified.count == 3)
    #expect(contains(5_000) && !contains(4))
    clock.advance(601)
    #expect(!contains(5_000))
    insert(9)
    #expect(verified.count == 1)
  }

  @Test func `HOSTILE 50: one network's 100,000 tries wait behind themselves, and a user from another is next`() async throws {
    let worker = HeldWorker()
    let pool = PasswordPool(workers: [worker], limits: Self.limits())
    let flood = PasswordPool.key(of: IPAddress(bytes: [198, 51, 100, 1]))
    let user = PasswordPool.key(of: Self.here)
    let done = Order()
    await withTaskGroup(of: Int.self) { group in
      for _ in 0..<100_000 {
        group.addTask { await pool.run(for: flood) { done.add("flood") } == nil ? 1 : 0 }
      }
      // All but those that wait, and the one that runs, are turned away at once.
      var refused = 0
      let limits = Self.limits()
      while refused < 100_000 - limits.waitingOfNetwork - 1, let one = await group.next() { refused += one }
      #expect(refused == 100_000 - limits.waitingOfNetwork - 1)
      #expect(worker.count == 1)
      group.addTask { await pool.run(for: user) { done.add("user") } == nil ? 1 : 0 }
      while true {
        if !worker.runOne() { break }
        // The user's job is handed in by a task of its own: until it is there, the flood's wait too.
        if done.all.count == 1 { try? await Task.sleep(for: .milliseconds(50)) }
      }
      for await one in group { #expect(one == 0) }
    }
    let order = done.all
    #expect(order.count == 22)
    #expect((order.firstIndex(of: "user") ?? 99) <= 3)
  }

  @Test func `more than may wait in all is told so, and room comes again`() async {
    let worker = HeldWorker()
    let pool = PasswordPool(workers: [worker], limits: Self.limits { $0.waiting = 3 })
    let answers = await withTaskGroup(of: Bool.self) { group in
      for number in 0..<10 as Range<UInt8> {
        group.addTask { await pool.run(for: PasswordPool.key(of: IPAddress(bytes: [10, 0, number, 1]))) { true } ?? false }
      }
      var answers: [Bool] = []
      while answers.count < 6, let one = await group.next() { answers.append(one) }
      while worker.runOne() {}
      for await one in group { answers.append(one) }
      return answers
    }
    #expect(answers == Array(repeating: false, count: 6) + Array(repeating: true, count: 4))
    async let late = pool.run(for: nil) { 7 }
    while !worker.runOne() { await Task.yield() }
    #expect(await late == 7)
  }

  @Test func `networks share a turn by IPv4 24 and IPv6 48`() {
    func key(_ text: String) -> PasswordPool.Key { PasswordPool.key(of: IPAddress(parsing: text.utf8)) }
    #expect(key("192.0.2.1") == key("192.0.2.200"))
    #expect(key("192.0.2.1") != key("192.0.3.1"))
    #expect(key("2001:db8:1:2::1") == key("2001:db8:1:3::1"))
    #expect(key("2001:db8:1::1") != key("2001:db8:2::1"))
    #expect(PasswordPool.key(of: nil) == nil)
  }

  @Test func `too much waiting is no wrong password`() async throws {
    let worker = HeldWorker()
    let authenticator = try Authenticator(
      directory: Self.directory(), workers: [worker], random: Counting(), clock: SetClock(),
      limits: Self.limits { $0.waitingOfNetwork = 0 })
    async let first = authenticator.check(
      user: "alice@example.test", password: Array("secret".utf8), actsAs: nil, client: Self.here)
    while worker.count == 0 { await Task.yield() }
    let second = await authenticator.check(
      user: "alice@example.test", password: Array("secret".utf8), actsAs: nil, client: Self.here)
    #expect(second == .failure(.temporary))
    _ = worker.runOne()
    if case .failure = await first { #expect(Bool(false), "the first was refused") }
  }
}
