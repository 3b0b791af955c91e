"""The commands of `portolan`, a module for each subject; `portolan.command` loads the one that was asked for."""
