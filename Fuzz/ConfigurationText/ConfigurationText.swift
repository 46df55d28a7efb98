import Outside

@testable import Configuration

/// A configuration is either read, its values in their bounds, or refused with problems that stand on lines there are. Durations and
/// sizes are what a slower reader makes of them; what has a text form reads back from it.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: start, count: count))
  let text = String(decoding: bytes, as: UTF8.self)
  let lines = bytes.reduce(1) { $1 == 0x0A ? $0 + 1 : $0 }
  do throws(ConfigurationError) {
    check(try Configuration.parse(text, file: "/etc/martlet/martlet.toml"))
  } catch {
    guard !error.problems.isEmpty else { fatalError("refused without a problem") }
    for problem in error.problems where problem.line < 0 || problem.line > lines { fatalError("line \(problem.line) of \(lines)") }
  }
  let duration = Duration(configurationText: text)
  guard duration == plainDuration(text) else { fatalError("the duration \(text)") }
  if let duration, Duration(configurationText: duration.configurationText) != duration { fatalError("\(duration)") }
  let size = ByteCount(text)
  guard size?.octets == plainSize(text) else { fatalError("the size \(text)") }
  _ = size?.description
  if let endpoint = HostAndPort.listenEndpoint(text), Endpoint(endpoint.description) != endpoint { fatalError("\(endpoint)") }
  return 0
}

private func check(_ configuration: Configuration) {
  guard HostAndPort.isDomainName(configuration.hostname), configuration.controlSocket.utf8.count <= HostAndPort.longestSocketPath,
    configuration.queue.firstRetry <= configuration.queue.maximumRetry, configuration.queue.firstRetry >= .seconds(1),
    (1...64).contains(configuration.process.eventLoops), (1...10_000).contains(configuration.delivery.concurrency),
    configuration.limits.messageSize.octets >= 0, configuration.limits.recipients >= 0,
    configuration.directory.subaddressSeparator.utf8.count <= 1
  else { fatalError("\(configuration)") }
  for listener in configuration.listeners where listener.security != .none && configuration.tls == nil { fatalError("\(listener)") }
  for route in configuration.routes where Configuration.NextHop(route.nextHop.description) != route.nextHop {
    fatalError("\(route)")
  }
}

/// Digits and one letter.
private func plainDuration(_ text: String) -> Duration? {
  let factors: [Character: Int64] = ["s": 1, "m": 60, "h": 3_600, "d": 86_400]
  guard let last = text.last, let factor = factors[last], let number = plainNumber(text.dropLast()) else { return nil }
  let (seconds, isOver) = number.multipliedReportingOverflow(by: factor)
  return isOver || seconds > 36_500 * 86_400 ? nil : .seconds(seconds)
}

/// Digits, a space or none, a unit or none.
private func plainSize(_ text: String) -> Int64? {
  let digits = text.unicodeScalars.prefix { "0123456789".unicodeScalars.contains($0) }
  guard let number = plainNumber(Substring(digits)) else { return nil }
  var unit = String(text.unicodeScalars.dropFirst(digits.count))
  if unit.unicodeScalars.first == " " { unit.unicodeScalars.removeFirst() }
  guard unit.utf8.allSatisfy({ $0 < 0x80 }) else { return nil }
  unit = unit.lowercased()
  var factor: Int64 = 1
  if !unit.isEmpty, unit != "b" {
    let isBinary = unit.utf8.count == 1 || unit.dropFirst() == "ib"
    guard let power = ["k", "m", "g", "t"].firstIndex(of: String(unit.prefix(1))), isBinary || unit.dropFirst() == "b" else {
      return nil
    }
    for _ in 0...power { factor *= isBinary ? 1_024 : 1_000 }
  }
  let (octets, isOver) = number.multipliedReportingOverflow(by: factor)
  return isOver ? nil : octets
}

/// At most 20 digits, as every number here.
private func plainNumber(_ digits: Substring) -> Int64? {
  guard (1...20).contains(digits.utf8.count), digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
  return Int64(digits)
}
