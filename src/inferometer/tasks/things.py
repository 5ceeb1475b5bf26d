# SPDX-License-Identifier: Apache-2.0
"""Closed sets of everyday words, a quarter of each held out. They begin with a consonant where an "a" stands before."""

from __future__ import annotations

from inferometer.tasks.split import divide

_ONE_IN = 4

COLOURS = divide(
    "amber apricot azure beige black blue bronze brown coral cream crimson emerald fawn gold green grey indigo ivory "
    "jade lavender lemon lilac lime maroon mauve mint mustard navy olive orange pink plum purple red ruby rust sand "
    "scarlet silver tan teal turquoise violet white yellow".split(),
    _ONE_IN,
)
FOODS = divide(
    "apples beans beetroot bread broccoli butter cabbage cake carrots cheese cherries chicken chips corn cucumber "
    "dates dumplings figs fish garlic grapes ham herring honey jam kale leeks lentils lobster mango melon mushrooms "
    "noodles nuts onions pancakes pasta peaches pears peas peppers pizza plums porridge potatoes pudding pumpkin "
    "radish rice salad salmon sausages shrimp soup spinach stew toast tomatoes trout tuna turnips walnuts yoghurt".split(),
    _ONE_IN,
)
ANIMALS = divide(
    "badger bat bear beetle bull camel canary cat chicken cow crab crow dog donkey dove duck falcon ferret fox frog gecko "
    "goat goose hamster hare hawk hen horse jackdaw kitten lamb lizard llama magpie mole monkey moth mouse mule newt "
    "parrot peacock pheasant pig pigeon pony puppy python quail rabbit rat raven rooster salamander sheep snail snake "
    "sparrow spider squirrel stork swan toad tortoise turkey turtle weasel wolf".split(),
    _ONE_IN,
)
JOBS = divide(
    "baker banker barber blacksmith bookbinder brewer bricklayer builder butcher captain carpenter cashier chemist "
    "clerk cobbler cook dancer dentist detective diver doctor driver farmer firefighter fisher florist forester gardener "
    "glazier goldsmith guard hatter judge lawyer librarian locksmith mason mechanic merchant midwife miller miner "
    "musician nurse painter pharmacist pilot plumber porter postman potter printer ranger reporter roofer sailor "
    "scientist sculptor shepherd singer smith soldier surgeon surveyor tailor tanner teacher translator vet waiter "
    "watchmaker weaver welder writer".split(),
    _ONE_IN,
)
INSTRUMENTS = divide(
    "accordion bagpipe banjo bassoon bugle cello clarinet cornet cymbals drum dulcimer fiddle flute gong guitar harmonica "
    "harp horn kettledrum lute lyre mandolin marimba oboe organ piano piccolo recorder saxophone sitar tambourine "
    "triangle trombone trumpet tuba ukulele viola violin whistle xylophone zither".split(),
    _ONE_IN,
)
SPORTS = divide(
    "archery badminton baseball basketball bowling boxing canoeing climbing cricket croquet curling cycling darts diving "
    "fencing fishing football golf gymnastics handball hiking hockey hurdling jogging judo karate polo riding rowing "
    "rugby running sailing skating skiing sledging snooker squash surfing swimming tennis volleyball walking wrestling "
    "yoga".split(),
    _ONE_IN,
)
AGES = divide(map(str, range(18, 100)), _ONE_IN)

ALL_SETS = (COLOURS, FOODS, ANIMALS, JOBS, INSTRUMENTS, SPORTS)
