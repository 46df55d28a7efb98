import CLinux
import Glibc
import Outside

/// Keeps a server running: starts it with the sockets it was given, starts it again when it crashes, passes signals on.
///
/// The listening sockets stay open here, so connections that wait in a backlog survive a crash. A first crash is followed by a
/// start at once; a server that keeps dying within `steadyTime` is started after 0.25, 0.5, 1, ... 30 s, and so is one for which there
/// is no process or memory at the moment. What its threads were parsing is counted in the shared notes.
///
/// It is one thread without Swift tasks, so it must be run before any is made: `main` calls `run` and exits with its result.
public struct Supervisor {
  /// How long a server must live to count as steady.
  public static let steadyTime: Duration = .seconds(10)
  /// The longest pause before a start.
  public static let longestPause: Duration = .seconds(30)
  /// After this a server that was told to end is killed; its own limit is 10 s.
  public static let endTime: Duration = .seconds(15)

  /// The program, by default this one.
  public var executable = "/proc/self/exe"
  /// Its arguments, its name first.
  public var arguments: [String]
  /// What was asked for, and the socket that came of it.
  public var sockets: [(requested: Endpoint, socket: ListeningSocket)]
  /// For people: one line an event.
  public var report: (String) -> Void

  private let notes: SharedNotes?
  private let clock = SystemClock()

  /// Makes a supervisor of `arguments` with `sockets`.
  public init(
    arguments: [String], sockets: [(requested: Endpoint, socket: ListeningSocket)], report: @escaping (String) -> Void
  ) {
    self.arguments = arguments
    self.sockets = sockets
    self.report = report
    self.notes = SharedNotes()
  }

  /// Runs until the server ended by itself or was told to end; returns the exit status for this process.
  ///
  /// - Parameter control: readable when the supervisor shall end, for tests; -1 for none.
  public func run(control: CInt = -1) -> CInt {
    ProcessSignals.block()
    var set = ProcessSignals.set
    let signals = clinux_signalfd(&set)
    defer { close(signals) }
    var pause: Duration = .zero
    while true {
      let start = clock.monotonic()
      let process: pid_t
      switch spawn() {
      case .started(let started): process = started
      case .noRoom:
        // A full process table or no memory passes; until then the backlog keeps who connects.
        pause = Self.next(pause)
        if isEnded(within: pause, signals: signals, control: control) { return 128 + SIGTERM }
        continue
      case .failed: return 71
      }
      let (status, isEnding) = watch(process, signals: signals, control: control)
      let isCrash = clinux_exited(status) == 0 || clinux_exit_code(status) == 75
      if isEnding || !isCrash { return clinux_exited(status) != 0 ? clinux_exit_code(status) : 128 + clinux_ending_signal(status) }
      tell(status)
      let lived = clock.monotonic().since(start)
      if lived >= Self.steadyTime { pause = .zero }
      if pause > .zero {
        report("the server died after \(lived.microseconds / 1_000) ms; starting it again in \(pause.microseconds / 1_000) ms")
        if isEnded(within: pause, signals: signals, control: control) { return 128 + SIGTERM }
      }
      pause = Self.next(pause)
    }
  }

  private static func next(_ pause: Duration) -> Duration { pause == .zero ? .milliseconds(250) : min(pause * 2, longestPause) }

  private func tell(_ status: CInt) {
    let signal = clinux_ending_signal(status)
    report(signal == 0 ? "the server ended with status \(clinux_exit_code(status))" : "the server crashed with signal \(signal)")
    for digest in notes?.takeCrash() ?? [] {
      report("quarantined, since it was being parsed at two crashes: unit \(String(digest, radix: 16))")
    }
  }

  // MARK: The child

  private enum Spawned {
    case started(pid_t)
    /// No process can be made now (`EAGAIN`, `ENOMEM`).
    case noRoom
    case failed
  }

  private func spawn() -> Spawned {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    var kept: [CInt] = sockets.map { $0.socket.descriptor }
    if let notes { kept.append(notes.descriptor) }
    // Duplicating a descriptor onto itself clears its close-on-exec in the child only.
    for descriptor in kept { posix_spawn_file_actions_adddup2(&actions, descriptor, descriptor) }
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    sigemptyset(&none)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
    var process = pid_t()
    let status = withStrings(arguments) { argv in
      withStrings(environment) { envp in posix_spawn(&process, executable, &actions, &attributes, argv, envp) }
    }
    guard status == 0 else {
      report("can't start the server: \(String(cString: strerror(status)))")
      return status == EAGAIN || status == ENOMEM ? .noRoom : .failed
    }
    return .started(process)
  }

  private var environment: [String] {
    var variables: [String] = []
    var index = 0
    while let entry = environ[index] {
      variables.append(String(cString: entry))
      index += 1
    }
    variables.removeAll { $0.hasPrefix("\(Inheritance.variable)=") }
    variables.append("\(Inheritance.variable)=\(Inheritance(sockets: sockets, notes: notes?.descriptor).text)")
    // Printing a back trace takes seconds in which nothing is served.
    if !variables.contains(where: { $0.hasPrefix("SWIFT_BACKTRACE=") }) { variables.append("SWIFT_BACKTRACE=enable=no") }
    return variables
  }

  private func withStrings<R>(_ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> R) -> R {
    var pointers: [UnsafeMutablePointer<CChar>?] = strings.map { (string: String) in strdup(string) }
    pointers.append(nil)
    defer { for pointer in pointers { free(pointer) } }
    return body(pointers)
  }

  // MARK: Waiting

  /// Waits for the child's end; passes signals on meanwhile.
  private func watch(_ process: pid_t, signals: CInt, control: CInt) -> (status: CInt, isEnding: Bool) {
    let child = clinux_pidfd(process)
    defer { close(child) }
    var isEnding = false
    var killTime = MonotonicInstant.never
    while true {
      var status: CInt = 0
      if waitpid(process, &status, WNOHANG) == process { return (status, isEnding) }
      switch wait(child, signals: signals, control: isEnding ? -1 : control, until: killTime) {
      case .some(.terminate):
        if !isEnding { killTime = clock.monotonic().advanced(by: Self.endTime) }
        isEnding = true
        kill(process, SIGTERM)
      case .some(.reload): kill(process, SIGHUP)
      case nil: if clock.monotonic() >= killTime { kill(process, SIGKILL) }
      }
    }
  }

  /// Whether the supervisor was told to end while it paused.
  private func isEnded(within pause: Duration, signals: CInt, control: CInt) -> Bool {
    let end = clock.monotonic().advanced(by: pause)
    while clock.monotonic() < end {
      if wait(-1, signals: signals, control: control, until: end) == .terminate { return true }
    }
    return false
  }

  /// Waits for whatever comes first; nil if it was the child, or the time.
  private func wait(_ child: CInt, signals: CInt, control: CInt, until: MonotonicInstant) -> ProcessSignal? {
    let descriptors = [child, signals, control]
    var polled = descriptors.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
    // Without a pidfd (an old kernel) the child is looked at each 50 ms.
    let left = until == .never ? Int64.max : until.since(clock.monotonic()).microseconds / 1_000 + 1
    let time = child < 0 ? min(left, 50) : left
    guard poll(&polled, nfds_t(polled.count), time > 3_600_000 ? -1 : CInt(time)) > 0 else { return nil }
    if polled[1].revents != 0 { return ProcessSignal(clinux_read_signal(signals)) }
    if polled[2].revents != 0 { return .terminate }
    return nil
  }
}
