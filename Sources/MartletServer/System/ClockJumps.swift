import Logging
import Outside

extension SteadyClock.Event {
  /// Says to the postmaster what the clock did, and what follows.
  func log(to log: Logger) {
    switch self {
    case .jumped(let step):
      log.error(
        "the system's clock jumped: retries, lifetimes and retention keep their old course for a day; set the clock right",
        metadata: ["by": "\(step.components.seconds)s"])
    case .returned: log.notice("the system's clock is back on its course")
    case .believed(let step):
      log.error(
        "the system's clock is believed from now on, a day after it jumped", metadata: ["by": "\(step.components.seconds)s"])
    }
  }
}
