/// Takes what only delivery's loop may touch into a task that `DeliveryServices.spawn` starts there.
///
/// `@unchecked Sendable` is true since the value can't be got at elsewhere: closing it in and taking it out both end the process off that
/// loop (`DeliveryServices.confine`). What is in it is not `Sendable`, so that the compiler finds every other way to another thread.
/// Copies of the box, and its end, touch nothing but reference counts, which are atomic; what it holds has no `deinit` of its own.
struct Confined<Value>: @unchecked Sendable {
  private let held: Value
  private let confine: @Sendable () -> Void

  init(_ value: Value, _ services: DeliveryServices) {
    services.confine()
    held = value
    confine = services.confine
  }

  var value: Value {
    confine()
    return held
  }
}
