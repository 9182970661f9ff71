"""The sections that the page has by itself, in the order of its menu."""

from __future__ import annotations

from clx.server.views.builds import BUILDS
from clx.server.views.days import DAYS
from clx.server.views.jobs import JOBS
from clx.server.views.models import MODELS
from clx.server.views.overview import OVERVIEW
from clx.server.views.pipelines import PIPELINES
from clx.server.views.schedules import SCHEDULES
from clx.server.views.workers import WORKERS
from clx.server.views.workflows import WORKFLOWS
from clx.server.views.works import WORKS

SECTIONS = (OVERVIEW, WORKS, PIPELINES, JOBS, WORKFLOWS, DAYS, SCHEDULES, WORKERS, MODELS, BUILDS)
