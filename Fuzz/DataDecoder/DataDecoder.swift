import NIOCore
import SMTP

private struct Decoded: Equatable {
  var bytes: [UInt8] = []
  var outcome: DataOutcome?
  var rest = 0
}

private func decode(_ pieces: [ArraySlice<UInt8>], _ decoder: DataDecoder) -> Decoded {
  var decoder = decoder
  var input = ByteBuffer()
  var decoded = Decoded()
  for piece in pieces {
    input.writeBytes(piece)
    reading: while decoded.outcome == nil {
      switch decoder.next(from: &input) {
      case .bytes(let part): decoded.bytes.append(contentsOf: part.readableBytesView)
      case .needsInput: break reading
      case .ended(let outcome): decoded.outcome = outcome
      }
    }
  }
  decoded.rest = input.readableBytes
  return decoded
}

/// A body is decoded the same however it was cut; one without defects holds no bare CR or LF and no final dot.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: start, count: count))
  guard bytes.count > 2 else { return 0 }
  var limits = SMTPLimits()
  limits.messageSize = 4_096
  limits.bodyLine = 100
  limits.overrun = 1_024
  let text = bytes.dropFirst(2)
  let cut = text.startIndex + Int(bytes[0]) % (text.count + 1)
  let octets = UInt64(bytes[1])
  let decoders = [
    DataDecoder.dotStuffed(limits: limits), .chunk(octets: octets, isBinary: false, after: DataOutcome(), limits: limits),
    .chunk(octets: octets, isBinary: true, after: DataOutcome(), limits: limits), .discarding(octets: octets, limits: limits),
  ]
  for (number, decoder) in decoders.enumerated() {
    let whole = decode([text], decoder)
    let inTwo = decode([text[..<cut], text[cut...]], decoder)
    // Before a defect is met, how much was given may depend on the cut; what a good body is may not. Where reading was given up
    // (the connection ends then), what is left in the input may depend on it, too.
    let isGivenUp = whole.outcome?.defects.contains(.overrun) ?? true
    guard whole.outcome == inTwo.outcome, isGivenUp || whole.rest == inTwo.rest else {
      fatalError("decoder \(number), cut at \(cut): \(whole) against \(inTwo)")
    }
    guard let outcome = whole.outcome, outcome.defects.isEmpty else { continue }
    // What is discarded is counted, not given.
    guard whole.bytes == inTwo.bytes, number == 3 || outcome.octets == UInt64(whole.bytes.count) else {
      fatalError("decoder \(number): bytes differ")
    }
    if number == 0, hasBareLineEnd(whole.bytes) { fatalError("a bare CR or LF came through") }
  }
  return 0
}

private func hasBareLineEnd(_ bytes: [UInt8]) -> Bool {
  bytes.indices.contains { index in
    switch bytes[index] {
    case 0x0D: index + 1 >= bytes.count || bytes[index + 1] != 0x0A
    case 0x0A: index == 0 || bytes[index - 1] != 0x0D
    default: false
    }
  }
}
