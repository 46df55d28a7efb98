import CLinux

/// How the C library's heap is kept in a process that serves for months.
///
/// By its own measure it gives memory back to the system whenever 128 KiB are free at an end, and asks for it again a moment later: with
/// each message a few system calls and page faults. It keeps up to `kept` instead, for each of its few arenas.
public enum HeapSettings {
  /// Octets that stay at the end of an arena.
  private static let kept: CInt = 4_194_304
  /// Octets asked for at once beyond what is needed.
  private static let step: CInt = 262_144
  /// Octets from which on a piece of memory gets pages of its own.
  private static let large: CInt = 1_048_576

  /// Called once, before there are threads. What the C library does not take, it leaves as it was.
  public static func apply() {
    clinux_keep_heap(kept, step, large)
  }
}
