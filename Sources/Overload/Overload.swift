// Overload
