//! Nothing: the package is its `tests` and its `examples`.
