from clx.db.async_queue import AsyncQueue as AsyncQueue
from clx.db.consumer import Consumer as Consumer
from clx.db.hooks import Hooks as Hooks
from clx.db.jobs import Queue as Queue
from clx.db.models import Failure as Failure
from clx.db.models import Job as Job
from clx.db.models import NewJob as NewJob
from clx.db.models import Success as Success
from clx.db.schedules.models import Schedule as Schedule
from clx.db.tasks import Task as Task
from clx.db.tasks import task as task
from clx.errors import AccessError as AccessError
from clx.errors import Cancelled as Cancelled
from clx.errors import ClxError as ClxError
from clx.errors import CommitInDoubtError as CommitInDoubtError
from clx.errors import DatabaseBusyError as DatabaseBusyError
from clx.errors import DatabaseCorruptError as DatabaseCorruptError
from clx.errors import DatabaseError as DatabaseError
from clx.errors import DatabaseFullError as DatabaseFullError
from clx.errors import DatabaseInUseError as DatabaseInUseError
from clx.errors import DatabaseWriteError as DatabaseWriteError
from clx.errors import Discard as Discard
from clx.errors import JobCancelledError as JobCancelledError
from clx.errors import JobExistsError as JobExistsError
from clx.errors import JobFailedError as JobFailedError
from clx.errors import JobTimeoutError as JobTimeoutError
from clx.errors import LostBatchError as LostBatchError
from clx.errors import LostRunError as LostRunError
from clx.errors import LostWorkerError as LostWorkerError
from clx.errors import NotStorableError as NotStorableError
from clx.errors import OddRowError as OddRowError
from clx.errors import QueueError as QueueError
from clx.errors import Retry as Retry
from clx.errors import RoutineError as RoutineError
from clx.errors import ServerError as ServerError
from clx.errors import UnknownJobError as UnknownJobError
from clx.errors import UsageError as UsageError
from clx.remote.client import Client as Client
from clx.routines import define as define
from clx.routines.codecs.files import File as File
from clx.routines.context import progress as progress
from clx.routines.lifecycle import lifecycle as lifecycle

__version__: str
DISTRIBUTION: str
__all__: list[str]
