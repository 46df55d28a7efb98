import Bytes
import DNSTypes
import Outside

@testable import MessageAuthentication

let key = try? DKIMPrivateKey(ed25519: [UInt8](repeating: 7, count: 32))
let record = key?.record.map { Array($0.text.utf8) } ?? []

/// Signatures, records and PEM are read or refused; a message's verdicts and the hashes of its body are the same however it is cut; what
/// is signed passes, in each canonicalization; a record that is read is written so that it reads the same.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: start, count: count))
  let cut = bytes.first.map { min(Int($0), bytes.count) } ?? 0
  _ = try? DKIMSignature(parsing: bytes)
  if bytes.starts(with: Array("-----BEGIN".utf8)) { _ = try? DKIMPrivateKey(pem: bytes) }
  if let read = try? DKIMKeyRecord(parsing: bytes) {
    _ = DKIMPublicKey(read).map { $0.weakness(DKIMLimits()) }
    guard (try? DKIMKeyRecord(parsing: Array(read.text.utf8))) == read else { fatalError("the record \(read.text)") }
  }
  let whole = verdicts(bytes, cut: 0)
  guard whole.0 == verdicts(bytes, cut: cut).0 else { fatalError("verdicts, cut at \(cut)") }
  sign(header: whole.1, body: Array(bytes[min(whole.1.count, bytes.count)...]), cut: cut)
  return 0
}

func verdicts(_ message: [UInt8], cut: Int) -> ([DKIMVerdict], [UInt8]) {
  var splitter = MessageSplitter(limit: 65_536)
  let parts = [message[..<cut], message[cut...]]
  var body: [[UInt8]] = []
  for part in parts { part.withUnsafeBytes { body.append(Array($0[splitter.take($0)...])) } }
  let verification = DKIMVerification(header: splitter.header)
  var hasher = BodyHasher(verification.bodyKinds)
  for part in body { hasher.update(part) }
  let answer = DKIMKeyAnswer.records([record, message])
  return (verification.verdicts(body: hasher.finish(), time: Timestamp(seconds: 1_800_000_000)) { _ in answer }, splitter.header)
}

func sign(header: [UInt8], body: [UInt8], cut: Int) {
  guard let domain = DNSName("example.org"), let selector = DNSName("s"), let key,
    var signer = DKIMSigner(domain: domain, keys: [DKIMSigner.Key(selector: selector, key: key)])
  else { fatalError("no signer") }
  signer.headerCanonicalization = cut % 2 == 0 ? .relaxed : .simple
  signer.bodyCanonicalization = cut / 2 % 2 == 0 ? .relaxed : .simple
  let from = Array("From: a@example.org\r\n".utf8)
  var hasher = BodyHasher(signer.bodyKinds)
  hasher.update(body)
  let hashes = hasher.finish()
  for fields in [header + from, from + header, header] {
    guard let signature = try? signer.sign(SignableMessage(header: fields, body: hashes, time: Timestamp(seconds: 1_800_000_000)))
    else {
      continue
    }
    let verification = DKIMVerification(header: signature + fields)
    let verdict = verification.verdicts(body: hashes, time: Timestamp(seconds: 1_800_000_000)) { _ in .records([record]) }.first
    guard verdict?.result == .pass else { fatalError("what was signed gives \(verdict?.reason ?? "nothing")") }
  }
}
