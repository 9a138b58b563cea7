"""A second implementation of the ackline protocol, written from core/docs/protocol.md alone.

It exists to show that the page is complete: it is small and plain, not fast. Rule numbers (R4.7) refer to that page.
"""
