"""``holdfast key``: who can open the repository."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, TypedDict, TypeVar, Unpack

import click

from holdfast import UsageError
from holdfast.cli.connect import Connector
from holdfast.cli.exit_codes import CommandError
from holdfast.cli.output import Output, complain
from holdfast.cli.params import (
    P,
    RepositoryOptions,
    expire_after_option,
    repository_options,
)
from holdfast.cli.text import count, moment, print_table

if TYPE_CHECKING:
    from holdfast import Key, Rotation

_T = TypeVar("_T")

_KIB = 1024


class NewPasswordOptions(RepositoryOptions):
    """Where a new password comes from."""

    new_password_file: str | None
    new_password_command: str | None


class KdfOptions(NewPasswordOptions):
    """The price of a guess at it, too."""

    kdf: str | None


class AddOptions(KdfOptions):
    """What `key add` is told."""

    label: str


class RecoveryOptions(NewPasswordOptions):
    """What `key recovery` is told."""

    output: str | None
    restore: str | None


class RotateOptions(KdfOptions):
    """What `key rotate` is told."""

    drop_others: bool
    finish: bool
    wait: bool
    expire_after: float


class NewPassword(TypedDict):
    """A new password, in the words of the library."""

    password: str | None
    password_file: str | None
    password_command: str | tuple[str, ...] | None


def new_password_options(command: Callable[P, _T]) -> Callable[P, _T]:
    """Give a command the flags that say where a new password is."""
    file = click.option(
        "--new-password-file", metavar="FILE", help="File that holds the new password."
    )
    program = click.option(
        "--new-password-command", metavar="COMMAND", help="Program that prints the new password."
    )
    return file(program(command))


kdf_option = click.option(
    "--kdf",
    type=click.Choice(["default", "strong"]),
    help="The price of a guess at the new password.  [default: as for the one in use]",
)


def _new_password(connect: Connector, options: NewPasswordOptions) -> NewPassword:
    source = connect.new_password(
        options["repository"], options["new_password_file"], options["new_password_command"]
    )
    return {
        "password": source.password,
        "password_file": source.file,
        "password_command": source.command,
    }


@click.group("key", short_help="Passwords, the recovery key, new keys.")
def command() -> None:
    """Manage who can open the repository.

    New passwords come from --new-password-file, --new-password-command, HOLDFAST_NEW_PASSWORD,
    HOLDFAST_NEW_PASSWORD_FILE or HOLDFAST_NEW_PASSWORD_COMMAND, or are asked for.
    """


@command.command("list", short_help="List the passwords' keys.")
@repository_options
@click.pass_obj
def list_keys(connect: Connector, **options: Unpack[RepositoryOptions]) -> None:
    """List the keys, one for each password; the one in use is marked with a star."""
    with connect.open(options["repository"], options["password_file"]) as repo:
        keys = repo.keys()
    if connect.output.json:
        connect.output.document({"keys": [key.dict() for key in keys]})
        return
    rows = [
        (
            ("*" if key.in_use else " ") + key.id[:8],
            moment(key.created if key.created_ns else None),
            key.host,
            key.user,
            f"{key.memory // _KIB} MiB x {key.passes}" if key.memory else "-",
            key.problem or key.label,
        )
        for key in keys
    ]
    print_table((" ID", "Made", "Host", "User", "A guess takes", "Label"), rows)
    connect.output.summary(count(sum(not key.problem for key in keys), "key"))


@command.command("add", short_help="Let one more password open the repository.")
@repository_options
@new_password_options
@kdf_option
@click.option("--label", default="", metavar="TEXT", help="What to call it in `key list`.")
@click.pass_obj
def add(connect: Connector, **options: Unpack[AddOptions]) -> None:
    """Let one more password open the repository."""
    with connect.open(options["repository"], options["password_file"]) as repo:
        new = _new_password(connect, options)
        key = repo.add_key(**new, label=options["label"], kdf=options["kdf"])
    _tell_key(key, connect.output, f"key {key.id[:8]} opens the repository")


@command.command("remove", short_help="Let a password open the repository no more.")
@click.argument("key", metavar="ID")
@repository_options
@click.pass_obj
def remove(connect: Connector, key: str, **options: Unpack[RepositoryOptions]) -> None:
    """Remove the key with this ID, or the beginning of one; the last one stays.

    Whoever has opened the repository with it may have kept its secrets: see `key rotate`.
    """
    with connect.open(options["repository"], options["password_file"]) as repo:
        removed = repo.remove_key(key)
    _tell_key(removed, connect.output, f"removed key {removed.id[:8]}")


@command.command("passwd", short_help="Change the password in use.")
@repository_options
@new_password_options
@kdf_option
@click.pass_obj
def passwd(connect: Connector, **options: Unpack[KdfOptions]) -> None:
    """Put another password in the place of the one that opened the repository."""
    with connect.open(options["repository"], options["password_file"]) as repo:
        key = repo.change_password(**_new_password(connect, options), kdf=options["kdf"])
    _tell_key(key, connect.output, f"the password was changed: key {key.id[:8]} opens it now")


def _tell_key(key: Key, output: Output, text: str) -> None:
    if output.json:
        output.document({"key": key.dict()})
    else:
        output.summary(text)


@command.command("recovery", short_help="Print the recovery key, or make good with it.")
@repository_options
@new_password_options
@click.option("-o", "--output", metavar="FILE", help="Write it to a new file, for your eyes only.")
@click.option(
    "--restore",
    metavar="FILE",
    help="With the recovery key in FILE put back a lost config and add a new password.",
)
@click.pass_obj
def recovery(connect: Connector, **options: Unpack[RecoveryOptions]) -> None:
    """Print all that opens the repository, to be kept on paper.

    It opens the repository without any password, also when every key and the config are lost:
    type it into a file and give that with --recovery-key to any command.
    """
    if options["restore"] is not None:
        if options["output"] is not None:
            raise UsageError("give either --output or --restore")
        _restore(connect, options, options["restore"])
        return
    with connect.open(options["repository"], options["password_file"]) as repo:
        text = repo.recovery_key()
    if options["output"] is not None:
        _write_private(options["output"], text)
        if connect.output.json:
            connect.output.document({"file": options["output"]})
        else:
            connect.output.summary(f"wrote the recovery key to {options['output']}: print it")
    elif connect.output.json:
        connect.output.document({"recovery_key": text})
    else:
        click.echo(text, nl=False)


def _restore(connect: Connector, options: RecoveryOptions, file: str) -> None:
    connect.recovery_key = file
    with connect.open(options["repository"], options["password_file"]) as repo:
        key = repo.restore_access(**_new_password(connect, options))
    _tell_key(key, connect.output, f"key {key.id[:8]} opens the repository")


def _write_private(file: str, text: str) -> None:
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as stream:
            stream.write(text)
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from None


@command.command("rotate", short_help="Seal everything from now on with new keys.")
@repository_options
@new_password_options
@kdf_option
@click.option(
    "--drop-others", is_flag=True, help="Let the passwords of all other keys open it no more."
)
@click.option("--finish", is_flag=True, help="Go on with a rotation that had to wait.")
@click.option("--wait", is_flag=True, help="Wait for the backups that began with the old keys.")
@expire_after_option
@click.pass_obj
def rotate(connect: Connector, **options: Unpack[RotateOptions]) -> None:
    """Make new keys, for when the old ones may have been copied.

    Afterwards only the new password opens the repository, which may be the old one; recovery
    keys of before do not. `prune` writes data anew as it gets to it.
    """
    with connect.open(options["repository"], options["password_file"]) as repo:
        if options["finish"]:
            done = repo.finish_rotation(wait=options["wait"], expire_after=options["expire_after"])
        else:
            done = repo.rotate_keys(
                **_new_password(connect, options),
                drop_others=options["drop_others"],
                kdf=options["kdf"],
                wait=options["wait"],
                expire_after=options["expire_after"],
            )
    if connect.output.json:
        connect.output.document(done.dict())
    else:
        _tell_rotation(done, connect.output)
    for name in done.damaged:
        complain("warning", f"{name} cannot be read, so the old keys are still accepted: repair it")
    if not done.begun and not options["finish"]:
        raise CommandError(
            f"an earlier rotation {'was' if done.finished else 'is not'} finished, and no new one "
            "begun: the new password was not put into force"
        )


def _tell_rotation(done: Rotation, output: Output) -> None:
    lines = [f"the keys in force are those of epoch {done.epoch}"]
    if done.removed:
        lines.append(f"removed {count(len(done.removed), 'key')} of before")
    if done.resealed:
        lines.append(f"sealed {count(done.resealed, 'object')} anew")
    lines += [
        f"waiting for {each.kind or 'session'} {each.id[:8]} of {each.host or 'unknown'}"
        for each in done.waits_for
    ]
    lines += [f"waiting for reclaim {each[:8]}: prune to its end" for each in done.reclaims]
    if done.finished:
        lines.append("make a new recovery key: holdfast key recovery")
    else:
        lines.append("not finished: run `holdfast key rotate --finish` later")
    output.summary(*lines)
