"""What serving is worth: loads of several kinds, on a server or in a simulation."""
