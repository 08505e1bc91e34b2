"""Peer checks: is every question really asked, and is an engine's refusal told as one?"""

from __future__ import annotations

from pathlib import Path

from benchmarks.peer_checks import QUESTIONS, nearrow, refusal, seen, table


def test_what_the_comparison_says_of_nearrow_is_so(tmp_path: Path) -> None:
    answers = dict(nearrow(tmp_path))
    assert set(answers) == set(QUESTIONS)
    assert set(answers.values()) == {"yes", "by `snapshot` only"}


def test_a_call_that_did_something_else_is_not_a_yes() -> None:
    assert seen(lambda: [1, 2], lambda found: found == [1, 2]) == "yes"
    assert seen(list, bool) == "no: []"
    assert seen(lambda: {}["rows"], bool) == "no: 'rows'"


def test_a_refusal_is_in_the_words_of_the_engine() -> None:
    assert refusal("Traceback\n  somewhere\nRuntimeError: cannot lock /tmp/x/LOCK") == "no: RuntimeError: cannot lock"


def test_a_question_that_was_not_asked_is_a_dash() -> None:
    assert table({"one 1.0": {QUESTIONS[0]: "yes"}}).splitlines()[2:4] == [
        f"| {QUESTIONS[0]} | yes |",
        f"| {QUESTIONS[1]} | – |",
    ]
