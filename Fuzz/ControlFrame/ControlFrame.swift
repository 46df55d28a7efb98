import NIOCore

@testable import MartletServer

/// Frames of the control socket: the same whatever the cut, and what was read is written so that it reads as the same.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: start, count: count))
  let whole = frames(bytes, pieces: [max(count, 1)])
  let cut = frames(bytes, pieces: [1, 7, 2, 50])
  guard whole.frames == cut.frames, whole.isBroken == cut.isBroken else { fatalError("the cut changes what is read") }
  var wire = ByteBuffer()
  for frame in whole.frames { frame.write(to: &wire) }
  let again = frames(Array(buffer: wire), pieces: [max(wire.readableBytes, 1)])
  guard again.frames == whole.frames, !again.isBroken else { fatalError("what was written is not what was read") }
  return 0
}

private func frames(_ bytes: [UInt8], pieces: [Int]) -> (frames: [ControlFrame], isBroken: Bool) {
  var input = ByteBuffer()
  var rest = bytes[...]
  var found: [ControlFrame] = []
  var turn = 0
  while !rest.isEmpty {
    let piece = pieces[turn % pieces.count]
    turn += 1
    input.writeBytes(rest.prefix(piece))
    rest = rest.dropFirst(piece)
    do {
      while let frame = try ControlFrame.take(from: &input) { found.append(frame) }
    } catch {
      return (found, true)
    }
  }
  return (found, false)
}
