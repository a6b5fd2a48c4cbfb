"""The recovery platform, on top of the engine: each part can be deleted without another noticing.

``workspace`` is the folder in which a machine keeps what the platform knows: a database (jobs and
their runs, drills, recoveries, notifications sent) and the audit trail. ``managers`` turn the
arguments of documented classes into calls of the engine and its results into plain dicts.
``drill`` rehearses recoveries, ``compliance`` reports on drills, ``schedule`` runs all of these
when it is time, ``status`` says how things stand.
"""
