"""Starting, watching, replacing and stopping workers: for a build, for a program, for services."""
