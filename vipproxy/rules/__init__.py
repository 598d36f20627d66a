"""Rules at work: the conditions and actions of the configuration, compiled once, then only called.

A rule sees a `Subject`; its predicate says whether it applies, and its step edits the message or
answers the client. Nothing here does I/O.
"""
