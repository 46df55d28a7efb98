import Outside
import Synchronization

/// Randomness that a seed repeats: SplitMix64. One sequence, whoever asks.
public final class SeededRandom: RandomSource {
  private let state: Mutex<UInt64>

  public init(seed: UInt64) { state = Mutex(seed) }

  public func next() -> UInt64 {
    state.withLock { state in
      state &+= 0x9E37_79B9_7F4A_7C15
      var mixed = state
      mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
      mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
      return mixed ^ (mixed >> 31)
    }
  }

  /// True once in `odds` times; always if `odds` is 1 or less.
  public func chance(in odds: UInt64) -> Bool { odds <= 1 || next(below: odds) == 0 }

  /// One of `items`; nil if there are none.
  public func pick<T>(_ items: [T]) -> T? { items.isEmpty ? nil : items[Int(clamping: next(below: UInt64(items.count)))] }
}
