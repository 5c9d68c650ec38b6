"""How `docs/quality.md` is made: public datasets in, every candidate judged, one page out.

Not part of what is installed: it uses the trainer and nothing uses it.
"""
