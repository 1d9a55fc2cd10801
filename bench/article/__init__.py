"""The article's results, reproduced: `python -m bench.article` writes `docs/article.md` from flumen's experiments."""
