import Logging
import NIOCore
import Outside
import Testing

@testable import MartletServer

/// Server and dialer over real sockets.
@Suite struct EchoTests {
  static func echo(_ connection: Connection) async {
    while true {
      switch await connection.receive(until: .never) {
      case .data:
        var input = connection.input
        connection.input.clear()
        connection.output.writeBuffer(&input)
        if await !connection.drain(until: .never) { return }
      case .shutdown:
        connection.output.writeString("bye\n")
        return
      case .closed, .deadline: return
      }
    }
  }

  @Test("what a client sends comes back, in pieces and in bulk", arguments: ["127.0.0.1:0", "[::1]:0"])
  func echoes(address: String) async throws {
    let loops = ServerLoops()
    let endpoint = try #require(Endpoint(address))
    let socket = try ListeningSocket.bind(endpoint)
    let listener = try await Listener.start(
      on: socket, options: ListenerOptions(name: "echo"), loops: loops, logger: Logger(label: "test"), session: Self.echo)
    let dialer = NIODialer(loops: loops)
    let task = loops.all[0].start {
      switch await dialer.connect(to: listener.endpoint, from: nil, until: SystemClock().monotonic().advanced(by: .seconds(10))) {
      case .failure(let error): Issue.record("\(error)")
      case .success(let connection):
        var wanted = 0
        for size in [1, 10, 10_000, 1_000_000] {
          connection.output.writeRepeatingByte(65, count: size)
          wanted += size
          connection.flush()
          while connection.bytesReceived < UInt64(wanted) {
            let wake = await connection.receive(until: .never)
            #expect(wake == .data)
            guard wake == .data else { break }
            connection.input.clear()
          }
        }
        #expect(connection.bytesReceived == UInt64(wanted))
        connection.close()
      }
    }
    await task.value
    await listener.stop()
    #expect(listener.counts.accepted == 1)
    #expect(listener.counts.open == 0)
    await loops.shutdown()
  }
}
