import Outside

/// When a recipient that failed is tried again: exponentially later, with jitter, never behind the end of its lifetime.
struct Backoff {
  var policy: RetryPolicy
  /// Whether what is too old may be returned.
  var returns = true

  /// The next attempt after `failures` of them (at least 1); nil when the lifetime is over and the message is to be returned.
  ///
  /// Each pause is twice the last, from `firstRetry` to `maximumRetry`, a tenth shorter or longer by chance so that what failed
  /// together does not come back together. The last attempt falls on the end of the lifetime. A message that was tried once only
  /// gets a second chance whatever the clock says (HOSTILE 59; `SteadyClock` is what keeps one that jumps from returning the queue).
  func next(failures: UInt32, received: Timestamp, now: Timestamp, random: any RandomSource) -> Timestamp? {
    let end = received.advanced(by: policy.lifetime)
    if now >= end, failures > 1, returns { return nil }
    let doublings = min(failures > 0 ? failures - 1 : 0, 30)
    let first = max(policy.firstRetry.microseconds, 1_000_000)
    let longest = max(policy.maximumRetry.microseconds, first)
    let (product, overflow) = first.multipliedReportingOverflow(by: Int64(1) << Int64(doublings))
    return paused(overflow ? longest : min(product, longest), until: end, now: now, random)
  }

  /// The next look at a message that was not tried, since its host is out of reach; nil when its lifetime is over. It waits as long again
  /// as it has waited, from `firstRetry` to `maximumRetry`.
  func nextUntried(received: Timestamp, now: Timestamp, random: any RandomSource) -> Timestamp? {
    let end = received.advanced(by: policy.lifetime)
    if now >= end, returns { return nil }
    let first = max(policy.firstRetry.microseconds, 1_000_000)
    let longest = max(policy.maximumRetry.microseconds, first)
    return paused(min(max(now.since(received).microseconds, first), longest), until: end, now: now, random)
  }

  private func paused(_ base: Int64, until end: Timestamp, now: Timestamp, _ random: any RandomSource) -> Timestamp {
    let spread = UInt64(base / 5)
    let pause = base - Int64(clamping: spread / 2) + Int64(clamping: random.next(below: spread + 1))
    let next = now.advanced(by: .microseconds(pause))
    return end > now ? min(next, end) : next
  }
}
