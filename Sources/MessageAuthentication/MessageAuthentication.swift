/// Who vouches for a message: DKIM, signing and verifying.
///
/// What it is: the seam by which messages are signed (`MessageSigner`), header and body as signatures see them (`Header/`, `Body/`),
/// and DomainKeys Identified Mail (`DKIM/`): keys and their records, the signer, the verifier. No sockets, no clock, no store: the
/// time is said by the caller, and so are the answers of the DNS to the questions that a verification has.
///
/// A message passes by once:
///
///     var splitter = MessageSplitter()
///     var hasher = BodyHasher(signer.bodyKinds)
///     let offset = splitter.take(piece)              // as often as pieces come
///     hasher.update(piece[offset...])
///     let body = hasher.finish()
///     let fields = try signer.sign(SignableMessage(header: splitter.header, body: body, time: now))   // on a worker: RSA takes its time
///
/// What it promises:
/// - Every function is total: no input traps, all parsers are linear in their input and bounded by `DKIMLimits`.
/// - Bytes stay bytes: no body is copied or held, whatever its size; however it is cut, the result is the same.
/// - A message of any number of signatures is hashed at most once for each canonicalisation; `DKIMLimits.signatures` of them are
///   looked at and no more.
/// - What is signed verifies; `l=` is never made, and where others make it, the octets that it leaves out are told.
///
/// Limits: `DKIMLimits`. How it fails: signing throws a `SigningError`, verifying gives a `DKIMVerdict` with the word of RFC 8601,
/// 2.7.1, and a reason; nothing else is thrown.
///
/// RFCs: RFC 6376 (DKIM), RFC 8301 (RSA of 1024 bits at least, no SHA-1), RFC 8463 (Ed25519), RFC 8616 (domains beyond ASCII),
/// RFC 8601 (result words), RFC 8058, 4 (what a signature must cover for one-click unsubscription).
public enum MessageAuthentication {}
