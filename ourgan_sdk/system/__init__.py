"""What lies between the package and the machine: processes, threads, memory, files, terminals, libraries."""
