"""What the bytes of a repository mean: snapshots, directories, files; and how they are read.

Frozen records and functions of their arguments. Nothing here knows where bytes are stored: all
of it works on a `BlobLoader`, and writes through a `TreeSaver`. `node`, `content`, `tree` and
`snapshot` are the records and their wire forms; `walk`, `compare`, `select` go through them;
`retention` decides which snapshots to keep, by what `policy` and `periods` know; `entry` and
`file` are what an application sees of them. Import the module that has a name: reading a snapshot
is not to load everything else.
"""
