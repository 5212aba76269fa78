"""The administrators' pages: rendered on the server, Chinese first, no asset from anywhere else."""
