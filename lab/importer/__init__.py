"""`lab import`: a topology out of directories that were copied from hosts."""

from lab.importer.make import Import, import_hosts, parse_hosts, write_import

__all__ = ["Import", "import_hosts", "parse_hosts", "write_import"]
