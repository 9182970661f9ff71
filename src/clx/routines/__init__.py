"""Routines: functions known by name that run as jobs, cached and durable."""
