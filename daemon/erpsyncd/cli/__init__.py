"""The command line: click commands, one file for each noun. Rendering and exit codes; decisions stand elsewhere."""
