"""One file per verb of `mote`: HELP, EXAMPLE, add_arguments(parser) and run(args) -> exit status."""
