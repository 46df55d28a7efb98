import Configuration
import Delivery
import MailStore
import Overload
import SMTP
import Sessions
import Testing

@testable import MartletServer

/// `docs/limits.md` is made from the types, the server runs by the configuration: both must say the same.
@Suite("Defaults")
struct DefaultsTests {
  private let configuration = Configuration(hostname: "mx.example.test")

  @Test("what the configuration leaves at its default is the default of the limit")
  func limits() {
    #expect(Settings.smtp(configuration.limits) == SMTPLimits())
    #expect(Settings.session(configuration) == SessionLimits())
    #expect(Settings.overload(configuration) == OverloadLimits())
    #expect(Settings.store(configuration).limits == StoreLimits())
    let delivery = Settings.delivery(configuration)
    #expect(delivery.limits == DeliveryLimits())
    #expect(delivery.times == DeliveryTimes())
    #expect(delivery.retry == RetryPolicy())
    #expect(Settings.reception(configuration).hops == 50)
  }
}
