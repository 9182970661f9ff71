from clx.db.consumer import Consumer as Consumer
from clx.db.jobs import Job as Job
from clx.db.jobs import NewJob as NewJob
from clx.db.jobs import Queue as Queue

__version__: str
