"""The observer: snapshots rendered for people and tools. Traffic does not need it."""
