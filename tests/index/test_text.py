"""Text index: are the right rows found, in the right order, with nothing deleted among them?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from nearrow.errors import ClosedError, InvalidArgumentError, LockedError, ReadOnlyError, SchemaError
from nearrow.index.text import RebuildNeededError, TextField, TextIndex, TextQuery, text_fields_of
from nearrow.schema.config import CollectionConfig, TextSettings

ENGLISH = TextSettings(stemmer="english")


def rows(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.uint64)


def index_of(*texts: str | None, settings: TextSettings = ENGLISH, path: str | None = None) -> TextIndex:
    index = TextIndex.open(path, [TextField("text", settings)])
    index.add(np.arange(len(texts), dtype=np.uint64), {"text": pa.array(texts, pa.string())})
    index.commit(len(texts), 1)
    return index


def found(index: TextIndex, query: str | TextQuery, **options: object) -> list[int]:
    return index.search(query, 1000, **options)[0].tolist()  # type: ignore[arg-type]


def test_stemmed_words_find_each_other() -> None:
    index = index_of("running dogs", "a dog runs", "cats")
    assert sorted(found(index, "run")) == [0, 1]
    assert sorted(found(index, "DOGS")) == [0, 1]


def test_without_a_stemmer_words_are_taken_as_written() -> None:
    index = index_of("running dogs", "a dog runs", settings=TextSettings(stemmer=None))
    assert found(index, "dog") == [1]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("dog", {0, 1, 4}),
        ("dog cat", {0, 1, 2, 4}),
        ("+dog +cat", {1}),
        ("+dog -cat", {0, 4}),
        ("dog NOT cat", {0, 4}),
        ("dog AND cat", {1}),
        ("(fish AND bird) OR (dog AND cat)", {1, 3}),
        ('"big dog"', {0}),
        ('"dog big"', set()),
        ('"big dog"~4', {0, 4}),
        ("-dog", {2, 3, 5}),
        ("*", {0, 1, 2, 3, 4, 5}),
        ("fi*", {3}),
        ("dgo~1", {0, 1, 4}),
        ("brid~", {3}),
        ("text:fish", {3}),
        ("text:(fish cat)", {1, 2, 3}),
        ("fish^2 bird", {3}),
        ("", set()),
        ("…!?", set()),
        ("+", set()),
        ("absent", set()),
    ],
)
def test_each_part_of_the_grammar_finds_its_rows(query: str, expected: set[int]) -> None:
    index = index_of("a big dog", "the dog and the cat", "cat", "fish bird", "dog that is big", None)
    assert set(found(index, query)) == expected
    assert set(index.matches(query).tolist()) == expected
    assert index.count(query) == len(expected)


def test_punctuation_inside_a_word_is_no_operator() -> None:
    index = index_of("a state-of-the-art system", "the art of the state", "C++ or C#", "mail joe@example.org")
    assert set(found(index, "state-of-the-art")) == {0, 1}
    assert found(index, "+state-of-the-art") == [0]
    assert set(found(index, "system -state-of-the-art")) == set()
    assert found(index, "C++") == [2]
    assert found(index, "joe@example.org") == [3]
    assert found(index, "http://example.org/x?y=(z)") == [3]


def test_boost_turns_the_order_around() -> None:
    index = index_of("red apple", "blue apple")
    assert found(index, "red blue^3")[0] == 1
    assert found(index, "red^3 blue")[0] == 0


def test_repeating_a_word_changes_nothing() -> None:
    index = index_of("running dogs", "dogs cat", "cat")
    for query in ("dog cat dogs DOG", "dog cat", "dog-dogs cat"):
        np.testing.assert_allclose(index.scores_of(query, rows(0, 1, 2)), index.scores_of("cat dog", rows(0, 1, 2)))
    assert found(index, TextQuery.plain('-dog "cat AND ( text:dog')) == found(index, "dog cat text")


def test_several_fields_are_searched_together_or_by_name() -> None:
    index = TextIndex.open(None, [TextField("title", ENGLISH), TextField("my body", ENGLISH, boost=2.0)])
    index.add(rows(7, 9), {"title": pa.array(["wings", "tails"]), "my body": pa.array(["tails", "noses"])})
    index.commit(10)
    assert found(index, "tails") == [7, 9]  # the body weighs more
    assert found(index, "title:tails") == [9]
    assert found(index, "my body:tails") == [7]
    assert found(index, "tails", fields=["title"]) == [9]
    assert found(index, TextQuery("tails wings", operator="and")) == [7]
    with pytest.raises(InvalidArgumentError, match="did you mean 'title'"):
        index.search("tails", 3, fields=["titel"])


def test_keyword_fields_match_whole_values_only() -> None:
    index = index_of("New York", "York", settings=TextSettings(tokenizer="raw"))
    assert found(index, "York") == [1]
    assert found(index, '"New York"') == [0]
    assert found(index, "New\\ York") == [0]
    assert found(index, "New*") == [0]


def test_stop_words_are_not_looked_for() -> None:
    index = index_of("the house of cards", "the wind", settings=TextSettings(stop_words="english"))
    assert found(index, "the") == []
    assert found(index, "+the wind") == [1]
    assert found(index, '"house of cards"') == [0]
    assert found(index, '"house cards"') == []
    with pytest.raises(InvalidArgumentError, match="stop word"):
        index_of("x", settings=TextSettings(stop_words="tamil"))


def test_accents_fold_unless_told_not_to() -> None:
    assert found(index_of("Crème brûlée", "naïve"), "creme BRULEE") == [0]
    assert found(index_of("Crème", settings=TextSettings(ascii_folding=False)), "creme") == []


def test_scripts_without_spaces_are_found_by_any_part() -> None:
    index = index_of("東京大学で学ぶ", "京都の東", "서울특별시에서", "ภาษาไทย", "日本語とEnglish混在")
    assert found(index, "東京") == [0]
    assert found(index, "大学") == [0]
    assert found(index, "東") == [1, 0] or found(index, "東") == [0, 1]
    assert found(index, "서울") == [2]
    assert found(index, "ไทย") == [3]
    assert found(index, "english") == [4]
    assert found(index, '"東京大学"') == [0]
    assert found(index, '"東大"') == []
    assert found(index, "+京都 -大学") == [1]
    assert set(found(index, "東京都庁")) == {0, 1}  # 東京 or 京都 or 都庁


def test_deleted_rows_are_never_found() -> None:
    index = index_of("one dog", "two dogs", "three dogs")
    index.delete(rows(1, 77))
    index.commit(3, 2)
    assert sorted(found(index, "dog")) == [0, 2]
    assert index.matches("*").tolist() == [0, 2]
    assert np.isnan(index.scores_of("dog", rows(1))).all()
    assert index.stats()["rows"] == 2


def test_uncommitted_rows_are_not_found_and_rollback_forgets_them() -> None:
    index = index_of("dog")
    index.add(rows(1), {"text": pa.array(["dog"])})
    assert index.uncommitted
    assert found(index, "dog") == [0]
    index.rollback()
    index.add(rows(1), {"text": pa.array(["cat"])})
    index.commit(2)
    assert found(index, "dog cat") == [1, 0] or found(index, "dog cat") == [0, 1]
    assert found(index, "dog") == [0]


def test_a_view_does_not_change_while_rows_come_and_go() -> None:
    index = index_of("dog", "cat")
    view = index.view
    index.delete(rows(0))
    index.add(rows(2), {"text": pa.array(["dog"])})
    index.commit(3, 5)
    assert view.search("dog", 9)[0].tolist() == [0]
    assert (view.watermark, view.lsn) == (2, 1)
    assert found(index, "dog") == [2]
    assert (index.watermark, index.lsn) == (3, 5)


def test_equal_scores_come_by_row_number_even_across_the_limit() -> None:
    index = TextIndex.open(None, [TextField("text", ENGLISH)])
    for start in range(0, 300, 30):  # many segments, whose order is Tantivy's business
        index.add(np.arange(start, start + 30, dtype=np.uint64), {"text": pa.array(["same words"] * 30)})
        index.commit(start + 30)
    for limit in (1, 5, 29, 100, 299):
        assert index.search("words", limit)[0].tolist() == list(range(limit))


def test_accept_goes_on_until_enough_rows_pass() -> None:
    index = index_of(*(f"word {'word ' * (n % 7)}" for n in range(500)))
    everything = found(index, "word")
    for modulus in (2, 50, 499):
        wanted = [row for row in everything if row % modulus == 1]
        got, scores = index.search("word", 10, accept=lambda numbers, m=modulus: numbers % m == 1)
        assert got.tolist() == wanted[:10]
        assert np.all(np.diff(scores) <= 0)
    assert index.search("word", 10, accept=lambda numbers: np.zeros(len(numbers), bool))[0].tolist() == []


def test_searching_among_given_rows_equals_accepting_them() -> None:
    index = index_of(*(f"word {'word ' * (n % 7)} x{n}" for n in range(300)))
    some = np.arange(0, 300, 3, dtype=np.uint64)
    by_rows = index.search("word", 20, rows=np.append(some, rows(10_000)))
    by_accept = index.search("word", 20, accept=lambda numbers: np.isin(numbers, some))
    assert by_rows[0].tolist() == by_accept[0].tolist()
    np.testing.assert_allclose(by_rows[1], by_accept[1], rtol=1e-6)


def test_scores_of_given_rows_are_the_scores_of_a_search() -> None:
    index = index_of("dog", "dog dog cat", "cat", None)
    numbers, scores = index.search("dog cat", 10)
    asked = rows(3, 2, 2, 0, 1, 99)
    expected = [dict(zip(numbers.tolist(), scores.tolist(), strict=True)).get(row, np.nan) for row in asked.tolist()]
    np.testing.assert_allclose(index.scores_of("dog cat", asked), expected, rtol=1e-6)


def test_limits_at_the_edges() -> None:
    index = index_of("dog", "dog")
    assert index.search("dog", 0)[0].tolist() == []
    assert index.search("dog", 10**12)[0].tolist() == [0, 1]
    with pytest.raises(InvalidArgumentError):
        index.search("dog", -1)
    assert found(TextIndex.open(None, ["text"]), "dog") == []


def test_refused_rows_leave_the_writer_alive() -> None:
    index = index_of("dog")
    with pytest.raises(SchemaError, match="int64"):
        index.add(rows(1), {"text": pa.array([5])})
    with pytest.raises(InvalidArgumentError, match="2 values for 1 rows"):
        index.add(rows(1), {"text": pa.array(["a", "b"])})
    with pytest.raises(InvalidArgumentError, match="rise"):
        index.add(rows(0), {"text": pa.array(["again"])})
    with pytest.raises(InvalidArgumentError, match="rise"):
        index.add(rows(3, 3), {"text": pa.array(["a", "b"])})
    with pytest.raises(InvalidArgumentError, match="watermark"):
        index.commit(0, 1)
    index.add(rows(1), {"text": pa.array(["dog"])})
    index.commit(2, 1)
    assert found(index, "dog") == [0, 1]


def test_odd_texts_and_large_row_numbers_are_taken() -> None:
    index = TextIndex.open(None, ["text"])
    texts = ["x" * 100_000 + " dog", "\x00 dog \ud7ff", "", " ", "dog " * 50_000, "é́ dog 🐕"]
    start = 2**63 - 3
    index.add(np.arange(start, start + 6, dtype=np.uint64), {"text": pa.chunked_array([texts[:2], texts[2:]])})
    index.commit(2**64 - 1, 2**64 - 1)
    assert sorted(found(index, "dog")) == [start, start + 1, start + 4, start + 5]
    assert index.watermark == 2**64 - 1


@pytest.mark.parametrize("type_", [pa.string(), pa.large_string(), pa.string_view()])
def test_every_arrow_string_type_is_taken(type_: pa.DataType) -> None:
    index = TextIndex.open(None, ["text"])
    index.add(rows(0, 1), {"text": pa.array(["dog", None]).cast(type_)})
    index.add(rows(2), {"text": pa.nulls(1)})
    index.add(rows(3), {})
    index.commit(4)
    assert found(index, "dog") == [0]
    assert sorted(found(index, "*")) == [0, 1, 2, 3]


def test_reopening_finds_the_committed_state(tmp_path: Path) -> None:
    path = str(tmp_path / "text")
    index = index_of("dog", "cat", path=path)
    index.add(rows(2), {"text": pa.array(["dog"])})
    index.close()
    again = TextIndex.open(path, [TextField("text", ENGLISH)])
    assert (again.watermark, again.lsn, found(again, "dog")) == (2, 1, [0])
    assert again.nbytes > 0
    assert again.check() == []


def test_another_collection_settings_or_future_ask_for_a_rebuild(tmp_path: Path) -> None:
    path = str(tmp_path / "text")
    index = TextIndex.open(path, ["text"], identity="a")
    index.add(rows(0), {"text": pa.array(["dog"])})
    index.commit(1)
    index.close()
    TextIndex.open(path, ["text"], identity="a", rows_end=1).close()
    for fields, options in (
        (["text"], {"identity": "b"}),
        (["text"], {"identity": "a", "rows_end": 0}),
        (["body"], {"identity": "a"}),
        (["text", "body"], {"identity": "a"}),
        ([TextField("text", TextSettings(tokenizer="whitespace"))], {"identity": "a"}),
    ):
        with pytest.raises(RebuildNeededError, match="rebuilt"):
            TextIndex.open(path, fields, **options)  # type: ignore[arg-type]


def test_two_writers_and_a_reader(tmp_path: Path) -> None:
    path = str(tmp_path / "text")
    writer = index_of("dog", path=path)
    other = TextIndex.open(path, [TextField("text", ENGLISH)])
    with pytest.raises(LockedError):
        other.add(rows(1), {"text": pa.array(["x"])})
    reader = TextIndex.open(path, [TextField("text", ENGLISH)], read_only=True)
    with pytest.raises(ReadOnlyError):
        reader.delete(rows(0))
    writer.add(rows(1), {"text": pa.array(["dog"])})
    writer.commit(2)
    assert found(reader, "dog") == [0]
    assert reader.reload().watermark == 2
    assert found(reader, "dog") == [0, 1]


def test_a_closed_index_says_so() -> None:
    index = index_of("dog")
    index.close()
    index.close()
    with pytest.raises(ClosedError):
        index.search("dog", 1)


def test_snippets_show_the_words_that_matched() -> None:
    index = index_of("x")
    text = (
        "Nothing here. " * 30 + "At last the <astronomers> observed a comet over 東京タワー. " + "Nothing more. " * 30
    )
    shown = index.snippet('astronomer "comet" 東京 -nothing', text, characters=80)
    assert len(shown.fragment) <= 80
    assert shown.fragment == text[shown.start : shown.start + len(shown.fragment)]
    assert {shown.fragment[a:b] for a, b in shown.highlights} == {"astronomers", "comet", "東京"}
    assert "&lt;<b>astronomers</b>&gt;" in shown.to_html()
    assert "**comet**" in shown.marked()
    assert index.snippet("absent", text, characters=20).highlights == ()
    assert index.snippet("obs* comte~1", text).marked().count("**") == 4
    assert str(index.snippet("dog", "")) == ""


def test_fields_follow_the_collection_config() -> None:
    config = CollectionConfig("c", 4, text_fields=("a", "b"), text_settings={"b": {"tokenizer": "raw"}})  # type: ignore[arg-type]
    first, second = text_fields_of(config)
    assert (first.name, second.name, second.settings.tokenizer) == ("a", "b", "raw")


def test_a_few_fresh_rows_are_scored_as_if_they_were_in_the_main_index() -> None:
    texts = [f"common word{n % 50} word{n % 7}" for n in range(400)] + ["rare common word3", "rare rare word3"]
    whole, main = index_of(*texts), index_of(*texts[:400])
    fresh = TextIndex.open(None, [TextField("text", ENGLISH)])
    fresh.add(rows(400, 401), {"text": pa.array(texts[400:])})
    fresh.commit(402)
    for query in ("rare", "common", '"rare common"', "rare word3^2", "+word3 rare"):
        expected = whole.scores_of(query, rows(400, 401))
        near = fresh.view.beside(main.view).scores_of(query, rows(400, 401))
        np.testing.assert_allclose(near, expected, rtol=0.02)
        assert fresh.view.beside(main.view).matches(query).tolist() == fresh.matches(query).tolist()
