# SPDX-License-Identifier: Apache-2.0
"""An oracle that reads passages as a person would: it takes the text alone, finds what it says, and answers.

It shares the tables of wordings with the generator and nothing else. A text that can be read in two ways is an error.
"""

from __future__ import annotations

import re
from collections import Counter
from random import Random

import pytest

from inferometer.tasks import Passage, Split, Task, copy_answer, is_right, make_item, make_passage, prompt
from inferometer.tasks.relations import RELATIONS
from inferometer.tasks.retrieval import NOUNS

_SLOTS = {"{name}": "([A-Z][a-z]+)", "{key}": "([A-Z][a-z]+)", "{value}": r"(\w+)"}
N_SAMPLES = 150


def pattern(wording: str) -> re.Pattern[str]:
    parts = re.split(r"(\{\w+\})", wording)
    return re.compile("".join(_SLOTS.get(part) or re.escape(part) for part in parts))


def patterns(kind: str) -> list[tuple[str, re.Pattern[str]]]:
    tables = [(relation.name, getattr(relation, kind)) for relation in RELATIONS]
    return [(name, pattern(text)) for name, parts in tables for text in (*parts.train, *parts.held_out)]


FACTS, QUESTIONS = patterns("facts"), patterns("questions")
LISTED = [
    pattern(text)
    for noun in NOUNS
    for text in (*noun.marks.train, *noun.marks.held_out, *noun.sentences.train, *noun.sentences.held_out)
]


def the_one(readings: set[tuple[str, ...]], text: str) -> tuple[str, ...]:
    assert len(readings) == 1, f"{len(readings)} ways to read {text!r}: {readings}"
    return readings.pop()


def read(table: list[tuple[str, re.Pattern[str]]], text: str) -> tuple[str, ...]:
    return the_one({(name, *found.groups()) for name, wording in table if (found := wording.fullmatch(text))}, text)


def sentences(context: str) -> list[str]:
    assert context.startswith("Text: ")
    return re.findall(r"[^.]+\.", context.removeprefix("Text:").replace(". ", "."))


def told(context: str) -> dict[tuple[str, str], str]:
    """(person, relation) -> value; asserts that nothing is told twice."""
    facts = [read(FACTS, sentence.strip()) for sentence in sentences(context)]
    values = {(person, relation): value for relation, person, value in facts}
    assert len(values) == len(facts)
    return values


def listed(context: str) -> dict[str, str]:
    """Key -> value of a list, in its order."""
    lines = (
        re.findall(r"[A-Z][^.;:]+[.;]", context.partition(":")[2]) if "\n" not in context else context.split("\n")[1:]
    )
    found = []
    for line in lines:
        readings = {match.groups() for wording in LISTED if (match := wording.fullmatch(line.strip()))}
        found.append(the_one(readings, line))
    assert len(dict(found)) == len(found)
    return dict(found)


def noted(context: str) -> dict[str, str]:
    return dict(re.fullmatch(r"[A-Z][a-z]+ ([A-Z][a-z]+): (.+)", line).groups() for line in context.split("\n")[1:])


def last_name(question: str, names) -> str:
    """The one name of the context that the question has in it."""
    (name,) = set(re.findall(r"[A-Z][a-z]+", question)) & set(names)
    return name


def worked_out(question: str) -> str:
    first, second = map(int, re.findall(r"\d+", question))
    if re.search(r"Subtract|Take|from", question):
        return str(second - first)
    if re.search(r" - |minus|less|difference", question):
        return str(first - second)
    assert re.search(r"plus|\+|and|[Aa]dd|sum", question), question
    return str(first + second)


def samples(task: Task, split: Split, n_turns: int = 4) -> list[Passage]:
    rng = Random(f"{task} {split}")
    sizes = (1, 2, 3, 5, 8, 13, 21, 34)
    return [make_passage(task, split, rng, n_facts=sizes[i % len(sizes)], n_turns=n_turns) for i in range(N_SAMPLES)]


@pytest.mark.parametrize("split", Split)
@pytest.mark.parametrize("task", [Task.GROUNDED, Task.UNKNOWN])
def test_answers_follow_from_the_paragraph_and_unknown_is_truly_absent(task, split):
    for passage in samples(task, split):
        facts = told(passage.context)
        for turn in passage.turns:
            relation, person = read(QUESTIONS, turn.question)
            assert facts.get((person, relation), "unknown") == turn.answer
            assert (turn.task is Task.UNKNOWN) == (turn.answer == "unknown")
        assert passage.turns[0].task is task


@pytest.mark.parametrize("split", Split)
def test_people_and_what_is_told_of_them_are_never_mistaken(split):
    for passage in samples(Task.GROUNDED, split):
        facts = told(passage.context)
        people = {person for person, _ in facts}
        assert not people & set(facts.values())
        names = [value for value in facts.values() if value[0].isupper()]
        assert len(set(names)) == len(names)
        assert "unknown" not in facts.values()


def test_absent_answers_are_mostly_pairs_of_a_person_and_a_relation_that_both_occur():
    rng, kinds = Random(3), Counter()
    for _ in range(N_SAMPLES):
        passage = make_passage(Task.UNKNOWN, Split.TRAIN, rng, n_facts=12)
        facts = told(passage.context)
        relation, person = read(QUESTIONS, passage.turns[0].question)
        has_person, has_relation = (any(part in fact for fact in facts) for part in (person, relation))
        assert has_person or has_relation
        kinds[has_person, has_relation] += 1
    assert 0.6 < kinds[True, True] / N_SAMPLES < 0.8
    assert 0.08 < kinds[False, True] / N_SAMPLES < 0.25
    assert 0.08 < kinds[True, False] / N_SAMPLES < 0.25


