import NIOCore
import Outside
import Testing

@testable import MartletServer

struct ControlFrameTests {
  private static let frames: [ControlFrame] = [
    .request(.init(words: ["domain", "add", "b\u{FC}cher.test", "\n\u{0}"], timeZone: "Europe/Zurich")),
    .input(Array("secret".utf8)), .input([]),
    .endOfInput, .text(Array("line\n".utf8), .output), .text([0xFF, 0x00], .error),
    .progress(AdminProgress(done: 5, total: 9, unit: .octets, what: "messages", isLast: true)), .file(.folder(path: "cur")),
    .file(.begin(path: "cur/1", modified: Timestamp(seconds: 5))), .file(.begin(path: "x", modified: nil)),
    .file(.data([1, 2, 3])), .file(.end),
    .exit(code: 64, message: "no such account"), .exit(code: 0, message: ""),
  ]

  @Test("frames come back as they were sent, however they are cut")
  func roundTrip() throws {
    var whole = ByteBuffer()
    for frame in Self.frames { frame.write(to: &whole) }
    for size in [1, 2, 3, 7, 64, whole.readableBytes] {
      var incoming = ByteBuffer()
      var rest = whole
      var found: [ControlFrame] = []
      while rest.readableBytes > 0 {
        guard var piece = rest.readSlice(length: min(size, rest.readableBytes)) else { break }
        incoming.writeBuffer(&piece)
        while let frame = try ControlFrame.take(from: &incoming) { found.append(frame) }
      }
      #expect(found == Self.frames)
      #expect(incoming.readableBytes == 0)
    }
  }

  @Test("a payload over the bound is cut into frames that mean the same")
  func longPayload() throws {
    var buffer = ByteBuffer()
    let bytes = [UInt8](repeating: 0x61, count: ControlFrame.longest * 2 + 5)
    ControlFrame.file(.data(bytes)).write(to: &buffer)
    var joined: [UInt8] = []
    while case .file(.data(let piece)) = try ControlFrame.take(from: &buffer) { joined += piece }
    #expect(joined == bytes)
  }

  @Test(
    "a frame that is too long, unknown or broken is an error",
    arguments: [
      [1, 0xFF, 0xFF, 0xFF, 0xFF], [1, 0, 0x10, 0, 1], [0, 0, 0, 0, 0], [99, 0, 0, 0, 0], [1, 0, 0, 0, 1, 0x7B],
      [18, 0, 0, 0, 2, 0x5B, 0x5D],
      [20, 0, 0, 0, 2, 0x7B, 0x7D],
    ] as [[UInt8]])
  func broken(bytes: [UInt8]) {
    var buffer = ByteBuffer(bytes: bytes)
    #expect(throws: ControlFrame.Problem.self) { _ = try ControlFrame.take(from: &buffer) }
  }

  @Test("any bytes are frames, an error, or too few; never a trap")
  func anyBytes() {
    var state: UInt64 = 42
    for _ in 0..<20_000 {
      var bytes: [UInt8] = []
      for _ in 0..<12 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        bytes.append(UInt8(truncatingIfNeeded: state >> 33) & (bytes.count == 1 ? 1 : 0xFF))
      }
      bytes[0] %= 25
      var buffer = ByteBuffer(bytes: bytes)
      while let _ = try? ControlFrame.take(from: &buffer) {}
    }
  }

  @Test("credentials of a next hop don't reach the log")
  func redacted() {
    #expect(
      ControlSession.shown(["queue", "reroute", "--to", "smtp://me:se@cret@host:25"]) == "queue reroute --to smtp://...@host:25")
    #expect(ControlSession.shown(["a\u{1B}[2J", "smtp://host"]) == "a\\x1b[2J smtp://host")
  }
}
