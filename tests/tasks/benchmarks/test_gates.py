"""A phase's gates: each is told, and all that fail are named at once."""

import pytest

from tasks.benchmarks.gates import Gate, pass_gates
from tasks.running.errors import UserError

CAN, DOES = Gate("can", 0.71, at_least=0.5), Gate("does not", 0.29, at_most=0.4)


def test_gates_that_are_passed_are_told_and_are_metrics(capsys):
    assert pass_gates([CAN, DOES]) == {"gate/can": 0.71, "gate/does not": 0.29}
    said = capsys.readouterr().out.splitlines()
    assert said == ["passed  can: 0.710, at least 0.5", "passed  does not: 0.290, at most 0.4"]


def test_what_was_given_up_is_told_and_the_others_still_count(capsys):
    low, lost = Gate("looks up", 0.1, at_least=0.3), Gate("keeps", -0.03, at_least=-0.02)
    assert pass_gates([CAN, low], ["looks up"]) == {"gate/can": 0.71, "gate/looks up": 0.1}
    assert "missed  looks up: 0.100, at least 0.3" in capsys.readouterr().out
    with pytest.raises(UserError, match="1 of 3 gates"):
        pass_gates([CAN, low, lost], ["looks up"])


def test_a_figure_on_its_bar_passes_and_all_that_fail_are_named():
    assert Gate("can", 0.5, at_least=0.5).passed and Gate("does not", 0.4, at_most=0.4).passed
    with pytest.raises(UserError) as error:
        pass_gates([CAN, Gate("does not", 0.41, at_most=0.4), Gate("keeps", -0.03, at_least=-0.02)])
    assert error.value.what == "2 of 3 gates are not passed"
    assert "does not: 0.410" in error.value.why and "keeps: -0.030" in error.value.why
