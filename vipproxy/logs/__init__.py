"""Logs: one line a session or exchange, and what happens to servers, in HAProxy's words.

A protocol fills in a `Record` and hands it over when it is finished; what the line says is made
of it later, many at once, and goes to targets that keep nobody waiting.
"""
