# SPDX-License-Identifier: Apache-2.0
"""What a paragraph tells about people: each relation with its wordings, its questions and its values.

Rule 1: no relation implies another: from where somebody lives does not follow where they were born.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from inferometer.tasks.fresh import Fresh
from inferometer.tasks.split import Parts
from inferometer.tasks.things import AGES, ANIMALS, COLOURS, FOODS, INSTRUMENTS, JOBS, SPORTS
from inferometer.tasks.wording import questions, wordings


@dataclass(frozen=True, slots=True)
class Relation:
    name: str
    value: Callable[[Fresh], str]
    facts: Parts
    questions: Parts


def _relation(name: str, value: Callable[[Fresh], str], facts: tuple[str, ...], asked: tuple[str, ...]) -> Relation:
    return Relation(name, value, wordings(facts), questions(asked, "text"))


def _member(closed: Parts) -> Callable[[Fresh], str]:
    return lambda fresh: fresh.one_of(closed)


RELATIONS = (
    _relation(
        "home",
        Fresh.name,
        (
            "{name} [|now |still ]lives in [|the town of ]{value}.",
            "{name} has a [|small |large ][home|house|flat] in [|the town of ]{value}.",
            "The [home|house] of {name} [is|stands|lies] in [|the town of ]{value}.",
            "The town where {name} [|now |still ][lives|has a home] is {value}.",
        ),
        (
            "Where does {name} [|now ]live",
            "In which town does {name} [live|have a home]",
            "[What|Which town] is the home of {name}",
            "In which town is the [home|house] of {name}",
        ),
    ),
    _relation(
        "birthplace",
        Fresh.name,
        (
            "{name} was born in [|the town of ][|old ]{value}.",
            "{name} [comes|came] from [|the town of ][|old ]{value}.",
            "The birthplace of {name} [is|was] [|the town of ][|old ]{value}.",
            "The town where {name} was born [is|was] [|called |named ]{value}.",
        ),
        (
            "Where was {name} born",
            "Where does {name} come from",
            "In which town was {name} born",
            "[What|Which town] is the birthplace of {name}",
        ),
    ),
    _relation(
        "job",
        _member(JOBS),
        (
            "{name} [works|has worked|is working] as a [|good |busy ]{value}.",
            "{name} is a [|good |busy ]{value} by [trade|profession].",
            "The [job|trade|profession] of {name} is that of a [|good |busy ]{value}.",
            "{name} earns [a living|money] as a [|good |busy ]{value}.",
        ),
        (
            "What does {name} work as",
            "What is the [job|trade|profession] of {name}",
            "[Which|What] [job|trade|profession] does {name} have",
            "As what does {name} [work|earn a living|earn money]",
        ),
    ),
    _relation(
        "age",
        _member(AGES),
        (
            "{name} is [|now |just |already ]{value} [years old|years of age].",
            "The age of {name} is [|now |just |already ]{value}[| years].",
            "{name} has [|now |just |already ]reached the age of {value}[| years].",
            "{name}'s age is [|now |just |already ]{value}[| years].",
        ),
        (
            "How old is {name}",
            "What is the age of {name}",
            "[What|Which] age has {name} reached",
            "What is {name}'s age",
        ),
    ),
    _relation(
        "colour",
        _member(COLOURS),
        (
            "The [favourite|best loved] colour of {name} is [|bright |pale ]{value}.",
            "{name} [likes|loves] the colour {value} [most|best|above all].",
            "{name}'s favourite colour is [|bright |pale ]{value}[| most days].",
            "Of all colours {name} [likes|loves] [|bright |pale ]{value} [most|best].",
        ),
        (
            "What is the favourite colour of {name}",
            "[Which|What] colour does {name} [like|love] [most|best|above all]",
            "[Which|What] is {name}'s favourite colour",
            "Of all colours, which does {name} [like|love] [most|best]",
        ),
    ),
    _relation(
        "food",
        _member(FOODS),
        (
            "The favourite [food|meal] of {name} is [|fresh |warm ]{value}.",
            "{name} [likes|loves] to eat [|fresh |warm ]{value} [most|best|above all].",
            "{name}'s favourite [food|meal] is [|fresh |warm ]{value}.",
            "For dinner {name} [likes|loves|wants] [|fresh |warm ]{value} [most|best].",
        ),
        (
            "What is the favourite [food|meal] of {name}",
            "What does {name} [like|love] to eat [most|best|above all]",
            "[Which|What] is {name}'s favourite [food|meal]",
            "What does {name} [like|love|want] for dinner",
        ),
    ),
    _relation(
        "pet",
        _member(ANIMALS),
        (
            "{name} [has|keeps|owns] a [|young |tame ]{value}[| as a pet| at home].",
            "The pet of {name} is a [|young |tame |small ]{value}.",
            "{name}'s pet is a [|young |tame |small ]{value}.",
            "{name} shares [a home|a house] with a [|young |tame ]{value}.",
        ),
        (
            "[Which|What] animal does {name} [have|keep|own]",
            "[Which|What] animal is the pet of {name}",
            "What kind of animal is {name}'s pet",
            "With [which|what] animal does {name} share a [home|house]",
        ),
    ),
    _relation(
        "pet's name",
        Fresh.name,
        (
            "The [|young |tame |small ]pet of {name} is [called|named] {value}.",
            "{name}'s [|young |tame |small ]pet is [called|named] {value}.",
            "{name} [calls|has named] [the|a] pet {value}.",
            "{name} has a [|young |tame |small ]pet [called|named|by the name of] {value}.",
            "The name of {name}'s [|young |tame |small ]pet is {value}.",
        ),
        (
            "What is the pet of {name} [called|named]",
            "What is the name of {name}'s [|young |tame |small ]pet",
            "Which name does the pet of {name} have",
            "How is the pet of {name} [called|named]",
        ),
    ),
    _relation(
        "instrument",
        _member(INSTRUMENTS),
        (
            "{name} [plays|can play] the {value}[| well| every day| at home].",
            "{name} [is learning|practises|has learnt] the {value}[| every day| at home].",
            "The instrument of {name} is [the|an old|a new] {value}.",
            "{name} makes music [on|with] the {value}[| every day| at home].",
        ),
        (
            "[Which|What] instrument does {name} play",
            "[Which|What] is the instrument of {name}",
            "[Which|What] instrument is played by {name}",
            "On which instrument does {name} make music",
        ),
    ),
    _relation(
        "friend",
        Fresh.name,
        (
            "The [best|closest|oldest] friend of {name} is [|called |still ]{value}.",
            "{name}'s [best|closest|oldest] friend is [|called |still ]{value}.",
            "{name} has [known|trusted] {value} [for years|since school] as [the best|a close] friend.",
            "{name} calls {value} [a|the] [best|close|old] friend.",
        ),
        (
            "Who is the [best|closest|oldest] friend of {name}",
            "Who is {name}'s [best|closest|oldest] friend",
            "What is the name of {name}'s [best|closest|oldest] friend",
            "Whom does {name} call a [best|close|old] friend",
        ),
    ),
    _relation(
        "badge",
        lambda fresh: fresh.number(4),
        (
            "The badge number of {name} is [|now |still |just ]{value}.",
            "{name} [has|wears|carries] [a|the] badge [with the|with] number {value}.",
            "{name}'s badge [has|shows|bears] [the|a] number {value}.",
            "On the badge of {name} [is|stands] [the|a] number {value}.",
        ),
        (
            "What is the badge number of {name}",
            "Which number [is|stands] on the badge of {name}",
            "Which number does {name}'s badge [have|show|bear]",
            "What is the number of {name}'s badge",
        ),
    ),
    _relation(
        "room",
        lambda fresh: fresh.number(3),
        (
            "{name} [stays|sleeps|is] in room [|number ]{value}[| tonight].",
            "The room of {name} is [|number |still ]{value}[| tonight].",
            "{name} [has|was given] room [|number ]{value}[| tonight].",
            "{name}'s room [is|has] [|the ]number {value}[| tonight].",
        ),
        (
            "In which room [does {name} stay|does {name} sleep|is {name}]",
            "What is the room number of {name}",
            "Which room [does {name} have|was {name} given]",
            "What is the number of {name}'s room",
        ),
    ),
    _relation(
        "password",
        Fresh.word,
        (
            "The [|new |secret ]password of {name} is [|now |still ]{value}.",
            "{name} [uses|has|chose] the [|new |secret ]password {value}.",
            "{name}'s [|new |secret ]password is [|now |still ]{value}.",
            "{name} [opens|locks] the door with the [|new |secret ]password {value}.",
        ),
        (
            "What is the [|new |secret ]password of {name}",
            "Which [|new |secret ]password does {name} [use|have]",
            "[Which|What] is {name}'s [|new |secret ]password",
            "With which password does {name} [open|lock] the door",
        ),
    ),
    _relation(
        "employer",
        Fresh.name,
        (
            "{name} [works|has worked|is working] for [|the company |the firm ]{value}.",
            "The [company|firm] [of|that pays] {name} is [|called |named ]{value}.",
            "{name} is [employed|paid] by [|the company |the firm ]{value}.",
            "The [company|firm] where {name} works is [|called |named ]{value}.",
        ),
        (
            "For [which|what] [company|firm] does {name} work",
            "[Which|What] is the [company|firm] of {name}",
            "By which [company|firm] is {name} [employed|paid]",
            "Who [employs|pays] {name}",
        ),
    ),
    _relation(
        "sport",
        _member(SPORTS),
        (
            "The favourite sport of {name} is [|still |now |always ]{value}.",
            "Of all sports {name} [likes|loves|enjoys] {value} [most|best].",
            "{name}'s favourite sport is [|still |now |always ]{value}.",
            "{name} [likes|loves|enjoys] {value} [most|best] of all sports.",
        ),
        (
            "What is the favourite sport of {name}",
            "[Which|What] sport does {name} [like|love|enjoy] [most|best]",
            "[Which|What] is {name}'s favourite sport",
            "Of all sports, which does {name} [like|love|enjoy] [most|best]",
        ),
    ),
)
