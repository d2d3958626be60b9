"""Keeps the history of MegaFon cloud PBX virtual numbers in PostgreSQL.

The vendor's endpoint tells which numbers a company has, and only as they are at this moment. A poll (`syncer.poll`)
gathers what arrived (`syncer.source`, `syncer.wire`) and what the database knows (`syncer.store`), decides in pure code
what changed (`syncer.reconcile`), and applies it in one transaction (`syncer.store`). Every other part of the program
serves that sentence.
"""

__version__ = "0.1.0"
