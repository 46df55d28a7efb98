import Bytes
import MailModel
import Outside

/// Answers as the trace has them: what a route was decided by then (`RouteEvidence.records`). What it has not is not there.
struct RecordedResolver: Resolver {
  private var addresses: [DNSQuestion: DNSAnswer] = [:]
  private var exchangers: [[UInt8]] = []
  private var status = DNSAnswer.Status.success
  private var canonical: String?
  private let security: DNSAnswer.Security

  /// - Parameters:
  ///   - records: the `dns` of an event: `MX 10 mx1.example.org; A mx1.example.org 192.0.2.1`.
  ///   - dnssec: its `dnssec`.
  init(records: String, dnssec: String?) {
    switch dnssec {
    case "secure": security = .secure
    case "bogus": security = .bogus
    default: security = .insecure
    }
    for record in records.split(separator: ";") {
      let words = record.split(separator: " ").map(String.init)
      guard words.count >= 2 else { continue }
      switch words[0] {
      case "MX": takeExchanger(words)
      case "A": takeAddresses(words, .a)
      case "AAAA": takeAddresses(words, .aaaa)
      case "CNAME" where words.count == 3: canonical = words[2]
      default: break
      }
    }
  }

  private mutating func takeExchanger(_ words: [String]) {
    // `MX 10 mx.example.org`, `MX example.org NXDOMAIN`, `MX example.org failed: why`, `MX example.org 0 .`
    if let preference = UInt16(words[1]), words.count == 3 { return exchangers.append(Self.record(preference, words[2])) }
    guard words.count > 2 else { return }
    switch words[2] {
    case "NXDOMAIN": status = .noSuchName
    case "failed:": status = .failure(words.dropFirst(3).joined(separator: " "))
    default:
      if words.count == 4, words[3] == ".", let preference = UInt16(words[2]) { exchangers.append(Self.record(preference, "")) }
    }
  }

  private mutating func takeAddresses(_ words: [String], _ type: DNSRecordType) {
    let question = DNSQuestion(words[1].asciiLowercased, type)
    var answer = DNSAnswer(status: .success, security: security, canonicalName: words[1], timeToLive: 60)
    if words.count > 2, words[2] == "failed:" {
      answer.status = .failure(words.dropFirst(3).joined(separator: " "))
    } else {
      answer.records = words.dropFirst(2).compactMap { IPAddress(parsing: $0.utf8)?.bytes }
    }
    addresses[question] = answer
  }

  /// RDATA of an MX record (RFC 1035, 3.3.9).
  private static func record(_ preference: UInt16, _ exchange: String) -> [UInt8] {
    var bytes = [UInt8(truncatingIfNeeded: preference >> 8), UInt8(truncatingIfNeeded: preference)]
    for label in exchange.utf8.split(separator: 0x2E) {
      let label = label.prefix(63)
      bytes.append(UInt8(truncatingIfNeeded: label.count))
      bytes.append(contentsOf: label)
    }
    bytes.append(0)
    return bytes
  }

  func resolve(_ question: DNSQuestion) async -> DNSAnswer {
    if question.type == .mx {
      return DNSAnswer(
        status: status, security: security, canonicalName: canonical ?? question.name, records: exchangers, timeToLive: 60)
    }
    return addresses[question] ?? DNSAnswer(status: .success, security: security, canonicalName: question.name, timeToLive: 60)
  }
}
