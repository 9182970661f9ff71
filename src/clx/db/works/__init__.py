"""Works: everything about one piece of work in one document, which lies beside its job and is searched for good.

* A Work is a job of the type ``work:PIPELINE`` and a row of ``works``: waiting, running and ended ones
  are the same row.
* Whatever happens to the job, by whomever, the row says so in the same transaction.
* What is searched stands in columns and labels, everything else in the document.
"""
