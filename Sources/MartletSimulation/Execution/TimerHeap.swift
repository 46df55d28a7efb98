/// What a heap of timers is ordered by.
protocol TimerOrder {
  static func < (left: Self, right: Self) -> Bool
}

/// Timers, the earliest first: a binary heap. Twenty servers have thousands of them.
struct TimerHeap<Element: TimerOrder> {
  private var items: [Element] = []

  var first: Element? { items.first }

  mutating func insert(_ element: Element) {
    items.append(element)
    var child = items.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard items[child] < items[parent] else { return }
      items.swapAt(child, parent)
      child = parent
    }
  }

  mutating func popFirst() -> Element? {
    guard let first = items.first else { return nil }
    items.swapAt(0, items.count - 1)
    items.removeLast()
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < items.count && items[child] < items[least] { least = child }
      guard least != parent else { return first }
      items.swapAt(parent, least)
      parent = least
    }
  }
}
