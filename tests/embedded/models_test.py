# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from inferometer.embedded import model_name, served_name, trained_model
from inferometer.embedded.models import DEFAULT_MODEL, choose, folder_models, models
from inferometer.errors import UsageError


def test_without_a_name_it_is_the_default():
    assert choose().name == DEFAULT_MODEL
    assert models()[0].served == choose().served


def test_a_model_is_found_by_both_of_its_names():
    for model in models():
        assert choose(model.name).served == choose(model.served).served == model.served
    assert choose("random").served == model_name()
    assert choose("random").context_tokens == 8192


def test_names_are_told_apart():
    names = [name for model in models() for name in (model.name, model.served)]
    assert len(set(names)) == len(names)


def test_a_model_that_is_not_there_is_an_error_that_names_those_which_are():
    with pytest.raises(UsageError, match=r"'randm'; it has .*random") as caught:
        choose("randm")
    assert "did you mean random?" in caught.value.remedy


def test_a_file_is_served_under_the_name_that_was_chosen(tmp_path):
    for model in models():
        assert served_name(tmp_path / f"{model.served}-0123456789abcdef.gguf") == model.served


def test_the_trained_model_is_there_in_each_number_format_if_its_weights_are():
    trained = {model.name for model in models()} - {"random"}
    assert trained == (set(trained_model.FILE_TYPES) if trained_model.facts() is not None else set())


def test_as_a_folder_there_are_the_weights_as_trained():
    f16 = choose("trained-f16")
    for model in folder_models():
        assert (model.served, model.context_tokens) == (f16.served, f16.context_tokens)
    assert [model.name for model in folder_models()] == ["trained", "trained-f16"]


def test_what_was_written_before_is_found_without_writing(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for model in (choose("trained"), folder_models()[0]):
        assert model.cached() is None
        assert model.ensure() == model.cached()
