// The real world under `Outside`, and the process around it.
//
// What it is: event loops with their executors and timer wheels (`Loop/`), listeners and the dialer (`Network/`), TLS by
// OpenSSL (`TLS/`), DNS by libunbound (`DNS/`), clocks, randomness and worker threads (`System/`), the log writer (`Logging/`),
// privileges, signals and the supervisor (`Process/`).
//
// What it promises: a session runs on one thread, its event loop's, and never leaves it; each of its waits ends exactly once,
// with data, a close, a deadline or a shutdown. No loop thread blocks. What a peer can make us hold is bounded (`Limits.swift`).
// TLS never begins with bytes that came in clear. Log lines can't be forged by what they quote, and a blocked reader of the
// log blocks no mail.
//
// How it fails: socket errors end one connection; without descriptors or memory, accepting rests and goes on; without threads
// the process ends (75) and the supervisor starts it anew.
//
// RFCs: 5246 and 8446 (TLS 1.2, 1.3), 3207 (STARTTLS, the switch), 6066 (SNI), 6125 (names in certificates), 8314 (implicit
// TLS), 4033 to 4035 (DNSSEC, by libunbound).
