"""The faults that holdfast must survive: `tests.faults.page` makes docs/reliability.md of it.

By number: what each is, how tests bring it about, and what happens then.

A test says which rows it tries by ``@pytest.mark.fault(5, 16)``.
"""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """A fault.

    Attributes:
        number: from 1, for ever: tests name it.
        fault: what goes wrong.
        how: how the tests bring it about.
        what: what happens then.
        missing: what of it no test tries, or what is not done, and why; empty if nothing is.
    """

    number: int
    fault: str
    how: str
    what: str
    missing: str = ""


CATALOGUE = (
    Row(
        1,
        "`init` crashes at any operation",
        "every operation of the storage in turn fails, or is the last",
        "there is a repository that works, or none, and `init` makes it",
    ),
    Row(
        2,
        "a backup crashes at any operation",
        "every operation in turn is the last; `kill -9` at random moments, also beside others",
        "earlier snapshots are whole, `validate` finds no damage, the next backup uses what was "
        "stored, a prune takes what is left",
    ),
    Row(
        3,
        "forgetting, a prune, the merging of index objects, a repair or key management crashes",
        "every operation in turn fails, or is the last",
        "all snapshots are whole at every point, and the same command run again ends it, without "
        "the ids of those snapshots that it has forgotten already",
    ),
    Row(
        4,
        "a restore crashes",
        "`kill -9` while files are made, and while they are changed in place",
        "no file passes for complete that is not; the same command run again completes it and "
        "removes what was temporary",
    ),
    Row(
        5,
        "the power fails: what was not synced is lost, reordered or zeros",
        "what the local storage asks of the system is recorded; the power is cut before each step, "
        "and of what was not synced anything may be there",
        "once a command has said that it is done, its snapshots are whole; `validate` finds no "
        "damage at any moment",
        "Disks that do not keep what they said was synced cannot be imitated.",
    ),
    Row(
        6,
        "an interrupt, or no memory left, in any thread",
        "SIGINT, SIGTERM and SIGHUP to real processes at every step of the commands that work on a "
        "repository most; exceptions at every operation and in workers; limits on memory and "
        "descriptors for the same commands",
        "no snapshot, no session, no thread is left; the exit code is 130 for a signal; what there "
        "is too little of is an error, never a file that cannot be read nor damage",
        "Python itself waits for ever when memory ends in the very moment in which it starts a "
        "thread, and a library that is refused memory may end the process; nothing is harmed.",
    ),
    Row(
        7,
        "a flipped bit in any object",
        "every byte of every small object, of the ends of packs, and random ones inside",
        "a typed error names the object; `validate` names snapshots and paths; all else can be "
        "read; whatever might be condemned is not built upon",
    ),
    Row(
        8,
        "an object that is cut off or has something appended",
        "every length of small objects; empty, half, all but one byte, one more, twice, zeros",
        "as for a flipped bit; an empty object is never an empty list",
    ),
    Row(
        9,
        "a pack is missing",
        "each pack is deleted in turn",
        "`validate` names what it hurts; a restore reports those files and restores the others; "
        "the next backup stores again what the source still has",
    ),
    Row(
        10,
        "an index object is missing",
        "each is deleted in turn",
        "its packs are told of as not indexed; `repair index` brings all back",
    ),
    Row(
        11,
        "a snapshot, or a directory of one, is missing",
        "the object, or the pack of trees, is deleted",
        "other snapshots are as they were; of the damaged one, what can be reached is kept and "
        "what is lost is named",
    ),
    Row(
        12,
        "a blob is there twice: in one pack, in several, in several index objects",
        "packs and index objects are made by hand; two writers store the same",
        "a bad copy is passed over for a good one, and a prune keeps a good one",
    ),
    Row(
        13,
        "objects are swapped: for another of their kind, of another kind, of another repository, "
        "or older ones",
        "objects are renamed",
        "damage that names the object; it is never taken for the right one",
    ),
    Row(
        14,
        "all key slots, or the config, are lost",
        "they are deleted",
        "the error says what to do; the recovery key opens the repository and puts them back",
    ),
    Row(
        15,
        "a wrong or empty password; one password in two forms of Unicode",
        "given to `open`; the work and the writes are counted",
        "`WrongPassword` after one derivation a slot, and nothing is written; NFC and NFD are one",
    ),
    Row(
        16,
        "the disk of the repository is full, or a quota is used up, and has room again",
        "small file systems that are filled, under the commands that write most; no room at each "
        "put of every command; `ENOSPC` and `EDQUOT` at steps of a put",
        "`StorageFull`, never an unreadable file; no partial object; a prune gives room back",
    ),
    Row(
        17,
        "the disk of the local cache, or of temporary files, is full",
        "small file systems that are filled",
        "all works without the cache, with a warning; no half cache is left; a drill and a restore "
        "on trial say that there is no room, and leave nothing there",
    ),
    Row(
        18,
        "a store is busy, slow or away: 500, 503, 429, time-outs, resets",
        "a proxy before a real S3 server, at each request: once, for ever",
        "requests are tried again after growing pauses, as long as the store asks; then an error "
        "of ours",
    ),
    Row(
        19,
        "a put was done, and its answer is lost",
        "the operation is done, then fails; the proxy drops the answer",
        "the same put again does no harm; a conditional one knows its own object again",
    ),
    Row(
        20,
        "answers that are short, damaged, another part of the object or out of date",
        "decorators and the proxy: once, and always",
        "asked for once more, then damage; never a wrong byte",
    ),
    Row(
        21,
        "a connection that gives no more bytes",
        "the proxy stops in the middle of an answer",
        "a time-out, then tried again; an interrupt does not wait for it",
    ),
    Row(
        22,
        "a listing that is incomplete, empty, late, fails, or shows what is not there",
        "decorators and the proxy, for every folder and every listing of a command",
        "a backup is whole or fails; `prune` and `forget` refuse; foreign names are told of and "
        "never deleted",
    ),
    Row(
        23,
        "the repository may only be read",
        "file permissions, a read-only mount under the commands that work on a repository most, a "
        "policy of the proxy, a backend that only reads",
        "reading works and writes nothing; a backup fails at its first write",
    ),
    Row(
        24,
        "nothing may be deleted",
        "a policy of the proxy, a backend that refuses",
        "backups work; `prune` and `forget` fail before they change anything",
    ),
    Row(
        25,
        "several back up at once: the same, or something else",
        "processes, threads and simulated hosts in random order",
        "every snapshot is whole; what was stored twice is no harm",
        "Processes on one machine and simulated hosts; no test uses several machines.",
    ),
    Row(
        26,
        "anything beside a prune: a backup, a restore, a check, another prune",
        "a model of the protocol in all orders; each at every operation of the other; a "
        "simulation of the whole engine",
        "nothing that a snapshot needs is deleted; what is in progress is no damage",
    ),
    Row(
        27,
        "a backup is suspended for days and goes on, with and without its session",
        "SIGSTOP to real processes, at every step of commands, for days; at each operation, others "
        "prune while its clock stands still",
        "a whole snapshot, or `SessionLost`",
    ),
    Row(
        28,
        "a prune is suspended between its decision and its deletions",
        "at each operation, others work while its clock stands still",
        "it deletes nothing that became needed",
    ),
    Row(
        29,
        "clocks that are years apart, jump, or turn with the season",
        "clocks in the test's hand",
        "no deletion depends on them; snapshots of the future push no others out; each keeps the "
        "time zone it was made in",
        "A snapshot holds the time of its client only: there is no hint of the store's time in it, "
        "as a store that has no clock of its own could not give one.",
    ),
    Row(
        30,
        "retention: rules that keep nothing, a mistyped tag, equal times, leap days, week 53",
        "examples, and a plain implementation beside it on random histories",
        "the last snapshot of a group goes by force only; ties are decided by id",
    ),
    Row(
        31,
        "the local cache is old, damaged, forged, of another repository, shared, or deleted",
        "its files are changed, at any byte and at any time",
        "results are those without a cache",
    ),
    Row(
        32,
        "a file that seems unchanged: size and time put back, an inode used again, a change "
        "within the granularity of the clock",
        "files and parents made so",
        "the change is found by ctime and inode; files too young to be trusted are read; "
        "`--force` reads all",
    ),
    Row(
        33,
        "a hostile repository: bombs, lies about sizes, nesting, endless trees, absurd prices",
        "made by somebody who has the keys; read by a process with little memory and time",
        "a typed error, within 200 MB and a few seconds",
    ),
    Row(
        34,
        "a hostile tree: names that lead elsewhere, links in the way, directories swapped for "
        "links while it is restored",
        "made by hand; a swap before each system call of a restore, by root and by somebody else; "
        "a thread or process that swaps as fast as it can",
        "nothing outside the target is touched; what is refused is reported, the rest restored",
        "Names that only Windows finds special (`CON`, `C:x`, a trailing dot) are names like "
        "others here: holdfast restores on POSIX systems.",
    ),
    Row(
        35,
        "devices, pipes, sockets, set-id bits, foreign owners, capabilities",
        "made as root, restored as root and as somebody else",
        "devices only on demand; set-id bits after owner and content; what is not allowed is "
        "reported",
    ),
    Row(
        36,
        "files and directories that cannot be read: permissions, a failing disk, stale mounts",
        "permissions; system calls made to fail by strace; files of `/proc`; a real FUSE file "
        "system whose server is killed before or during a backup, or answers `ESTALE` and others",
        "the rest is backed up, the item is named with its error, the exit code is 3; the next "
        "backup reads what was missing",
        "No NFS or SMB is mounted: FUSE gives their errors.",
    ),
    Row(
        37,
        "a file changes, is replaced or vanishes between listing, opening and reading",
        "one of many changes is made before each system call of a backup, for good or for a while",
        "it is read again, in the end marked as changed; what is stored is what was read; what "
        "vanished is left out",
    ),
    Row(
        38,
        "names of any bytes, and of any length",
        "names that are no text, with line breaks, of 255 bytes, paths beyond 4096",
        "they come back exactly; output escapes them; a name that the target refuses is reported",
    ),
    Row(
        39,
        "very deep directories",
        "3,000 levels on real file systems, made and forged",
        "backed up, compared, checked, copied, restored and deleted without recursion",
    ),
    Row(
        40,
        "a million files in a directory, ten million in all",
        "20,000 files in one directory in each run, 100,000 at length",
        "directories are stored in pages, and one more file stores one page",
        "A million files are backed up by `make bench`, which measures the memory that takes (see "
        "[performance](performance.md)), not by tests; ten million, and a million in one "
        "directory, take too long and too many inodes.",
    ),
    Row(
        41,
        "a sparse file of a terabyte",
        "made by truncation, with and without data in it",
        "its holes are neither read nor stored, and it comes back as sparse",
    ),
    Row(
        42,
        "files of any size: empty, one byte, just a chunk, all zeros, huge",
        "sizes around all bounds, and random ones",
        "they come back exactly",
        "A real terabyte of data fits on no machine for tests; one of holes is tried (row 41), and "
        "lists of content of every depth are.",
    ),
    Row(
        43,
        "many hard links to few files, links outside the tree, to a file that changes, inodes "
        "that are equal on two file systems",
        "made on two file systems",
        "one content, links again; a selection of them is files of their own",
        "10,000 links to one file rather than 100,000: more take time and show nothing else.",
    ),
    Row(
        44,
        "symbolic links that are loops, lead nowhere, are long or no text",
        "made by hand",
        "stored as they are; followed only on the way to a source that was named",
    ),
    Row(
        45,
        "pipes, sockets, devices, `/proc` and hanging file systems in the source",
        "made by hand; `/proc` of this machine; a FUSE file system that does not answer",
        "what is no file is not opened for reading; a file that says that it is empty, as those of "
        "`/proc` do, is read all the same; `--one-file-system` leaves others out",
        "A file system that hangs holds up the backup, and also the signals that are to end it, "
        "until it answers or is unmounted by force: a system call that waits cannot be given up, "
        "so there is no time limit for a file. A kill does no harm, and ends at once what waits "
        "for data; what waits for the answer to another question, the kernel keeps.",
    ),
    Row(
        46,
        "extended attributes: large, many, unreadable, more than the target takes; access lists",
        "attributes up to 64 KiB on two file systems",
        "those that can be kept are; each other one is reported, and the rest restored",
    ),
    Row(
        47,
        "times before 1970, far in the future, beyond the file system",
        "set on real files, and forged",
        "kept to the nanosecond; clamped and reported where the target cannot; shown without fail",
    ),
    Row(
        48,
        "targets with files that cannot be changed, or directories in the way, or no space",
        "flags, permissions, small file systems; a FUSE file system that refuses what FAT and SMB "
        "refuse: owners, modes, times, attributes, links, pipes, names",
        "reported for each, and the rest restored",
        "FAT and SMB themselves are not mounted, as the systems that tests run on may not have "
        "them.",
    ),
    Row(
        49,
        "the source is suddenly not there, or empty",
        "a file system is unmounted; sources are removed",
        "a source that is missing is an error; one in which no file is left is a snapshot, of "
        "which the backup warns and `anomalies` tells; earlier snapshots stay, at least one of the "
        "group whatever the rules",
    ),
    Row(
        50,
        "a repository object used from threads, after a fork, after `close`, in an event loop",
        "done so",
        "threads may share it; after a fork or `close` it is a `UsageError`; no nonce is used "
        "twice",
    ),
    Row(
        51,
        "a repository of a newer format, or with features that are not known",
        "configs, key slots and objects with other numbers",
        "refused for writing, and for reading where needed; the error names it",
    ),
    Row(
        52,
        "a new version of a library cuts or compresses otherwise",
        "repositories and values of earlier versions are kept with the tests",
        "cuts and ids are the same as ever; what was stored is still used",
    ),
)
"""In the order of their numbers."""
