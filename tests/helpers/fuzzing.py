"""Settings of hypothesis for hostile input: few and always the same examples, or many random ones by hand."""

import os

from hypothesis import HealthCheck, settings


def examples(count: int) -> settings:
    """Return the settings of a test with this many examples, the same in each run.

    With `LAB_FUZZ=50` in the environment it has 50 times as many, at random.
    """
    factor = int(os.environ.get("LAB_FUZZ", "0"))
    return settings(
        max_examples=count * (factor or 1),
        derandomize=not factor,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )
