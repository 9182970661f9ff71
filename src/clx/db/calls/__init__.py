"""What runs of workflows have called, and the routines that workers have.

* A call is recorded under its caller, and answered from that record when the caller is run again.
* When a workflow has ended, however, what it called and nobody else wants is cancelled in the same transaction.
* When a routine has ended, the routines that are to run after it are queued in the same transaction.
"""
