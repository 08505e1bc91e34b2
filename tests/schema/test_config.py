"""Config: does a collection keep exactly the settings it was given, and refuse the others by name?"""

import dataclasses
import json

import pytest

from nearrow.errors import InvalidArgumentError
from nearrow.schema import CollectionConfig, TextSettings, validate_name


def test_config_survives_json() -> None:
    config = CollectionConfig(
        "docs",
        384,
        "cosine",
        text_fields=("title", "text"),
        ml=0.3,
        text_settings={"text": {"stop_words": ["a", "the"]}},
    )
    again = CollectionConfig.from_json(config.to_json())
    assert again == config
    assert hash(again) == hash(config)
    assert again.text_settings_of("text").stop_words == ("a", "the")
    assert again.text_settings_of("title") == TextSettings()


@pytest.mark.parametrize(("alias", "metric"), [("euclidean", "l2"), ("ip", "dot"), ("l2", "l2")])
def test_metric_aliases_are_resolved(alias: str, metric: str) -> None:
    assert CollectionConfig("docs", 2, alias).metric == metric


def test_unknown_metric_is_refused_not_replaced() -> None:
    with pytest.raises(InvalidArgumentError, match="unknown metric 'cosin'; did you mean 'cosine'"):
        CollectionConfig("docs", 2, "cosin")


def test_unknown_key_in_json_names_the_nearest() -> None:
    settings = json.loads(CollectionConfig("docs", 2).to_json()) | {"ef_constuction": 100}
    with pytest.raises(InvalidArgumentError, match="'ef_constuction'; did you mean 'ef_construction'"):
        CollectionConfig.from_json(json.dumps(settings))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"name": "a"}', "nonsense"])
def test_json_that_is_no_config_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError):
        CollectionConfig.from_json(text)


@pytest.mark.parametrize(
    "settings",
    [
        {"dimension": 0}, {"dimension": 2.5}, {"dimension": True}, {"m": 1}, {"ef_construction": 0}, {"ml": -1},
        {"durability": "fast"}, {"dtype": "float64"}, {"codes": "5"}, {"text_fields": "text"}, {"text_fields": ["id"]},
        {"text_fields": ["_a"]}, {"text_fields": ["a", "a"]}, {"text_settings": {"none": {}}}, {"seed": -1},
        {"text_fields": ["a"], "text_settings": {"a": {"stemer": "english"}}},
    ],
)  # fmt: skip
def test_values_out_of_domain_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(InvalidArgumentError):
        CollectionConfig(**({"name": "docs", "dimension": 2} | settings))


@pytest.mark.parametrize("name", ["", " a", "a/b", "a\\b", "..", "a\nb", "x" * 129, "\ud800", 7])
def test_names_that_would_mislead_are_refused(name: object) -> None:
    with pytest.raises(InvalidArgumentError):
        validate_name(name)  # type: ignore[arg-type]


def test_any_printable_name_is_a_name() -> None:
    assert validate_name("Bücher 2024 – русский 📚") == "Bücher 2024 – русский 📚"


def test_every_setting_is_in_the_json() -> None:
    stored = json.loads(CollectionConfig("docs", 2).to_json())
    assert set(stored) == {field.name for field in dataclasses.fields(CollectionConfig)} - {"embedding"}