def test_a_paragraph_does_not_tell_which_question_follows():
    for seed in range(50):
        contexts = {
            make_passage(task, Split.TRAIN, Random(seed), n_facts=1 + seed % 20).context
            for task in (Task.GROUNDED, Task.UNKNOWN)
        }
        assert len(contexts) == 1


def test_about_a_third_of_later_turns_has_no_answer():
    rng = Random(5)
    later = [
        turn.task
        for _ in range(200)
        for turn in make_passage(Task.GROUNDED, Split.TRAIN, rng, n_facts=20, n_turns=6).turns[1:]
    ]
    assert 0.3 < later.count(Task.UNKNOWN) / len(later) < 0.4


@pytest.mark.parametrize("split", Split)
def test_listed_values_belong_to_their_keys(split):
    for passage in samples(Task.RETRIEVAL, split):
        pairs = listed(passage.context)
        assert len(set(pairs.values())) == len(pairs)
        assert not set(pairs) & set(pairs.values())
        for turn in passage.turns:
            assert pairs[last_name(turn.question, pairs)] == turn.answer
            assert turn.about in turn.question


@pytest.mark.parametrize("split", Split)
def test_copies_are_the_words_shown(split):
    for passage in samples(Task.COPYING, split):
        notes = noted(passage.context) if passage.context else {}
        for turn in passage.turns:
            words = notes[last_name(turn.question, notes)] if notes else turn.question.partition(": ")[2]
            assert words == turn.answer
            assert len(set(words.split())) == len(words.split()) <= 10


@pytest.mark.parametrize("split", Split)
def test_sums_are_right(split):
    for passage in samples(Task.ARITHMETIC, split):
        for turn in passage.turns:
            assert worked_out(turn.question) == turn.answer
            assert int(turn.answer) >= 0
        examples = re.findall(r"(\d+ \S+ \d+) \S+ (\d+)", passage.context)
        assert all(worked_out(example) == result for example, result in examples)
        asked = {frozenset(re.findall(r"\d+", turn.question)) for turn in passage.turns}
        assert len(asked) == len(passage.turns)


# --- depth and length ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [0.0, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("task", [Task.RETRIEVAL, Task.GROUNDED])
def test_the_fact_lies_where_it_was_asked_to(task, depth):
    for index in range(30):
        item = make_item(task, Split.HELD_OUT, 1, index, n_facts=9, depth=depth)
        if task is Task.RETRIEVAL:
            place = list(listed(item.passage.context).values()).index(item.answer)
        else:
            relation, person = read(QUESTIONS, item.turn.question)
            place = list(told(item.passage.context)).index((person, relation))
        assert place == depth * 8
        assert item.depth == depth


def test_depth_of_a_note_counts_notes():
    for depth, place in ((0.0, 0), (1.0, -1)):
        item = make_item(Task.COPYING, Split.TRAIN, 1, 0, n_facts=60, depth=depth)
        assert list(noted(item.passage.context).values())[place] == item.answer


def test_without_a_depth_facts_are_asked_from_everywhere():
    depths = [make_item(Task.RETRIEVAL, Split.TRAIN, 1, index, n_facts=5).depth for index in range(300)]
    assert set(depths) == {0.0, 0.25, 0.5, 0.75, 1.0}
    assert min(Counter(depths).values()) > 35


@pytest.mark.parametrize(("task", "counted"), [(Task.RETRIEVAL, listed), (Task.GROUNDED, told), (Task.UNKNOWN, told)])
@pytest.mark.parametrize("n_facts", [1, 2, 7, 40, 160])
def test_there_are_as_many_facts_as_asked_for(task, counted, n_facts):
    passage = make_passage(task, Split.HELD_OUT, Random(n_facts), n_facts=n_facts)
    assert len(counted(passage.context)) == n_facts


@pytest.mark.parametrize("n_words", [1, 10, 11, 100])
def test_there_are_about_as_many_words_to_copy_as_asked_for(n_words):
    passage = make_passage(Task.COPYING, Split.HELD_OUT, Random(1), n_facts=n_words)
    shown = " ".join(noted(passage.context).values()) if n_words > 10 else passage.turns[0].answer
    assert n_words <= len(shown.split()) <= n_words + 2


# --- what cannot be won without understanding ------------------------------------------------------------------------


@pytest.mark.parametrize(("task", "most"), [(Task.RETRIEVAL, 0.12), (Task.GROUNDED, 0.12), (Task.ARITHMETIC, 0.1)])
def test_copying_what_lies_nearest_is_mostly_wrong(task, most):
    items = [make_item(task, Split.HELD_OUT, 2, index, n_facts=20) for index in range(200)]
    assert sum(is_right(item, copy_answer(item)) for item in items) / len(items) <= most


def test_copying_all_behind_the_colon_copies_words_that_stand_alone():
    items = [make_item(Task.COPYING, Split.HELD_OUT, 2, index, n_facts=6) for index in range(50)]
    assert all(is_right(item, copy_answer(item)) for item in items)


@pytest.mark.parametrize("task", Task)
def test_prompts_are_instruction_context_and_question_on_lines_of_their_own(task):
    for passage in samples(task, Split.TRAIN, n_turns=2)[:20]:
        for i, turn in enumerate(passage.turns):
            text = prompt(passage, i)
            assert text.startswith(passage.instruction + "\n")
            assert text.endswith("\n" + turn.question)
            assert "\n\n" not in text
            assert text == text.strip()
