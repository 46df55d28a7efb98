// swift-tools-version: 6.1
import PackageDescription

// A target is a folder under Sources/ and depends only on targets of lower floors (docs/architecture.md); a test
// holds the `import` lines against that table.

let nio = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let posix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let log = Target.Dependency.product(name: "Logging", package: "swift-log")
let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")

/// `MARTLET_TESTS=SMTPTests,BytesTests` builds those test targets only, while one works on them.
let wantedTests = Context.environment["MARTLET_TESTS"]?.split(separator: ",").map(String.init)

let package = Package(
  name: "martlet",
  products: [.executable(name: "martlet", targets: ["martlet"])],
  dependencies: [
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/LebJe/TOMLKit", from: "0.6.0"),
  ],
  targets: [
    // Floor 0: C libraries of the system, bytes, and what comes from the world.
    .systemLibrary(name: "CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),
    .systemLibrary(name: "CUnbound", providers: [.apt(["libunbound-dev"])]),
    .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
    .systemLibrary(name: "CIDN2", pkgConfig: "libidn2", providers: [.apt(["libidn2-dev"])]),
    .systemLibrary(name: "CArgon2", pkgConfig: "libargon2", providers: [.apt(["libargon2-dev"])]),
    .target(name: "CLinux"),
    .target(name: "Bytes", dependencies: [nio]),
    .target(name: "Outside", dependencies: ["Bytes", nio]),

    // Floor 1: pure values.
    .target(name: "InternetMessage", dependencies: ["Bytes", "Outside", "CIDN2", nio]),
    .target(name: "DNSTypes", dependencies: ["Bytes", "Outside"]),
    .target(name: "SASL", dependencies: ["Bytes", "COpenSSL"]),
    .target(name: "MailModel", dependencies: ["Bytes", "Outside", "InternetMessage"]),
    .target(name: "Configuration", dependencies: ["Bytes", "Outside", "TOMLKit"]),

    // Floor 2: protocols.
    .target(name: "SMTP", dependencies: ["Bytes", "Outside", "InternetMessage", "MailModel", "SASL", nio]),
    .target(name: "MessageAuthentication", dependencies: ["Bytes", "Outside", "InternetMessage", "DNSTypes", "COpenSSL"]),

    // Floor 3: durable state.
    .target(name: "MailStore", dependencies: ["Bytes", "Outside", "InternetMessage", "MailModel", "CSQLite"]),

    // Floor 4: what the server decides.
    .target(
      name: "Identity",
      dependencies: ["Bytes", "Outside", "InternetMessage", "SASL", "MailModel", "MailStore", "Configuration", "CArgon2"]),
    .target(
      name: "Routing",
      dependencies: ["Bytes", "Outside", "InternetMessage", "DNSTypes", "MailModel", "MailStore", "Configuration"]),
    .target(name: "Overload", dependencies: ["Bytes", "Outside", "Configuration"]),
    .target(
      name: "Reception",
      dependencies: [
        "Bytes", "Outside", "InternetMessage", "MailModel", "SMTP", "MailStore", "Configuration", "Identity", "Routing", "Overload",
        log,
      ]),
    .target(
      name: "Delivery",
      dependencies: [
        "Bytes", "Outside", "InternetMessage", "DNSTypes", "MailModel", "SMTP", "MailStore", "Configuration", "Routing", "Overload",
        log,
      ]),

    // Floor 5: conversation meets decision.
    .target(
      name: "Sessions",
      dependencies: [
        "Bytes", "Outside", "InternetMessage", "SASL", "MailModel", "SMTP", "MailStore", "Configuration", "Identity", "Overload",
        "Reception",
        "Delivery", nio, log,
      ]),

    // Floor 6: sockets and threads; or their simulation.
    .target(
      name: "MartletServer",
      dependencies: [
        "Bytes", "Outside", "InternetMessage", "DNSTypes", "MailModel", "SMTP", "MailStore", "Configuration", "Identity", "Routing",
        "Overload", "Reception", "Delivery", "Sessions", "CLinux", "COpenSSL", "CUnbound", nio, posix, log,
      ]),
    .target(
      name: "MartletSimulation",
      dependencies: [
        "Bytes", "Outside", "InternetMessage", "DNSTypes", "MailModel", "SMTP", "MailStore", "Configuration", "Identity", "Routing",
        "Overload", "Reception", "Delivery", "Sessions", "CSQLite", nio, log,
      ]),

    // Floor 7: the command line.
    .executableTarget(
      name: "martlet",
      dependencies: [
        "Bytes", "Outside", "InternetMessage", "MailModel", "SMTP", "MailStore", "Configuration", "Identity", "Routing",
        "Reception",
        "Delivery", "Sessions", "MartletServer", "MartletSimulation", arguments, log,
      ]),

    // Tests: vectors, conformance, simulation. (The shape of the tree: Tests/ArchitectureTests; end to end: Tests/EndToEnd. In Python.)
    .testTarget(name: "BytesTests", dependencies: ["Bytes"]),
    .testTarget(name: "OutsideTests", dependencies: ["Outside", "Bytes", nio]),
    .testTarget(name: "InternetMessageTests", dependencies: ["InternetMessage", "Bytes", "Outside", nio]),
    .testTarget(name: "DNSTypesTests", dependencies: ["DNSTypes", "Bytes", "Outside"]),
    .testTarget(name: "SASLTests", dependencies: ["SASL", "Bytes"]),
    .testTarget(name: "MailModelTests", dependencies: ["MailModel", "InternetMessage", "Outside"]),
    .testTarget(name: "ConfigurationTests", dependencies: ["Configuration", "Outside"]),
    .testTarget(name: "SMTPTests", dependencies: ["SMTP", "SASL", "Bytes", "InternetMessage", "MailModel", "Outside", nio]),
    .testTarget(
      name: "MessageAuthenticationTests",
      dependencies: ["MessageAuthentication", "Bytes", "DNSTypes", "InternetMessage", "Outside"]),
    .testTarget(
      name: "MailStoreTests",
      dependencies: ["MailStore", "MailModel", "InternetMessage", "Outside", "Bytes", "MartletSimulation", nio]),
    .testTarget(
      name: "IdentityTests",
      dependencies: ["Identity", "SASL", "MailModel", "InternetMessage", "MailStore", "Configuration", "Outside"]),
    .testTarget(
      name: "RoutingTests", dependencies: ["Routing", "DNSTypes", "MailModel", "InternetMessage", "Configuration", "Outside"]),
    .testTarget(name: "OverloadTests", dependencies: ["Overload", "Outside"]),
    .testTarget(
      name: "ReceptionTests",
      dependencies: [
        "Reception", "SMTP", "MailModel", "InternetMessage", "MailStore", "Configuration", "Identity", "Routing", "Overload",
        "Outside",
      ]),
    .testTarget(
      name: "DeliveryTests",
      dependencies: [
        "Delivery", "SMTP", "DNSTypes", "MailModel", "InternetMessage", "MailStore", "Configuration", "Routing", "Outside",
        "MartletSimulation", nio,
      ]),
    .testTarget(
      name: "SessionsTests",
      dependencies: [
        "Sessions", "SMTP", "MailModel", "InternetMessage", "MailStore", "Configuration", "Reception", "Identity", "Routing",
        "Overload", "Outside", "MartletSimulation", nio,
      ]),
    .testTarget(
      name: "MartletServerTests",
      dependencies: [
        "MartletServer", "Outside", "Bytes", "InternetMessage", "MailModel", "MailStore", "Configuration", "SMTP", "Overload",
        "Delivery",
        "Sessions", nio, posix, log,
        .product(name: "NIOEmbedded", package: "swift-nio"),
      ]),
    .testTarget(
      name: "SimulationTests",
      dependencies: ["MartletSimulation", "MailStore", "MailModel", "InternetMessage", "Outside", "Bytes", "CSQLite", nio]),
  ]
)

// What is small and generic in one target is worth inlining into another.
for target in package.targets where target.type == .regular || target.type == .executable {
  target.swiftSettings = [.unsafeFlags(["-cross-module-optimization"], .when(configuration: .release))]
}

if let wantedTests {
  package.targets.removeAll { $0.type == .test && !wantedTests.contains($0.name) }
}

// `Fuzz/run` builds these with libFuzzer and the address sanitizer in everything, and links them: they are no part of the package.
if Context.environment["MARTLET_FUZZ"] != nil {
  package.targets.removeAll { $0.type == .test }
  // A parser need not be public to be fuzzed (`@testable import`).
  for target in package.targets where target.type == .regular { target.swiftSettings = [.unsafeFlags(["-enable-testing"])] }
  let parsers = [
    "AddressList", "Codecs", "DataDecoder", "DNSRecords", "EmailAddress", "EncodedWord", "IPAddress", "MailDate", "MessageObserver",
    "Parameters", "ProxyHeader", "SevenBitDowngrade", "SMTPClient", "SMTPCommand", "SMTPConversation", "SMTPReply", "StoreNames",
    "StoreRecords",
  ]
  var targets: [String: [Target.Dependency]] = [
    "ConfigurationText": ["Configuration", "Outside"],
    "ControlFrame": ["MartletServer", nio],
    "DKIM": ["MessageAuthentication", "Bytes", "DNSTypes", "Outside"],
    "LogLine": ["MartletServer"],
    "NextHop": ["Routing", "Configuration"],
    "SASL": ["SASL"],
    "Notification": ["Delivery", "InternetMessage", "MailModel", "Outside"],
  ]
  for name in parsers {
    targets[name] = ["Bytes", "Outside", "InternetMessage", "MailModel", "SMTP", "DNSTypes", "MailStore", nio]
  }
  for (name, dependencies) in targets.sorted(by: { $0.key < $1.key }) {
    package.targets.append(.target(name: "Fuzz\(name)", dependencies: dependencies, path: "Fuzz/\(name)"))
    package.products.append(.library(name: "Fuzz\(name)", type: .static, targets: ["Fuzz\(name)"]))
  }
}
