"""The only doors to the libraries that hash, cut, compress, encrypt and encode."""
