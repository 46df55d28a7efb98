/// Arithmetic on numbers from outside: an overflow is `nil`, never a trap.
extension FixedWidthInteger {
  /// `self + other`, or `nil` if that does not fit.
  @inlinable
  public func addedChecked(_ other: Self) -> Self? {
    let (value, overflow) = addingReportingOverflow(other)
    return overflow ? nil : value
  }

  /// `self - other`, or `nil` if that does not fit.
  @inlinable
  public func subtractedChecked(_ other: Self) -> Self? {
    let (value, overflow) = subtractingReportingOverflow(other)
    return overflow ? nil : value
  }

  /// `self * other`, or `nil` if that does not fit.
  @inlinable
  public func multipliedChecked(by other: Self) -> Self? {
    let (value, overflow) = multipliedReportingOverflow(by: other)
    return overflow ? nil : value
  }

  /// `self + other`, held at the largest value.
  @inlinable
  public func addedClamped(_ other: Self) -> Self { addedChecked(other) ?? (other < 0 ? .min : .max) }

  /// `self - other`, held at the ends of the range.
  @inlinable
  public func subtractedClamped(_ other: Self) -> Self { subtractedChecked(other) ?? (other < 0 ? .max : .min) }
}
