import Bytes
import MailModel
import MailStore
import Outside

/// From the store: what is due is leased and taken in hand.
extension Scheduler {
  /// Leases what is due, as long as there is some and memory for it. At most one at a time.
  func claim() {
    confine()
    guard !isStopping else { return }
    guard !isClaiming else {
      claimsAgain = true
      return
    }
    isClaiming = true
    services.spawn { [self] in
      await claimAll()
      isClaiming = false
      if claimsAgain, jobs < settings.limits.jobs { claim() }
    }
  }

  private func claimAll() async {
    claimsAgain = false
    await recorder.flush()
    var failedToClaim = await !hastenIfSetBack()
    while !isStopping, !failedToClaim {
      guard jobs.addedClamped(notifier.waiting) < settings.limits.jobs else {
        // The end of a worker claims on.
        claimsAgain = true
        return wake(after: .seconds(1))
      }
      let now = services.clock.schedule()
      do throws(StoreError) {
        let messages = try await services.store.claimDue(
          now: now, limit: settings.limits.claim, leaseEnd: now.advanced(by: settings.times.lease))
        for message in messages { take(message, bytes: nil, isFresh: false) }
        let count = messages.reduce(0) { $0 + $1.entries.count }
        if count < settings.limits.claim { break }
      } catch {
        failedToClaim = true
        break
      }
    }
    await recorder.flush()
    if failedToClaim || recorder.isFailing { return wake(after: .seconds(5)) }
    do throws(StoreError) {
      guard let next = try await services.store.nextDue() else { return wake(after: settings.times.look) }
      wake(at: next)
    } catch {
      wake(after: .seconds(5))
    }
  }

  /// After a start, and after the schedule went back: what was put off by a clock that was ahead must not wait for it. False if the
  /// store could not do it just now.
  private func hastenIfSetBack() async -> Bool {
    let now = services.clock.schedule()
    let retry = settings.retry.maximumRetry + settings.retry.maximumRetry / 4
    let longest: Duration
    if let lastLook {
      guard now < lastLook.advanced(by: .zero - SteadyClock.tolerance) else {
        self.lastLook = now
        return true
      }
      longest = retry
    } else {
      // What was put off for another reason, as notifications are to spread them, keeps its time at a common start.
      longest = max(retry, .seconds(86_400))
    }
    do throws(StoreError) {
      while try await services.store.hasten(now: now, longest: longest) > 0 {}
      lastLook = now
      return true
    } catch {
      return false
    }
  }

  /// Looks at the queue at `time`, or when it is looked at anyway.
  func wake(at time: Timestamp) {
    let pause = time.since(services.clock.schedule())
    // Not more often than each 50 ms: what is due together is claimed together.
    wake(after: min(max(pause, .milliseconds(50)), settings.times.look))
  }

  func wake(after pause: Duration) {
    let at = services.clock.monotonic().advanced(by: pause)
    // A sleeper that wakes a little later will do.
    guard at.advanced(by: .milliseconds(50)) < wakeAt, !isStopping else { return }
    wakeAt = at
    wakes &+= 1
    let mine = wakes
    services.spawn { [self] in
      await services.sleeper.sleep(until: at)
      guard mine == wakes else { return }
      wakeAt = .never
      claim()
    }
  }
}
