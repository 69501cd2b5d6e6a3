//! Windows, by windows-sys.
