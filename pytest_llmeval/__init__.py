"""Make LLM quality a regression test: candidates, scores, cassettes and a verdict in plain pytest."""

__version__ = "0.1.0"
