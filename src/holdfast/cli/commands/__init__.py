"""One module per command; each has its `click.Command` as `command`."""
