"""Metrics: what have the open collections of this process done, and how long did it take?

`prometheus()` gives it as the text that Prometheus scrapes; `Collection.stats().operations` as figures. Where OpenTelemetry
is installed and the application has set up tracing, every call is a span.
"""

from nearrow.metrics.operations import CollectionMetrics, OperationStats, timed
from nearrow.metrics.prometheus import CONTENT_TYPE, expose, prometheus, withdraw

__all__ = ["CONTENT_TYPE", "CollectionMetrics", "OperationStats", "expose", "prometheus", "timed", "withdraw"]
