"""The C interface: the library, its packages, its examples, and the bytes that it gives."""
