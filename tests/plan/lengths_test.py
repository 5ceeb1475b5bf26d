# SPDX-License-Identifier: Apache-2.0
"""SPEC: what can be written, what is meant when it is written wrongly, and the law of what is drawn."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr

from inferometer.errors import UsageError
from inferometer.plan.lengths import FilePrompt, parse_lengths

N_DRAWS = 20_000


def drawn(spec, n_draws=N_DRAWS, seed=1):
    return parse_lengths(spec).draw(np.random.default_rng(seed), n_draws)


def ks_distance(counts, cdf):
    """Largest distance between the steps of whole numbers and a continuous law rounded to them."""
    values, n_each = np.unique(counts, return_counts=True)
    return np.abs(np.cumsum(n_each) / len(counts) - cdf(values + 0.5)).max()


def test_fixed():
    assert drawn("128", 3).tolist() == [128, 128, 128]
    assert parse_lengths(" 128 ").mean == 128


def test_uniform_has_both_ends_and_its_law():
    counts = drawn("uniform:100-200")
    assert (counts.min(), counts.max()) == (100, 200)
    assert counts.mean() == pytest.approx(150, abs=3 * np.sqrt((101**2 - 1) / 12 / N_DRAWS))
    assert ks_distance(counts, lambda x: (x - 99.5) / 101) < 1.63 / np.sqrt(N_DRAWS)
    assert drawn("uniform:7-7", 4).tolist() == [7] * 4


def test_normal_has_its_law():
    counts = drawn("normal:512,64")
    assert counts.mean() == pytest.approx(512, abs=3 * 64 / np.sqrt(N_DRAWS))
    assert ks_distance(counts, lambda x: ndtr((x - 512) / 64)) < 1.63 / np.sqrt(N_DRAWS)


def test_lognormal_is_given_by_its_median():
    counts = drawn("lognormal:512,0.6")
    assert np.median(counts) == pytest.approx(512, rel=0.02)
    assert counts.mean() == pytest.approx(parse_lengths("lognormal:512,0.6").mean, rel=0.02)
    assert ks_distance(counts, lambda x: ndtr(np.log(x / 512) / 0.6)) < 1.63 / np.sqrt(N_DRAWS)


def test_no_draw_is_below_one_token():
    assert drawn("normal:2,50").min() == 1


@pytest.mark.parametrize("spec", ["uniform:100-200", "normal:512,64", "lognormal:512,0.6"])
def test_draw_k_does_not_depend_on_how_many_are_drawn(spec):
    assert drawn(spec, 10).tolist() == drawn(spec, 1000)[:10].tolist()
    assert drawn(spec, 10, seed=2).tolist() != drawn(spec, 10).tolist()


@pytest.mark.parametrize(
    ("spec", "meant"),
    [
        ("100-200", "did you mean uniform:100-200?"),
        ("100..200", "did you mean uniform:100-200?"),
        ("12..3", "did you mean uniform:3-12?"),
        ("100:200", "write 128, uniform:100-200"),
        ("512,64", "did you mean normal:512,64?"),
        ("unifrom:1-2", "did you mean uniform:1-2?"),
        ("gaussian:512,64", "write 128"),
        ("normal:512", "normal takes two numbers: normal:512,64"),
        ("uniform:100", "uniform takes two numbers"),
        ("normal:512-64", "normal takes two numbers"),
        ("lognorm:512,0.6", "did you mean lognormal:512,0.6?"),
        ("lognormal:512,64", "did you mean normal:512,64?"),
        ("uniform:200-100", "uniform:100-200"),
        ("uniform:1.5-2.5", "tokens are whole"),
        ("uniform:0-10", "at least 1 token"),
        ("prompts.jsonl", "did you mean file:prompts.jsonl?"),
        ("file", "write 128"),
        ("128 tokens", "did you mean 128?"),
        ("128.0", "did you mean 128?"),
        ("0", "at least 1 token"),
        ("-5", "write 128"),
        ("", "write 128"),
        ("99999999999", "more than 10,000,000 tokens"),
    ],
)
def test_a_wrong_spec_is_one_line_with_what_may_be_meant(spec, meant):
    with pytest.raises(UsageError) as caught:
        parse_lengths(spec, "--output-tokens")
    assert str(caught.value) == f"--output-tokens {spec!r} is not a length"
    assert meant in caught.value.remedy
    assert "\n" not in caught.value.remedy


def test_a_file_of_prompts(tmp_path):
    file = tmp_path / "prompts.jsonl"
    file.write_text(
        '{"prompt": "One.", "output_tokens": 3, "id": 7}\n\n'
        '{"messages": [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Two?"}], '
        '"max_tokens": 9}\n'
        '{"prompt": "Three.", "source": "ignored"}\n',
        encoding="utf-8-sig",
    )
    lengths = parse_lengths(f"file:{file}")
    assert lengths.prompts == (
        FilePrompt("One.", None, 3, "7"),
        FilePrompt("", (("system", "Be short."), ("user", "Two?")), 9, ""),
        FilePrompt("Three.", None, None, ""),
    )


def test_output_lengths_of_a_file_come_in_its_order_again_and_again(tmp_path):
    file = tmp_path / "prompts.jsonl"
    file.write_text('{"prompt": "a", "output_tokens": 3}\n{"prompt": "b", "output_tokens": 5}\n')
    lengths = parse_lengths(f"file:{file}", "--output-tokens")
    assert lengths.draw(np.random.default_rng(1), 5).tolist() == [3, 5, 3, 5, 3]
    assert lengths.mean == 4


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no prompt"),
        ('{"prompt": "a"}\n{"prompt": \n', "line 2: "),
        ('{"prompt": "a"}\n[1]\n', "line 2: Expected `object`"),
        ('{"prompt": 3}', "line 1: Expected `str | null`, got `int` - at `$.prompt`"),
        ('{"text": "a"}', "line 1: it needs either prompt or messages"),
        ('{"prompt": "a", "messages": []}', "line 1: it needs either prompt or messages"),
        ('{"messages": []}', "line 1: messages is empty"),
        ('{"messages": [{"role": "user"}]}', "line 1: Object missing required field `content`"),
        ('{"prompt": ""}', "line 1: the prompt is empty"),
        ('{"prompt": "a", "output_tokens": 0}', "line 1: 0 is no number of output tokens"),
    ],
)
def test_a_fault_in_a_file_names_its_line(tmp_path, text, says):
    file = tmp_path / "prompts.jsonl"
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        parse_lengths(f"file:{file}")
    assert says in str(caught.value)
    assert caught.value.remedy


def test_output_lengths_from_a_file_must_all_be_there(tmp_path):
    file = tmp_path / "prompts.jsonl"
    file.write_text('{"prompt": "a", "output_tokens": 3}\n{"prompt": "b"}\n')
    with pytest.raises(UsageError, match="prompt 2 does not say its output_tokens"):
        parse_lengths(f"file:{file}", "--output-tokens")


def test_a_missing_file_offers_its_neighbour(tmp_path):
    (tmp_path / "prompts.jsonl").write_text('{"prompt": "a"}\n')
    with pytest.raises(UsageError, match="No such file") as caught:
        parse_lengths(f"file:{tmp_path}/promts.jsonl")
    assert caught.value.remedy == f"did you mean file:{tmp_path}/prompts.jsonl?"
    with pytest.raises(UsageError) as caught:
        parse_lengths("file:/no/such/folder/x.jsonl")
    assert caught.value.remedy == "there is no folder /no/such/folder"
