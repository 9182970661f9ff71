from clx.db.consumer import Consumer as Consumer
from clx.db.jobs import Queue as Queue
from clx.db.records import Failure as Failure
from clx.db.records import Job as Job
from clx.db.records import NewJob as NewJob
from clx.db.records import Success as Success
from clx.errors import Cancelled as Cancelled

__version__: str
DISTRIBUTION: str
__all__: list[str]
