"""The tests of the word count. Run them with: python -m unittest"""

from __future__ import annotations

import unittest

from word_count import most_frequent, words


class Words(unittest.TestCase):
    def test_splits_at_blanks(self) -> None:
        self.assertEqual(words("one two"), ["one", "two"])

    def test_lower_case_without_punctuation(self) -> None:
        self.assertEqual(words("Über Stock, über Stein!"), ["über", "stock", "über", "stein"])


class MostFrequent(unittest.TestCase):
    def test_counts(self) -> None:
        self.assertEqual(most_frequent("a b a", 1), [("a", 2)])

    def test_most_frequent_first(self) -> None:
        self.assertEqual([word for word, _ in most_frequent("a b b c c c", 2)], ["c", "b"])


if __name__ == "__main__":
    unittest.main()
