"""How long an interceptor takes. The interceptors themselves have no clock."""

import time
from collections.abc import Callable, Sequence

from flumen.interceptor.batch import Batch, Intercepted
from flumen.interceptor.chain import Context, Interceptor
from flumen.interceptor.columns import Column


class Timed:
    """An interceptor, and who is told of the seconds that each call of it takes, also of one that fails."""

    def __init__(self, interceptor: Interceptor, took: Callable[[float], object]) -> None:
        self._interceptor = interceptor
        self._took = took

    @property
    def columns(self) -> Sequence[Column]:
        """The columns of the interceptor within."""
        return self._interceptor.columns

    def intercept(self, batch: Batch, context: Context) -> Intercepted:
        """Intercept, and tell how long it took."""
        started = time.perf_counter()
        try:
            return self._interceptor.intercept(batch, context)
        finally:
            self._took(time.perf_counter() - started)
