"""Dictation: what is said is typed into the window that has the focus.

`spoken` turns recognized words into text with marks, `typist` writes it and destroys nothing that it did not write,
`keyboards` press keys by way of other `programs`, `x11` knows where the focus is, `control` is the socket and `daemon`
the loop that ties them to a microphone and a stream.
"""
