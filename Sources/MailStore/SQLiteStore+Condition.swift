extension SQLiteStore {
  /// How it is.
  public var condition: StoreCondition { health.condition }

  public var refusal: StoreError? {
    if let failure = health.failure { return .unavailable(failure) }
    return health.isShortOfSpace ? .full : nil
  }
}
